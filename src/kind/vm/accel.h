/* Which accelerator a machine gets: is there a KVM here that does what it says?
 *
 * A /dev/kvm can be there, make machines and processors and run them, and have no hardware behind it: each guest
 * instruction is then interpreted by the host's kernel, and a stock kernel never gets anywhere. It is told by its
 * speed: a loop of 100 000 rounds took 80 ms there, and takes well under 1 ms on hardware. So it is timed, in a child
 * that can be killed, best of three, and refused beyond 25 ms.
 *
 * The verdict of the timing is kept in a file "kvm-probe" of a folder that the caller gives (the runtime folder), for
 * the running boot, kernel and /dev/kvm; opening and asking it is quick and is done each time.
 * Sources: Linux Documentation/virt/kvm/api.rst; the figures are measured. */
#ifndef IGLOO_KIND_VM_ACCEL_H
#define IGLOO_KIND_VM_ACCEL_H

#include "base/err.h"

#include <stdbool.h>

enum accel { ACCEL_AUTO, ACCEL_KVM, ACCEL_TCG };

enum { ACCEL_LOOP_MAX_US = 25000, ACCEL_PROBE_MAX_MS = 2000 };

/* "auto", "kvm", "tcg"; -EINVAL naming them. */
int accel_parse(const char *name, enum accel *ret, struct err **e);
const char *accel_name(enum accel a);

struct accel_verdict {
	bool usable;
	bool cached;  /* the timing, if there is one */
	long loop_us; /* best of the timed loop; -1: not timed */
	char *why;    /* what is wrong, "" when it is usable; with what helps behind it */
};

void accel_verdict_release(struct accel_verdict *v);
#define _cleanup_accel_verdict_ ATTR_CLEANUP(accel_verdict_release)

/* Looks at KVM. `dir` keeps the timing (-1: nothing is kept); `device` is "/dev/kvm" or stands for it in a test. Never
 * fails: what goes wrong is the verdict. Needs some 10 ms the first time, ACCEL_PROBE_MAX_MS at most. */
void accel_probe(const char *device, int dir, struct accel_verdict *ret);

/* Whether the user is to be told `why`: not again in this boot of the host. `dir` keeps what was said ("kvm-said"; -1:
 * nothing is kept, so always). */
bool accel_is_news(int dir, const char *why);

/* ACCEL_KVM or ACCEL_TCG for a wish; *ret_verdict (released by the caller) says what was found, for `igloo doctor`.
 * ACCEL_TCG does not look: usable is false and why is "". -EOPNOTSUPP with a hint where KVM was demanded and is not
 * usable. */
int accel_choose(enum accel wish, int dir, enum accel *ret, struct accel_verdict *ret_verdict, struct err **e);

#endif
