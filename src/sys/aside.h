/* Work done aside: in a child process, so that what it loads, allocates and leaks ends with it.
 *
 * A box's supervisor lives as long as its box. Hashing loads libcrypto, which never unloads, and resolving grows
 * the heap; neither must stay resident while the box runs. */
#ifndef IGLOO_SYS_ASIDE_H
#define IGLOO_SYS_ASIDE_H

#include "base/err.h"
#include "base/str.h"

enum { ASIDE_ANSWER_MAX = 1 << 20 };

/* Runs `work(arg)` in a child and waits for it. What it adds to `answer` (up to ASIDE_ANSWER_MAX bytes, also when it
 * fails) and its error, whole, come back; nothing else does. The child is this process's copy: same group, terminal
 * and standard descriptors; it is killed when this process dies. Returns what the work returned; -EIO when the child
 * was killed, and -errno when there is no process or pipe to be had. Only for a process without threads. */
int aside_run(int (*work)(void *arg, struct str *answer, struct err **e), void *arg, struct str *answer,
	      struct err **e);

#endif
