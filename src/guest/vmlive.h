/* Does a machine that has not said HELLO still get anywhere?
 *
 * By the clock alone a busy host's machine looks as one that hangs. So what counts is the processor time that QEMU has
 * used since the machine last got further: a start by TCG takes some 3 s of it in all, a kernel that spins takes what
 * there is. One that waits for ever takes next to nothing, for a minute. Both figures are parts of the whole time that
 * a start may take, 3 minutes by TCG: a machine with a system of its own may take longer. */
#ifndef IGLOO_GUEST_VMLIVE_H
#define IGLOO_GUEST_VMLIVE_H

#include <stdint.h>
#include <sys/types.h>

enum { VMLIVE_SPIN_PART = 4, VMLIVE_IDLE_PART = 3, VMLIVE_IDLE_SHARE = 33, VMLIVE_LEAST_MS = 10000 };

/* All in ms. */
struct vmlive {
	int64_t since; /* when it last got further */
	int64_t cpu;   /* what QEMU had used then */
	int64_t whole; /* 0: it is never given up */
};

enum vmlive_verdict { VMLIVE_FINE, VMLIVE_SPINS, VMLIVE_IDLES };

void vmlive_progress(struct vmlive *l, int64_t now, int64_t cpu);
/* Of processor time without getting further. */
int64_t vmlive_spin_ms(const struct vmlive *l);
enum vmlive_verdict vmlive_check(const struct vmlive *l, int64_t now, int64_t cpu);
/* Processor time of all threads of a process, 0 when it is gone. */
int64_t vmlive_cpu_ms(pid_t pid);

#endif
