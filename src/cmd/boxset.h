/* Several boxes at once: those named as arguments, or all. */
#ifndef IGLOO_CMD_BOXSET_H
#define IGLOO_CMD_BOXSET_H

#include "cmd/client.h"
#include "cmd/cmd.h"

/* BOXSET_ENDED leaves out those that `igloo create` made: they did not end, they wait. */
enum boxset_which { BOXSET_RUNNING, BOXSET_ENDED, BOXSET_EVERY };

/* The arguments, checked, or with `all` the names of the boxes there are. Neither or both is -EINVAL. */
int boxset_names(const struct invocation *inv, bool all, enum boxset_which which, struct strv *ret, struct err **e);

struct boxset_stopped {
	struct client_stop *v; /* the caller frees it; their names are those of the set */
	size_t n;
};

/* Stops all of them side by side. *ret is what came of each that could be stopped, also when it fails with the error of
 * the first that could not. */
int boxset_stop(const struct strv *names, uint32_t grace_ms, struct boxset_stopped *ret, struct err **e);

#endif
