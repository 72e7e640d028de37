#include "guest/vmlive.h"

#include <time.h>

void vmlive_progress(struct vmlive *l, int64_t now, int64_t cpu)
{
	l->since = now;
	l->cpu = cpu;
}

static int64_t part(const struct vmlive *l, int divisor)
{
	return l->whole / divisor > VMLIVE_LEAST_MS ? l->whole / divisor : VMLIVE_LEAST_MS;
}

int64_t vmlive_spin_ms(const struct vmlive *l)
{
	return part(l, VMLIVE_SPIN_PART);
}

enum vmlive_verdict vmlive_check(const struct vmlive *l, int64_t now, int64_t cpu)
{
	if (l->whole == 0)
		return VMLIVE_FINE;
	if (cpu - l->cpu >= vmlive_spin_ms(l))
		return VMLIVE_SPINS;
	if (now - l->since >= part(l, VMLIVE_IDLE_PART) && (cpu - l->cpu) * VMLIVE_IDLE_SHARE < now - l->since)
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
