/* What a machine is given when it is for a box: its configuration (vmconf.h), through the port, before anything else.
 *
 *     "igloo-is"  u32 length, little-endian  the text
 *
 * The host's side of the port sends it as soon as the machine has it open, so a machine that was stopped before that
 * and goes on elsewhere (vm.h) reads what is for it there. The text has these lines of PID 1's own in front:
 *
 *     time=NS     since 1970
 *     seed=HEX    VMGIVEN_SEED bytes of the host's random numbers, for this start alone */
#ifndef IGLOO_GUEST_VMGIVEN_H
#define IGLOO_GUEST_VMGIVEN_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum { VMGIVEN_HEADER = 12, VMGIVEN_SEED = 64 };

/* The host's side: all that is to be sent; `conf` is the file's path. 0 or -errno. */
int vmgiven_make(const char *conf, struct str *to);

/* The machine's side: the length of the text, at most max, or -EBADMSG. */
int vmgiven_length(const uint8_t header[VMGIVEN_HEADER], size_t max);
/* Waits for it, however long; `port` does not block. Returns how many bytes it has, or -errno. */
int vmgiven_read(int port, char *text, size_t max);
/* The kernel's random numbers are others from here on, and cannot be known from what it had before. 0 or -errno. */
int vmgiven_seed(const char *hex);

#endif
