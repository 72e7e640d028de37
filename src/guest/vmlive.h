/* Does a machine that has not said HELLO still get anywhere?
 *
 * By the clock alone a busy host's machine looks as one that hangs. So what counts is the processor time that QEMU has
 * used since the machine last got further: a start by TCG takes some 3 s of it in all, a kernel that spins takes what
 * there is. One that waits for ever takes next to nothing, for a minute. */
#ifndef IGLOO_GUEST_VMLIVE_H
#define IGLOO_GUEST_VMLIVE_H

#include <stdint.h>
#include <sys/types.h>

enum { VMLIVE_SPIN_MS = 45000, VMLIVE_IDLE_MS = 60000, VMLIVE_IDLE_SHARE = 33 };

/* All in ms. Zeroed: at the start of everything. */
struct vmlive {
	int64_t since; /* when it last got further */
	int64_t cpu;   /* what QEMU had used then */
};

enum vmlive_verdict { VMLIVE_FINE, VMLIVE_SPINS, VMLIVE_IDLES };

void vmlive_progress(struct vmlive *l, int64_t now, int64_t cpu);
enum vmlive_verdict vmlive_check(const struct vmlive *l, int64_t now, int64_t cpu);
/* Processor time of all threads of a process, 0 when it is gone. */
int64_t vmlive_cpu_ms(pid_t pid);

#endif
