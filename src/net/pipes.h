/* Pipes for splice(2), lent while bytes are in them.
 *
 * Large pipes carry large transfers with few system calls, but the kernel counts the pages of all of a user's pipes
 * together (pipe-user-pages-soft, 64 MiB) and gives crippled ones beyond that, to igloo and to everything else of that
 * user. So only a few are large, and all together stay at a half of it. */
#ifndef IGLOO_NET_PIPES_H
#define IGLOO_NET_PIPES_H

#include <stdbool.h>
#include <stddef.h>

enum {
	PIPES_LARGE_MAX = 16,
	PIPES_LARGE_BYTES = 1 << 20,
	PIPES_MAX = 256,
	PIPES_KEPT_MAX = 48, /* empty ones that wait for the next use */
};

struct pipe {
	int fd[2];
	size_t size;
	size_t pending; /* bytes in it */
	struct pipe *next;
};

struct pipes {
	struct pipe *large;
	struct pipe *small;
	size_t n_large;
	size_t n;
	size_t n_kept;
	size_t max;   /* at most PIPES_MAX */
	bool refused; /* the kernel gives no large ones */
};

/* NULL when there are too many. */
struct pipe *pipes_take(struct pipes *p);
/* Takes it back; one with bytes in it is closed. Accepts NULL. */
void pipes_give(struct pipes *p, struct pipe *one);

#endif
