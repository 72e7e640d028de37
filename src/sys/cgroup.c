/* Limits of processor time, memory and processes: what is asked, by which version, and the handle. */
#include "sys/cgroup.h"

#include "sys/cgroup_impl.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#define CPU_MILLI_MAX 8192000
#define MEMORY_MIN (64 << 10)
#define MEMORY_MAX ((uint64_t)INT64_MAX - 65535)
#define PIDS_MAX 4194304

bool cgroup_wants(const struct cgroup_limits *limits, enum cgroup_controller c)
{
	switch (c) {
	case CG_CPU:
		return limits->cpu_milli;
	case CG_MEMORY:
		return limits->memory;
	case CG_PIDS:
		return limits->pids;
	default:
		return false;
	}
}

uint64_t cgroup_cpu_period(const struct cgroup_limits *limits)
{
	return limits->cpu_milli < 10 ? 1000000 : 100000;
}

static bool wants_any(const struct cgroup_limits *limits)
{
	return limits->cpu_milli || limits->memory || limits->pids;
}

static int check_range(const struct cgroup_limits *limits, struct err **e)
{
	if (limits->cpu_milli > CPU_MILLI_MAX)
		return err_set(e, EINVAL, "cpu limit: %" PRIu64 " thousandths of a processor are more than %d",
			       limits->cpu_milli, CPU_MILLI_MAX);
	if (limits->memory && (limits->memory < MEMORY_MIN || limits->memory > MEMORY_MAX))
		return err_set(e, EINVAL, "memory limit: %" PRIu64 " bytes are not within 64 KiB and 8 EiB",
			       limits->memory);
	if (limits->pids > PIDS_MAX)
		return err_set(e, EINVAL, "limit of processes: %" PRIu64 " are more than %d", limits->pids, PIDS_MAX);
	return 0;
}

/* The first wanted controller that v2's root lacks, CG_COUNT when it has all. */
static enum cgroup_controller missing_v2(const struct cgroup_host *host, const struct cgroup_limits *limits)
{
	_cleanup_close_ int root = host->v2.dir ? cgroup_open(host, &host->v2, "") : -1;

	for (enum cgroup_controller c = 0; c < CG_COUNT; c++)
		if (cgroup_wants(limits, c) &&
		    (root < 0 || !cgroup_has_word(root, "cgroup.controllers", cgroup_controller_names[c])))
			return c;
	return CG_COUNT;
}

static enum cgroup_controller missing_v1(const struct cgroup_host *host, const struct cgroup_limits *limits)
{
	for (enum cgroup_controller c = 0; c < CG_COUNT; c++)
		if (cgroup_wants(limits, c) && !host->v1[c].dir)
			return c;
	return CG_COUNT;
}

static int no_controller(const struct cgroup_host *host, const struct cgroup_limits *limits, struct err **e)
{
	enum cgroup_controller c2 = missing_v2(host, limits);
	enum cgroup_controller c1 = missing_v1(host, limits);
	const char *name = cgroup_controller_names[c1];
	bool any_v1 = false;

	for (int c = 0; c < CG_COUNT; c++)
		any_v1 = any_v1 || host->v1[c].dir;
	if (!host->v2.dir && !any_v1) {
		(void)err_set(e, ENOTSUP, "%s limit: no cgroup file system is mounted here", name);
		return err_hint(e,
				"mount it as root: mount -t cgroup2 cgroup2 /sys/fs/cgroup (in a container: start the "
				"container with its own writable cgroup, e.g. podman run --cgroups=enabled "
				"--security-opt unmask=/sys/fs/cgroup)");
	}
	if (any_v1 && (host->v1[c2].dir || c1 != c2)) {
		(void)err_set(e, ENOTSUP,
			      "%s limit: the controllers are split between cgroup v1 and v2 on this machine, "
			      "and neither has all that is asked for",
			      name);
		return err_hint(e, "boot with systemd.unified_cgroup_hierarchy=1 on the kernel command line");
	}
	(void)err_set(e, ENOTSUP, "%s limit: the kernel offers no %s controller here%s%s", name, name,
		      host->v2.dir ? " at " : "", host->v2.dir ? host->v2.dir : "");
	return err_hint(e,
			"boot with cgroup_enable=%s and without cgroup_disable=%s on the kernel command line "
			"(in a container: have its host delegate the %s controller to it)",
			name, name, name);
}

const struct cgroup_ops *cgroup_choose(const struct cgroup_host *host, const struct cgroup_limits *limits,
				       struct err **e)
{
	if (missing_v2(host, limits) == CG_COUNT && host->v2.dir)
		return &cgroup_v2;
	if (missing_v1(host, limits) == CG_COUNT)
		return &cgroup_v1;
	(void)no_controller(host, limits, e);
	return NULL;
}

int cgroup_check_on(const struct cgroup_host *host, const struct cgroup_limits *limits, struct err **e)
{
	const struct cgroup_ops *ops;
	int r = check_range(limits, e);

	if (r < 0 || !wants_any(limits))
		return r;
	ops = cgroup_choose(host, limits, e);
	return ops ? ops->check(host, limits, e) : -ENOTSUP;
}

