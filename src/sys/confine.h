/* A process of igloo's own that reads what a box or a host sends shuts itself in, before the first byte.
 *
 * Afterwards it has no privilege and no way to one; a root that is empty or one folder of the host, read-only;
 * namespaces of its own of every kind but the pid namespace; no new processes, nothing written to files, and the few
 * system calls of its filter. What it holds open stays open. Libraries are loaded before. */
#ifndef IGLOO_SYS_CONFINE_H
#define IGLOO_SYS_CONFINE_H

#include "base/err.h"

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

struct confine {
	const char *who;  /* for messages */
	const char *root; /* absolute path of the folder that becomes "/"; NULL: an empty one */
	/* Reaches the caller's network, and looks up names there: an empty root has copies of the files in /etc for it.
	 * Else it has a network of its own, with nothing in it. */
	bool network;
	const struct sock_filter *filter; /* made by seccomp/filter_gen.c */
	size_t n_filter;
	size_t memory; /* that it may take from now on (RLIMIT_DATA); 0: no limit */
};

/* For good. Fails where a part of it cannot be had; nothing is left out silently but this: a caller that is root and
 * whose user namespace has no uid 65534 keeps its uid (it is an ordinary user outside of that namespace). Root becomes
 * 65534 and so reads what everybody may read; an ordinary user stays itself. When the caller's parent dies, it does. */
int confine_close(const struct confine *c, struct err **e);

#endif
