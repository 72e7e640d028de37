#include "net/pipes.h"

#include "base/mem.h"

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

static struct pipe *make(struct pipes *p)
{
	struct pipe *one;
	int fd[2];
	int size;

	if (p->n >= p->max || pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		return NULL;
	if (p->n_large < PIPES_LARGE_MAX && !p->refused && fcntl(fd[1], F_SETPIPE_SZ, (int)PIPES_LARGE_BYTES) < 0)
		p->refused = true;
	size = fcntl(fd[1], F_GETPIPE_SZ);
	one = xcalloc(1, sizeof(*one));
	one->fd[0] = fd[0];
	one->fd[1] = fd[1];
	one->size = size > 0 ? (size_t)size : 4096;
	p->n++;
	if (one->size >= PIPES_LARGE_BYTES)
		p->n_large++;
	return one;
}

struct pipe *pipes_take(struct pipes *p)
{
	struct pipe **from = p->large ? &p->large : &p->small;
	struct pipe *one;

	/* A new large one is better than a small one that is there. */
	if (from == &p->small && p->n_large < PIPES_LARGE_MAX && !p->refused) {
		one = make(p);
		if (one)
			return one;
	}
	if (!*from)
		return make(p);
	one = *from;
	*from = one->next;
	one->next = NULL;
	p->n_kept--;
	return one;
}

void pipes_give(struct pipes *p, struct pipe *one)
{
	bool large;

	if (!one)
		return;
	large = one->size >= PIPES_LARGE_BYTES;
	if (one->pending == 0 && (large || p->n_kept < PIPES_KEPT_MAX)) {
		struct pipe **to = large ? &p->large : &p->small;

		one->next = *to;
		*to = one;
		p->n_kept++;
		return;
	}
	p->n--;
	if (large)
		p->n_large--;
	(void)close_fd(one->fd[0]);
	(void)close_fd(one->fd[1]);
	free(one);
}
