/* A process that works for one box and is shut in (sys/confine.h): forked, with a control socket to its supervisor and
 * a few descriptors more, nothing of the supervisor's environment, and ends with it. */
#ifndef IGLOO_SYS_CONFINED_H
#define IGLOO_SYS_CONFINED_H

#include "base/err.h"
#include "sys/confine.h"

#include <sys/types.h>

struct confined {
	const char *name; /* of the process, at most 15 letters */
	const char *what; /* begins its errors */
	const int *fds;   /* what it keeps, by the same numbers, -1 ignored */
	size_t nfds;
	/* Before it shuts itself in: loads what it needs. NULL: nothing. */
	int (*prepare)(void *arg, int control, struct err **e);
	const struct confine *walls;
	/* The first thing in its new root; can still fail. NULL: nothing. */
	int (*arrive)(void *arg, struct err **e);
	/* Works until it ends. */
	void (*serve)(void *arg);
};

/* Returns when it is shut in and serves, or with its error. *ret_control: SOCK_SEQPACKET, non-blocking on this side and
 * on the other. It ends when the process has. */
int confined_start(const struct confined *what, void *arg, pid_t *ret_pid, int *ret_control, struct err **e);

/* Kills it, whatever it does, and waits for it; its wait status. 0 for a pid of 0 or less. */
int confined_end(pid_t pid);

#endif
