/* What a machine's processes may not exceed: their number (a cgroup), and its memory (the kernel's own doing). */
#ifndef IGLOO_GUEST_VMLIMITS_H
#define IGLOO_GUEST_VMLIMITS_H

#include "wire/msg.h"

#include <sys/types.h>

/* At most `pids` processes and threads (0: any number), of which the guest with that number is one. It has started
 * none yet. 0 or -errno with *ret_what as what it was about. */
int vmlimits_set(int64_t pids, pid_t guest, const char **ret_what);
/* How often the limits were reached up to now; zeros where the kernel does not tell. */
void vmlimits_read(struct msg_limits *ret);

#endif
