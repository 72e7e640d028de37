/* The supervisor of a box: runs its command, serves those who want something of it, and ends it.
 *
 * One loop in one process: the guest's connection, the control socket and its clients, signals, the time
 * limit, and the output of a detached box. The process that calls supervise_run() is the supervisor; when
 * it dies, however it dies, the kernel kills the guest and with it everything in the box. */
#ifndef IGLOO_BOX_SUPERVISE_H
#define IGLOO_BOX_SUPERVISE_H

#include "box/box.h"
#include "wire/exec.h"

struct supervise_result {
	enum { SUPERVISE_EXITED, SUPERVISE_SIGNALLED, SUPERVISE_TIMED_OUT, SUPERVISE_STOPPED } how;
	int value;          /* exit code or signal; of the killed command for the last two */
	uint32_t oom_kills; /* of a machine: how often its limits were reached; others have a cgroup (sys/cgroup.h) */
	uint32_t forks_refused;
	bool stopped; /* somebody asked the box to end, however the command then did */
};

/* Blocks the signals that the loop takes care of; call it before the first fork, so that none is lost
 * between. `supervise_signals_restore()` undoes it (for a child that goes on to something else). */
void supervise_signals_block(void);
void supervise_signals_restore(void);

/* `main` NULL: the box has no command of its own and waits for those of others until it is told to end.
 *
 * Runs `main` (its flags are completed here; fds its three descriptors or NULL with EXEC_PTY: then the user's
 * terminal, stdin and stdout, is relayed to the command's own, unless the box is detached) in a box that was started,
 * until it ends. `on_started`, if not NULL, is called once when it runs. An error that says the command was not found
 * or cannot be executed has exit code 127 or 126. */
int supervise_run(struct box *box, struct exec *main, const int *fds, void (*on_started)(void *), void *user,
		  struct supervise_result *ret, struct err **e);

#endif
