/* No core files. */
#ifndef IGLOO_SYS_NOCORE_H
#define IGLOO_SYS_NOCORE_H

#include <stdbool.h>

/* This process and those that it starts leave no memory behind when they crash, neither in a file nor with a program
 * that the host's core_pattern pipes it to: those get a dump whatever the limit is, but when it is 1 (fs/coredump.c,
 * do_coredump()). `for_good`: not even when they ask for it. */
void nocore_set(bool for_good);

#endif
