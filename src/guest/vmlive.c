#include "guest/vmlive.h"

#include <time.h>

void vmlive_progress(struct vmlive *l, int64_t now, int64_t cpu)
{
	*l = (struct vmlive){.since = now, .cpu = cpu};
}

enum vmlive_verdict vmlive_check(const struct vmlive *l, int64_t now, int64_t cpu)
{
	if (cpu - l->cpu >= VMLIVE_SPIN_MS)
		return VMLIVE_SPINS;
	if (now - l->since >= VMLIVE_IDLE_MS && (cpu - l->cpu) * VMLIVE_IDLE_SHARE < now - l->since)
		return VMLIVE_IDLES;
	return VMLIVE_FINE;
}

int64_t vmlive_cpu_ms(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		return 0;
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