int cgroup_check(const struct cgroup_limits *limits, struct err **e)
{
	_cleanup_cgroup_host_ struct cgroup_host host = {.fake = 0};
	int r;

	if (!wants_any(limits))
		return 0;
	r = cgroup_host_read(&host, e);
	return r < 0 ? r : cgroup_check_on(&host, limits, e);
}

static int check_name(const char *name, struct err **e)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i]))
			return err_set(e, EINVAL, "the name of a cgroup may hold letters, digits and ._- only");
	if (n == 0 || n > 128)
		return err_set(e, EINVAL, "the name of a cgroup has 1 to 128 bytes, not %zu", n);
	return 0;
}

int cgroup_create_on(const struct cgroup_host *host, const struct cgroup_ops *ops, const char *name,
		     const struct cgroup_limits *limits, struct cgroup **ret, struct err **e)
{
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	int r = check_name(name, e);

	if (r < 0)
		return r;
	r = ops->check(host, limits, e);
	if (r < 0)
		return r;
	cg = xcalloc(1, sizeof(*cg));
	cg->ops = ops;
	cg->folder = xasprintf(CGROUP_PREFIX "%s", name);
	cg->fake = host->fake;
	for (int c = 0; c < CG_COUNT; c++)
		cg->at[c] = -1;
	r = ops->create(host, limits, cg, e);
	if (r < 0)
		return r;
	*ret = take_ptr(cg);
	return 0;
}

int cgroup_create(const char *name, const struct cgroup_limits *limits, struct cgroup **ret, struct err **e)
{
	_cleanup_cgroup_host_ struct cgroup_host host = {.fake = 0};
	const struct cgroup_ops *ops;
	int r = check_range(limits, e);

	if (r < 0)
		return r;
	if (!wants_any(limits)) {
		*ret = NULL;
		return 0;
	}
	r = cgroup_host_read(&host, e);
	if (r < 0)
		return r;
	ops = cgroup_choose(&host, limits, e);
	return ops ? cgroup_create_on(&host, ops, name, limits, ret, e) : -ENOTSUP;
}

int cgroup_add(struct cgroup *cg, pid_t pid, struct err **e)
{
	return cg ? cg->ops->add(cg, pid, e) : 0;
}

int cgroup_fd(const struct cgroup *cg)
{
	return cg && cg->ops == &cgroup_v2 && cg->n ? cg->dirs[0].dir : -1;
}

int cgroup_events(struct cgroup *cg, struct cgroup_event_counts *ret, struct err **e)
{
	struct cgroup_event_counts counts = {0, 0};
	int r = cg ? cg->ops->events(cg, &counts, e) : 0;

	if (r == 0)
		*ret = counts;
	return r;
}

int cgroup_kill(struct cgroup *cg, struct err **e)
{
	return cg ? cg->ops->kill(cg, e) : 0;
}

int cgroup_remove(struct cgroup *cg, struct err **e)
{
	return cg ? cg->ops->remove(cg, e) : 0;
}

void cgroup_close(struct cgroup *cg)
{
	if (!cg)
		return;
	for (size_t i = 0; i < cg->n; i++) {
		(void)close_fd(cg->dirs[i].dir);
		(void)close_fd(cg->dirs[i].parent);
	}
	free(cg->folder);
	free(cg);
}

int cgroup_sweep(struct err **e)
{
	_cleanup_cgroup_host_ struct cgroup_host host = {.fake = 0};
	int removed;
	int r = cgroup_host_read(&host, e);

	if (r < 0)
		return r;
	removed = cgroup_v2.sweep(&host, e);
	if (removed < 0)
		return removed;
	r = cgroup_v1.sweep(&host, e);
	return r < 0 ? r : removed + r;
}

int cgroup_systemd_argv(const struct cgroup_limits *limits, struct strv *argv, struct err **e)
{
	_cleanup_cgroup_host_ struct cgroup_host host = {.fake = 0};
	int r = cgroup_host_read(&host, e);

	return r < 0 ? r : cgroup_systemd_argv_on(&host, limits, argv, e);
}

static void add_hints(struct err **e, const char *hints)
{
	_cleanup_strv_ struct strv lines = STRV_INIT;

	strv_split(&lines, hints, '\n');
	for (size_t i = 0; i < lines.n; i++)
		(void)err_hint(e, "%s", lines.v[i]);
}

int cgroup_plan(const struct cgroup_limits *limits, struct strv *argv, struct err **e)
{
	_cleanup_err_ struct err *here = NULL;
	_cleanup_err_ struct err *scope = NULL;
	int r = cgroup_check(limits, &here);

	if (r == -ENOTSUP) {
		if (cgroup_systemd_argv(limits, argv, &scope) == 0)
			return 1;
		/* Where a scope is no way at all (v1, root), saying so helps nobody: such errors have no hints. */
		if (scope && str_has(err_hints(scope))) {
			(void)err_set(e, ENOTSUP, "%s; and %s", err_message(here), err_message(scope));
			add_hints(e, err_hints(scope));
			return err_hint(e, "or run igloo as root");
		}
	}
	if (r < 0) {
		(void)err_set(e, -r, "%s", err_message(here));
		add_hints(e, err_hints(here));
	}
	return r;
}
