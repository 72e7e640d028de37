#include "guest/vmclock.h"

#include "sys/fd.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifndef TFD_TIMER_CANCEL_ON_SET
#define TFD_TIMER_CANCEL_ON_SET (1 << 1)
#endif

enum { NS_PER_MS = 1000000 };

uint64_t vmclock_now(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* A timer of the clock itself, so that one set forward does not delay it; the kernel cancels it when the clock is set,
 * also when it finds after a sleep that it is (timerfd_create(2)). */
static int arm(int fd)
{
	struct itimerspec next = {0};

	if (clock_gettime(CLOCK_REALTIME, &next.it_value) < 0)
		return -errno;
	next.it_value.tv_sec += VMCLOCK_EVERY_S;
	return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &next, NULL) < 0 ? -errno : 0;
}

int vmclock_open(void)
{
	int fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd >= 0 && arm(fd) < 0)
		fd = close_fd(fd);
	return fd;
}

enum vmclock_news vmclock_take(int fd)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));
	bool was_set = n < 0 && errno == ECANCELED;

	if (n < 0 && !was_set)
		return VMCLOCK_NOTHING;
	(void)arm(fd);
	return was_set ? VMCLOCK_SET : VMCLOCK_PERIOD;
}

bool vmclock_is_off(uint64_t host, uint64_t own, bool was_set)
{
	if (was_set)
		return host != own;
	return host > own ? host - own > (uint64_t)VMCLOCK_BEHIND_MS * NS_PER_MS
			  : own - host > (uint64_t)VMCLOCK_AHEAD_MS * NS_PER_MS;
}
