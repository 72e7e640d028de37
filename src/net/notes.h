/* What the engine tells its supervisor: each thing once.
 *
 * The last NOTES_MAX are remembered as keyed hashes; what does not fit into the socket is dropped, counted, and told
 * when it happens again. */
#ifndef IGLOO_NET_NOTES_H
#define IGLOO_NET_NOTES_H

#include "net/engine.h"

enum { NOTES_MAX = 1024 };

struct notes {
	int control;
	uint64_t key;
	uint64_t seen[NOTES_MAX];
	size_t next;
	uint64_t dropped;
};

/* `control` stays the caller's. */
void notes_init(struct notes *n, int control);
/* With another policy the same thing is news again. */
void notes_forget(struct notes *n);
/* `detail` may be NULL; both texts are cut to what fits. */
void notes_add(struct notes *n, enum engine_reason reason, const char *host, uint16_t port, const char *detail);

#endif
