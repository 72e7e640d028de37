/* Limits of processor time, memory and processes for a group of processes.
 *
 * One folder of the kernel's cgroup file system per box: /…/igloo/box-NAME, made below a cgroup that
 * this user may divide (Theory of operation: cgroupv1.c and cgroupv2.c). The maker holds a flock on the
 * folder for as long as it keeps the handle, so a folder without lock and without processes was left
 * behind by a killed igloo: cgroup_sweep() removes those.
 *
 * What is asked for is enforced or refused: no function here succeeds with less. All limits are off
 * where they are 0; a box that asks for none needs no cgroup, and its handle is NULL, which every
 * function accepts.
 *
 * Swap: on v2 a box with a memory limit gets none (memory.swap.max = 0). On v1 memory and swap together
 * are held to the limit (memory.memsw.limit_in_bytes); where the kernel does not account for swap
 * (swapaccount=0), the box's pages are kept out of swap instead (memory.swappiness = 0). */
#ifndef IGLOO_SYS_CGROUP_H
#define IGLOO_SYS_CGROUP_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

struct cgroup;

struct cgroup_limits {
	uint64_t cpu_milli; /* thousandths of a processor, at most 8 192 000 */
	uint64_t memory;    /* bytes, at least 64 KiB */
	uint64_t pids;      /* processes and threads, at least 1 */
};

struct cgroup_event_counts {
	uint64_t oom_kills;    /* processes killed because the memory limit was reached */
	uint64_t pids_refused; /* forks and threads refused because the limit of processes was reached */
};

/* Could cgroup_create() enforce these limits here? Changes nothing. 0, or -ENOTSUP with the reason on
 * this machine as the message and the command or setting that enables it as hints, or -EINVAL for a
 * limit out of range. */
int cgroup_check(const struct cgroup_limits *limits, struct err **e);

/* The same, for a command that can start itself anew: 0 when cgroup_create() can do it here; 1 when it can
 * once the command runs through `argv` (see cgroup_systemd_argv), which was added to; -ENOTSUP with the
 * reasons why neither works, or -EINVAL. */
int cgroup_plan(const struct cgroup_limits *limits, struct strv *argv, struct err **e);

/* Makes the cgroup with its limits set. `name`: 1 to 128 of A-Za-z0-9._- . A folder of that name left by
 * a killed igloo is replaced; one that is in use is -EEXIST. Otherwise fails as cgroup_check() does.
 *
 * On v2, the first call in a delegated cgroup moves the processes in it (this one among them) to its
 * leaf igloo-supervisor, because a v2 cgroup with limited children may hold no processes itself. */
int cgroup_create(const char *name, const struct cgroup_limits *limits, struct cgroup **ret, struct err **e);

/* Moves the process (0: the caller) in; what it forks from then on is in too. Move it before it runs
 * anything: memory already in use is not charged again. */
int cgroup_add(struct cgroup *cg, pid_t pid, struct err **e);
/* For clone3(CLONE_INTO_CGROUP): the folder's descriptor on v2, still owned by the handle; -1 on v1
 * and for NULL, where cgroup_add() is the way. */
int cgroup_fd(const struct cgroup *cg);

/* What the limits did so far. */
int cgroup_events(struct cgroup *cg, struct cgroup_event_counts *ret, struct err **e);
/* Kills every process in it and waits until they are gone, at most 10 s (-ETIMEDOUT). */
int cgroup_kill(struct cgroup *cg, struct err **e);
/* Removes the folder and what was made below it; waits at most 2 s for processes on their way out.
 * -EBUSY when some live on (see cgroup_kill). Removing twice is fine. */
int cgroup_remove(struct cgroup *cg, struct err **e);
/* Gives the handle up and leaves the folder. Accepts NULL. */
void cgroup_close(struct cgroup *cg);

static inline void cgroup_closep(struct cgroup **cg)
{
	cgroup_close(*cg);
}
#define _cleanup_cgroup_ ATTR_CLEANUP(cgroup_closep)

/* Removes the cgroups that killed igloos left without processes, where this process would make its own
 * ones. Returns how many, or -errno; a machine without usable cgroups has none (0). */
int cgroup_sweep(struct err **e);

/* The command line that starts a program in a delegated scope of the user's systemd, to put in front of
 * igloo's own: "systemd-run --user --scope … --". For an ordinary user on cgroup v2 whose shell is not in
 * a delegated cgroup (a login over ssh, most terminals): call it when cgroup_check() says -ENOTSUP, then
 * execvp() the result. Environment, folder, terminal and descriptors stay as they are. The scope ends with
 * its last process. Adds to `argv`; -ENOTSUP with the reason when that would not help (v1, root, no user
 * manager, a controller the user manager was not given, or already inside such a scope). */
int cgroup_systemd_argv(const struct cgroup_limits *limits, struct strv *argv, struct err **e);

#endif
