/* The three descriptors that are handed into a box. */
#ifndef IGLOO_SYS_STDIO_H
#define IGLOO_SYS_STDIO_H

#include "base/err.h"

/* Refuses what would be a door: a folder (openat() below and above it works from inside) and descriptors opened with
 * O_PATH. Returns 0 or -EINVAL naming the stream. */
int stdio_check(const int fds[3], struct err **e);

#endif
