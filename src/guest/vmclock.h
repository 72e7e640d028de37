/* A machine's clock follows the host's.
 *
 * The host's side says what time it is (FRAME_TIME) when the machine's guest says HELLO, whenever the host's clock was
 * set, which includes that the host slept, and once in a while; the machine's side sets its clock. A frame may have
 * waited, and then what it says is too early: so a machine's clock is set back only when the host says that its own was
 * set, or when the difference is more than any frame waits. */
#ifndef IGLOO_GUEST_VMCLOCK_H
#define IGLOO_GUEST_VMCLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { VMCLOCK_EVERY_S = 60, VMCLOCK_BEHIND_MS = 100, VMCLOCK_AHEAD_MS = 10000 };

/* The host's side: a descriptor that is readable when the time is to be told again; -1 where there is none. */
int vmclock_open(void);
enum vmclock_news { VMCLOCK_NOTHING, VMCLOCK_PERIOD, VMCLOCK_SET };
/* Why it was readable; and makes it wait for the next time. */
enum vmclock_news vmclock_take(int fd);
/* ns since 1970 */
uint64_t vmclock_now(void);

/* The machine's side: is a clock that says `own` to be set to `host`? */
bool vmclock_is_off(uint64_t host, uint64_t own, bool was_set);

#endif
