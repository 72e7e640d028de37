/* The three descriptors that are handed into a box. */
#ifndef IGLOO_SYS_STDIO_H
#define IGLOO_SYS_STDIO_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Refuses what would be a door: a folder (openat() below and above it works from inside) and descriptors opened with
 * O_PATH. Returns 0 or -EINVAL naming the stream. */
int stdio_check(const int fds[3], struct err **e);

/* What is handed in instead of 0, 1 and 2. A descriptor is more than its bytes: a file opened for reading can be opened
 * again for writing by /proc/self/fd, and its mode changed; a terminal can be kept by a process that stays in the box,
 * and read when the user types to another program. Those become pipes, with a small process that copies. */
struct stdio_guard {
	int fds[3]; /* CLOEXEC, to be handed over; stdio_guard_handed() closes them */
	pid_t pumps[3];
};

#define STDIO_GUARD_INIT        \
	{                       \
		{-1, -1, -1},   \
		{               \
			0, 0, 0 \
		}               \
	}

/* stdio_check() of 0, 1 and 2, then the guard. `stays`: the box outlives the command, so it gets no terminal. */
int stdio_guard_make(bool stays, struct stdio_guard *ret, struct err **e);
/* The box has its own copies now. */
void stdio_guard_handed(struct stdio_guard *g);
/* The command has ended: what it wrote goes out, then the copying ends. */
void stdio_guard_end(struct stdio_guard *g);

#endif
