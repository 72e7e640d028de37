/* The forked side of a command, from fork to execve. */
#ifndef IGLOO_GUEST_CHILD_H
#define IGLOO_GUEST_CHILD_H

#include "wire/exec.h"

#include <stdint.h>

/* What comes through the report pipe when there is no execve; the end of the pipe alone means there was one. */
struct child_report {
	uint32_t errnum;
	uint32_t stage; /* enum msg_stage */
};

struct child {
	const struct exec *x;
	int stdio[3]; /* become 0, 1, 2; each > 2, or all -1 to keep the guest's /dev/null */
	int report;   /* CLOEXEC */
	bool set_user;
};

void child_run(const struct child *c) __attribute__((noreturn));

#endif
