/* cgroup v1 (legacy and hybrid).
 *
 * Theory of operation: each controller has a hierarchy of its own (or shares one), and a process has a
 * place in each. A v1 cgroup may hold processes and limited children at once, so the box's folder goes
 * straight below this process's own cgroup: OWN/igloo/box-NAME, in each hierarchy that a limit needs.
 * There it also stays within the limits of whoever started igloo. Who may write OWN (root) may do that;
 * for an ordinary user, root can hand over OWN/igloo: v1 lets a process be moved by its own user into a
 * folder that this user may write.
 *
 * v1 cannot kill a cgroup. To outrun a fork bomb, no new process is let in (pids.max = 0), all are stopped
 * where the freezer is there, killed, thawed, and killed again until none is left. */
#include "sys/cgroup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/syscall.h>

#define KILL_MS 10000
#define REMOVE_MS 2000
/* Where v1's rmdir is EBUSY without a process to wait for: one on its way out, which tells nobody. */
#define RETRY_MS 5

/* The folder that box folders go into, when it may be used: OWN/igloo if it is there, else OWN. */
static int usable(const struct cgroup_host *host, const struct cgroup_mount *m)
{
	_cleanup_free_ char *parent = xasprintf("%s%s%s", m->own, *m->own ? "/" : "", CGROUP_PARENT);
	_cleanup_close_ int fd = cgroup_open(host, m, parent);

	if (fd == -ENOENT)
		fd = cgroup_open(host, m, m->own);
	if (fd < 0)
		return fd;
	return faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/* The commands with which root gives this user the folders that the limits need. */
static int hint_hand_over(const struct cgroup_host *host, const struct cgroup_limits *limits, struct err **e)
{
	_cleanup_str_ struct str dirs = STR_INIT;

	for (enum cgroup_controller c = 0; c < CG_COUNT; c++) {
		_cleanup_free_ char *own = host->v1[c].own ? cgroup_path(&host->v1[c], host->v1[c].own) : NULL;
		_cleanup_free_ char *dir = own ? xasprintf("%s/" CGROUP_PARENT, own) : NULL;

		if (!dir || !cgroup_wants(limits, c))
			continue;
		str_addc(&dirs, ' ');
		str_add_quoted(&dirs, dir);
	}
	return err_hint(e, "for this session: sudo mkdir -p%s && sudo chown %u%s", str_text(&dirs), (unsigned)geteuid(),
			str_text(&dirs));
}

static int v1_refuse(const struct cgroup_host *host, const struct cgroup_limits *limits, enum cgroup_controller c,
		     int errnum, struct err **e)
{
	const struct cgroup_mount *m = &host->v1[c];
	const char *name = cgroup_controller_names[c];
	_cleanup_free_ char *dir = m->own ? cgroup_path(m, m->own) : NULL;

	if (!dir) {
		(void)err_set(e, ENOTSUP, "%s limit: this process's cgroup is not visible below %s", name, m->dir);
		return err_hint(e, "run igloo where the cgroup file system is the host's or the container's own");
	}
	if (errnum == EROFS) {
		(void)err_set(e, ENOTSUP, "%s limit: the cgroup v1 hierarchy %s is mounted read-only", name, m->dir);
		return err_hint(e,
				"as root: mount -o remount,rw %s (in a container: have it started with a writable "
				"cgroup file system)",
				m->dir);
	}
	if (errnum != EACCES && errnum != EPERM)
		return err_set(e, ENOTSUP, "%s limit: cannot use the cgroup v1 folder %s: %s", name, dir,
			       strerror(errnum));
	(void)err_set(e, ENOTSUP, "%s limit: the cgroup v1 folder %s is not writable by user %u", name, dir,
		      (unsigned)geteuid());
	(void)hint_hand_over(host, limits, e);
	(void)err_hint(
		e, "for good: boot with systemd.unified_cgroup_hierarchy=1 on the kernel command line; under cgroup "
		   "v2 systemd gives users their own limits");
	return err_hint(e, "or run igloo as root");
}

static int v1_check(const struct cgroup_host *host, const struct cgroup_limits *limits, struct err **e)
{
	for (enum cgroup_controller c = 0; c < CG_COUNT; c++) {
		const struct cgroup_mount *m = &host->v1[c];
		int r;

		if (!cgroup_wants(limits, c))
			continue;
		r = m->own ? usable(host, m) : -ENOENT;
		if (r < 0)
			return v1_refuse(host, limits, c, -r, e);
	}
	return 0;
}

/* Makes the box's folder in the controller's hierarchy, unless it was made for another controller. */
static int v1_enter(const struct cgroup_host *host, enum cgroup_controller c, struct cgroup *cg)
{
	_cleanup_close_ int own = -1;
	_cleanup_close_ int parent = -1;
	int dir;

	for (int i = 0; i < (int)c; i++)
		if (cg->at[i] >= 0 && strcmp(host->v1[i].dir, host->v1[c].dir) == 0) {
			cg->at[c] = cg->at[i];
			return 0;
		}
	own = cgroup_open(host, &host->v1[c], host->v1[c].own);
	if (own < 0)
		return own;
	parent = cgroup_make_parent(own);
	if (parent < 0)
		return parent;
	dir = cgroup_make_box(parent, cg->folder);
	if (dir < 0)
		return dir;
	cg->at[c] = (int)cg->n;
	cg->dirs[cg->n++] = (struct cgroup_dir){take_fd(&parent), dir};
	return 0;
}

static int limit_memory(int dir, uint64_t bytes, int fake)
{
	int r = cgroup_putu(dir, "memory.limit_in_bytes", bytes, fake);

	if (r < 0)
		return r;
	r = cgroup_putu(dir, "memory.memsw.limit_in_bytes", bytes, fake);
	/* The kernel does not account for swap: then none for this box. */
	return r == -ENOENT ? cgroup_put(dir, "memory.swappiness", "0", fake) : r;
}

static int v1_limit(struct cgroup *cg, enum cgroup_controller c, const struct cgroup_limits *limits)
{
	uint64_t period = cgroup_cpu_period(limits);
	int dir = cg->dirs[cg->at[c]].dir;
	int r;

	switch (c) {
	case CG_CPU:
		r = cgroup_putu(dir, "cpu.cfs_period_us", period, cg->fake);
		return r < 0 ? r : cgroup_putu(dir, "cpu.cfs_quota_us", limits->cpu_milli * period / 1000, cg->fake);
	case CG_MEMORY:
		return limit_memory(dir, limits->memory, cg->fake);
	case CG_PIDS:
		return cgroup_putu(dir, "pids.max", limits->pids, cg->fake);
	default:
		return 0;
	}
}

static int refuse_set(const struct cgroup_mount *m, const char *name, int errnum, struct err **e)
{
	_cleanup_free_ char *own = cgroup_path(m, m->own);

	return err_errno(e, errnum, "%s limit: cannot set it below %s", name, own);
}

static int v1_create(const struct cgroup_host *host, const struct cgroup_limits *limits, struct cgroup *cg,
		     struct err **e)
{
	for (enum cgroup_controller c = 0; c < CG_COUNT; c++) {
		const char *name = cgroup_controller_names[c];
		int r = 0;

		if (c == CG_FREEZER) { /* good to have, asked for by nobody */
			if (host->v1[c].dir && host->v1[c].own && usable(host, &host->v1[c]) == 0)
				(void)v1_enter(host, c, cg);
			continue;
		}
		if (!cgroup_wants(limits, c))
			continue;
		r = v1_enter(host, c, cg);
		if (r == 0)
			r = v1_limit(cg, c, limits);
		if (r == 0)
			continue;
		for (size_t i = 0; i < cg->n; i++)
			(void)cgroup_rmdir(cg->dirs[i].parent, cg->folder, cg->fake);
		if (r == -EEXIST)
			return err_set(e, EEXIST, "cgroup '%s' is in use", cg->folder);
		if (r == -EINVAL && c == CG_CPU)
			return err_set(e, ENOTSUP,
				       "cpu limit: %" PRIu64 ".%03" PRIu64 " processors are more than this "
				       "session itself was given",
				       limits->cpu_milli / 1000, limits->cpu_milli % 1000);
		return refuse_set(&host->v1[c], name, -r, e);
	}
	return 0;
}

static int v1_add(struct cgroup *cg, pid_t pid, struct err **e)
{
	for (size_t i = 0; i < cg->n; i++) {
		int r = cgroup_putu(cg->dirs[i].dir, "cgroup.procs", (uint64_t)pid, cg->fake);

		if (r < 0)
			return err_errno(e, -r, "cannot move process %d into cgroup '%s'", (int)pid, cg->folder);
	}
	return 0;
}

static int v1_events(struct cgroup *cg, struct cgroup_event_counts *ret, struct err **e)
{
	int r = 0;

	if (cg->at[CG_MEMORY] >= 0) /* the line is there since Linux 4.13 */
		r = cgroup_get_key(cg->dirs[cg->at[CG_MEMORY]].dir, "memory.oom_control", "oom_kill", &ret->oom_kills);
	if (r == 0 && cg->at[CG_PIDS] >= 0)
		r = cgroup_get_key(cg->dirs[cg->at[CG_PIDS]].dir, "pids.events", "max", &ret->pids_refused);
	return r < 0 ? err_errno(e, -r, "cannot read the events of cgroup '%s'", cg->folder) : 0;
}

static int v1_kill(struct cgroup *cg, struct err **e)
{
	int64_t deadline = cgroup_now_ms() + KILL_MS;
	int freezer = cg->at[CG_FREEZER];

	if (cg->at[CG_PIDS] >= 0)
		(void)cgroup_put(cg->dirs[cg->at[CG_PIDS]].dir, "pids.max", "0", 0);
	if (freezer >= 0 && cgroup_put(cg->dirs[freezer].dir, "freezer.state", "FROZEN", 0) == 0) {
		(void)cgroup_kill_once(cg->dirs[freezer].dir);
		(void)cgroup_put(cg->dirs[freezer].dir, "freezer.state", "THAWED", 0);
	}
	for (size_t i = 0; i < cg->n; i++) {
		int r = cgroup_kill_rounds(cg->dirs[i].dir, deadline);

		if (r < 0)
			return err_errno(e, -r, "cannot kill what runs in cgroup '%s'", cg->folder);
	}
	return 0;
}

/* Waits for the end of a process in the folder, at most until the deadline. */
static void wait_one(int dir, int64_t deadline)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	int64_t left = deadline - cgroup_now_ms();
	struct pollfd one = {.fd = -1, .events = POLLIN};

	if (cgroup_pids(dir, &pids, &n) == 0 && n > 0 && pids[0] > 0)
		one.fd = (int)syscall(SYS_pidfd_open, pids[0], 0);
	if (one.fd >= 0)
		(void)poll(&one, 1, left > 0 ? (int)left : 0);
	else
		(void)poll(NULL, 0, RETRY_MS);
	(void)close_fd(one.fd);
}

