/* Forks a process that works for one box and is shut in: it has a control socket to its supervisor and a few
 * descriptors more, nothing of the supervisor's environment, and ends with it. */
#ifndef IGLOO_NET_CONFINED_H
#define IGLOO_NET_CONFINED_H

#include "base/err.h"

#include <sys/types.h>

enum { CONFINED_FDS_MAX = 80 };

struct confined {
	const char *name; /* of the process, at most 15 letters */
	const char *what; /* begins its errors */
	const int *fds;   /* what it keeps, by the same numbers, -1 ignored */
	size_t nfds;
	/* Before it shuts itself in: loads what it needs. */
	int (*prepare)(void *arg, int control, struct err **e);
	/* One of net/seal.h. */
	int (*seal)(struct err **e);
	/* Works until it ends. */
	void (*serve)(void *arg);
};

/* Returns when it is shut in and serves, or with its error. *ret_control: SOCK_SEQPACKET, non-blocking on this side. */
int confined_start(const struct confined *what, void *arg, pid_t *ret_pid, int *ret_control, struct err **e);

#endif
