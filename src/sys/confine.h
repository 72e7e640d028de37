/* A process of igloo's own that reads what a box sends shuts itself in, before the first byte.
 *
 * Afterwards it has no privilege and no way to one, one folder of the host as its root (read-only), namespaces of its
 * own of every kind but the pid namespace, no network, no new processes, nothing written to files, and the few system
 * calls of its filter. What it holds open stays open. Libraries are loaded before. */
#ifndef IGLOO_SYS_CONFINE_H
#define IGLOO_SYS_CONFINE_H

#include "base/err.h"

#include <linux/filter.h>
#include <stddef.h>

struct confine {
	const char *who;                  /* for messages */
	const char *root;                 /* absolute path of the folder that becomes "/" */
	const struct sock_filter *filter; /* made by seccomp/filter_gen.c */
	size_t n_filter;
	size_t memory; /* that it may take from now on (RLIMIT_DATA) */
};

/* For good. Fails where a part of it cannot be had; nothing is left out silently but this: a caller that is root and
 * whose user namespace has no uid 65534 keeps its uid (it is an ordinary user outside of that namespace). Root becomes
 * 65534 and so reads what everybody may read; an ordinary user stays itself. When the caller's parent dies, it does. */
int confine_close(const struct confine *c, struct err **e);

/* Closes all descriptors but these and 0 to 2, which become /dev/null; the order of `fds` is changed. Returns 0 or
 * -errno. */
int confine_keep_only(int *fds, size_t n);

#endif