static int v1_remove(struct cgroup *cg, struct err **e)
{
	int64_t deadline = cgroup_now_ms() + REMOVE_MS;

	for (size_t i = 0; i < cg->n; i++) {
		int r = cgroup_rmdir(cg->dirs[i].parent, cg->folder, cg->fake);

		while (r == -EBUSY && cgroup_now_ms() < deadline) {
			wait_one(cg->dirs[i].dir, deadline);
			r = cgroup_rmdir(cg->dirs[i].parent, cg->folder, cg->fake);
		}
		if (r < 0)
			return err_errno(e, -r, "cannot remove cgroup '%s'", cg->folder);
	}
	return 0;
}

static int v1_sweep(const struct cgroup_host *host, struct err **e)
{
	int removed = 0;

	(void)e;
	for (int c = 0; c < CG_COUNT; c++) {
		const struct cgroup_mount *m = &host->v1[c];
		_cleanup_free_ char *path = NULL;
		_cleanup_close_ int parent = -1;
		int r;

		if (!m->dir || !m->own)
			continue;
		path = xasprintf("%s%s%s", m->own, *m->own ? "/" : "", CGROUP_PARENT);
		parent = cgroup_open(host, m, path);
		r = parent >= 0 ? cgroup_sweep_dir(parent) : 0;
		removed += r > 0 ? r : 0;
	}
	return removed;
}

const struct cgroup_ops cgroup_v1 = {
	.check = v1_check,
	.create = v1_create,
	.add = v1_add,
	.events = v1_events,
	.kill = v1_kill,
	.remove = v1_remove,
	.sweep = v1_sweep,
};
