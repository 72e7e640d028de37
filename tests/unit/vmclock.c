/* When a machine's clock is set (guest/vmclock.h). That the kernel cancels the timer when the host's clock is set, or
 * has slept, is not tried here: it would set the clock. */
#include "test.h"

#include "guest/vmclock.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MS = 1000000 };
#define AT (UINT64_C(1790000000) * 1000000000)

TEST(small_differences_stay)
{
	CHECK(!vmclock_is_off(AT, AT, false));
	CHECK(!vmclock_is_off(AT + UINT64_C(99) * MS, AT, false));
	CHECK(!vmclock_is_off(AT, AT + UINT64_C(9999) * MS, false));
	CHECK(!vmclock_is_off(AT, AT, true));
}

TEST(a_machine_that_lost_time_is_set_forward)
{
	CHECK(vmclock_is_off(AT + UINT64_C(101) * MS, AT, false));
	CHECK(vmclock_is_off(AT, 0, false));
	CHECK(vmclock_is_off(UINT64_MAX, 0, false));
}

/* A frame that waited for seconds in a busy machine's port is no reason. */
TEST(it_is_set_back_only_with_good_reason)
{
	CHECK(!vmclock_is_off(AT, AT + UINT64_C(3000) * MS, false));
	CHECK(vmclock_is_off(AT, AT + UINT64_C(10001) * MS, false));
	CHECK(vmclock_is_off(AT, AT + UINT64_C(3000) * MS, true));
	CHECK(vmclock_is_off(AT, AT + 1, true));
	CHECK(vmclock_is_off(AT + 1, AT, true));
}

TEST(timer)
{
	int fd = vmclock_open();
	struct itimerspec left;

	CHECK(fd >= 0);
	CHECK(vmclock_take(fd) == VMCLOCK_NOTHING);
	CHECK(timerfd_gettime(fd, &left) == 0 && left.it_value.tv_sec <= VMCLOCK_EVERY_S &&
	      left.it_value.tv_sec >= VMCLOCK_EVERY_S - 5);
	/* Its time comes: it is told, and waits again. */
	left.it_value.tv_sec = 0;
	left.it_value.tv_nsec = 1;
	CHECK(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &left, NULL) == 0);
	CHECK(vmclock_take(fd) == VMCLOCK_PERIOD);
	CHECK(vmclock_take(fd) == VMCLOCK_NOTHING);
	CHECK(timerfd_gettime(fd, &left) == 0 && left.it_value.tv_sec >= VMCLOCK_EVERY_S - 5);
	(void)close(fd);
}

TEST(now)
{
	CHECK(vmclock_now() / 1000000000 - (uint64_t)time(NULL) <= 1);
}

TEST_MAIN()
