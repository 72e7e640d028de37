/* cgroup v2.
 *
 * Theory of operation: there is one hierarchy, and it has three rules (cgroup-v2.rst). A controller limits
 * the children of a cgroup only when the cgroup's cgroup.subtree_control names it. A cgroup that does so
 * may hold no processes itself ("no internal processes"; the root of the machine is exempt). And a
 * process may be moved only by who may write cgroup.procs of both places and of their common ancestor.
 *
 * So igloo needs a base: a cgroup that it may divide. In this order:
 *   1. the parent of igloo-supervisor, when this process is in that leaf already;
 *   2. its own cgroup, when that was delegated to it: systemd marks those (xattr user.delegate or
 *      trusted.delegate), and cgroup_systemd_argv() gives its scopes a name of igloo's own, because the
 *      user's systemd before 251 sets no mark;
 *   3. the root of the mount, when it may write that: root on the machine, or in a container with a
 *      cgroup namespace of its own.
 * When the base is this process's own cgroup (2, and 3 in a container), the processes in it move to the
 * leaf BASE/igloo-supervisor first. Boxes are BASE/igloo/box-NAME.
 *
 * Merely writable folders are left alone: below user@UID.service they belong to the user's systemd. */
#include "sys/cgroup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define KILL_MS 10000
#define REMOVE_MS 2000
/* How often processes that appear in the base are moved on before giving up. */
#define MOVE_ROUNDS 64
#define SCOPE_PREFIX "igloo-"

struct place {
	int base;
	char *path;     /* of the base, for messages */
	bool move_away; /* its processes have to go to the leaf first */
};

static void place_release(struct place *p)
{
	(void)close_fd(p->base);
	free(p->path);
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_own_scope(const char *own)
{
	const char *name = last_name(own);

	return str_starts(name, SCOPE_PREFIX) && str_ends(name, ".scope");
}

static bool has_mark(int dir, const char *name)
{
	char value[8];
	ssize_t n = fgetxattr(dir, name, value, sizeof(value));

	return n > 0 && value[0] == '1';
}

static bool is_delegated(int dir, const char *own)
{
	return has_mark(dir, "user.delegate") || has_mark(dir, "trusted.delegate") || is_own_scope(own);
}

/* Only the root of the machine lacks this file. */
static bool is_true_root(int dir)
{
	return faccessat(dir, "cgroup.events", F_OK, AT_EACCESS) < 0;
}

static bool may_divide(int dir)
{
	return faccessat(dir, ".", W_OK | X_OK, AT_EACCESS) == 0 && cgroup_writable(dir, "cgroup.procs") &&
	       cgroup_writable(dir, "cgroup.subtree_control");
}

/* Tries `below` as the base. 0 when it may be divided, -EACCES or another -errno when not. */
static int try_base(const struct cgroup_host *host, const char *below, bool move_away, struct place *ret)
{
	_cleanup_close_ int fd = cgroup_open(host, &host->v2, below);

	if (fd < 0)
		return fd;
	if (!may_divide(fd))
		return -errno;
	ret->path = cgroup_path(&host->v2, below);
	ret->base = take_fd(&fd);
	ret->move_away = move_away;
	return 0;
}

static int find_place(const struct cgroup_host *host, struct place *ret)
{
	const char *own = host->v2.own;
	_cleanup_close_ int root = cgroup_open(host, &host->v2, "");

	if (root < 0)
		return root;
	if (own) {
		_cleanup_close_ int fd = cgroup_open(host, &host->v2, own);

		if (strcmp(last_name(own), CGROUP_LEAF) == 0) {
			const char *leaf = last_name(own);
			_cleanup_free_ char *parent = xstrndup(own, leaf == own ? 0 : (size_t)(leaf - own) - 1);

			if (try_base(host, parent, false, ret) == 0)
				return 0;
		}
		if (fd >= 0 && *own && is_delegated(fd, own) && try_base(host, own, true, ret) == 0)
			return 0;
	}
	return try_base(host, "", own && !*own && !is_true_root(root), ret);
}

static int refuse(const struct cgroup_host *host, int errnum, struct err **e)
{
	_cleanup_free_ char *own = cgroup_path(&host->v2, host->v2.own ? host->v2.own : "");

	if (errnum == EROFS) {
		(void)err_set(e, ENOTSUP, "resource limits: %s is mounted read-only", host->v2.dir);
		return err_hint(
			e,
			"as root: mount -o remount,rw %s (in a container: start it with a writable cgroup of its "
			"own, e.g. podman run --security-opt unmask=/sys/fs/cgroup)",
			host->v2.dir);
	}
	if (errnum != EACCES && errnum != EPERM)
		return err_set(e, ENOTSUP, "resource limits: cannot use the cgroups below %s: %s", host->v2.dir,
			       strerror(errnum));
	(void)err_set(e, ENOTSUP, "resource limits: the cgroup of this session, %s, was not delegated to user %u", own,
		      (unsigned)geteuid());
	(void)err_hint(e,
		       "start igloo in a delegated scope: systemd-run --user --scope --collect -q -p Delegate=yes -- "
		       "igloo ...");
	return err_hint(e, "or run igloo as root");
}

/* user@UID.service as it comes gives a user memory and pids only (cpu since systemd 252). */
static int hint_delegate(struct err **e)
{
	return err_hint(
		e,
		"as root: mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu memory "
		"pids\\n' >/etc/systemd/system/user@.service.d/igloo.conf && systemctl daemon-reload; then log in "
		"anew (or: systemctl restart user@%u.service)",
		(unsigned)geteuid());
}

int cgroup_has_controllers(int dir, const char *path, const struct cgroup_limits *limits, struct err **e)
{
	for (enum cgroup_controller c = 0; c < CG_COUNT; c++) {
		const char *name = cgroup_controller_names[c];

		if (!cgroup_wants(limits, c) || cgroup_has_word(dir, "cgroup.controllers", name))
			continue;
		(void)err_set(e, ENOTSUP, "%s limit: the controller was not delegated to the cgroup %s", name, path);
		if (strstr(path, "user@"))
			return hint_delegate(e);
		return err_hint(e, "add '%s' to the cgroup.subtree_control of each cgroup above it, as root", name);
	}
	return 0;
}

static int v2_place(const struct cgroup_host *host, const struct cgroup_limits *limits, struct place *ret,
		    struct err **e)
{
	int r = find_place(host, ret);

	if (r < 0 || !ret->path)
		return refuse(host, -r, e);
	return cgroup_has_controllers(ret->base, ret->path, limits, e);
}

static int v2_check(const struct cgroup_host *host, const struct cgroup_limits *limits, struct err **e)
{
	ATTR_CLEANUP(place_release) struct place place = {.base = -1};

	return v2_place(host, limits, &place, e);
}

/* Moves every process in the base to its leaf. 0 or -errno. */
static int empty_base(int base, int fake)
{
	_cleanup_close_ int leaf = -1;

	if (mkdirat(base, CGROUP_LEAF, 0755) < 0 && errno != EEXIST)
		return -errno;
	leaf = openat(base, CGROUP_LEAF, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (leaf < 0)
		return -errno;
	for (int round = 0; round < MOVE_ROUNDS; round++) {
		_cleanup_free_ pid_t *pids = NULL;
		size_t n = 0;
		int r = cgroup_pids(base, &pids, &n);

		if (r < 0 || n == 0)
			return r;
		for (size_t i = 0; i < n; i++) {
			if (pids[i] == 0)
				return -EBUSY;
			r = cgroup_putu(leaf, "cgroup.procs", (uint64_t)pids[i], fake);
			if (r < 0 && r != -ESRCH)
				return r;
		}
		if (fake)
			return 0;
	}
	return -EBUSY;
}

/* Lets the children of the cgroup be limited by what is asked for. */
static int enable(int dir, const struct cgroup_limits *limits, int fake)
{
	_cleanup_str_ struct str words = STR_INIT;

	for (enum cgroup_controller c = 0; c < CG_COUNT; c++)
		if (cgroup_wants(limits, c) &&
		    !cgroup_has_word(dir, "cgroup.subtree_control", cgroup_controller_names[c]))
			str_addf(&words, "%s+%s", words.len ? " " : "", cgroup_controller_names[c]);
	return words.len ? cgroup_put(dir, "cgroup.subtree_control", words.p, fake) : 0;
}

static int enable_base(struct place *place, const struct cgroup_limits *limits, int fake)
{
	int r = -EBUSY;

	/* Anew when a process came between the moving and the switching on. */
	for (int i = 0; i < 8 && r == -EBUSY; i++) {
		r = place->move_away ? empty_base(place->base, fake) : 0;
		if (r == 0)
			r = enable(place->base, limits, fake);
	}
	return r;
}

/* Is any swap in use on this machine? The first line of /proc/swaps is a heading. */
static bool has_swap(void)
{
	_cleanup_str_ struct str text = STR_INIT;
	const char *line;

	if (cgroup_get(AT_FDCWD, "/proc/swaps", &text) < 0)
		return false;
	line = strchr(str_text(&text), '\n');
	return line && line[1];
}

static int v2_limit(int dir, const struct cgroup_limits *limits, int fake)
{
	uint64_t period = cgroup_cpu_period(limits);
	char text[64];
	int r = 0;

	if (limits->cpu_milli) {
		(void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, limits->cpu_milli * period / 1000, period);
		r = cgroup_put(dir, "cpu.max", text, fake);
	}
	if (r == 0 && limits->memory) {
		r = cgroup_putu(dir, "memory.max", limits->memory, fake);
		/* The file is missing where the kernel has no swap (nor then the box). */
		if (r == 0)
			r = cgroup_put(dir, "memory.swap.max", "0", fake);
		if (r == -ENOENT && !has_swap())
			r = 0;
	}
	if (r == 0 && limits->pids)
		r = cgroup_putu(dir, "pids.max", limits->pids, fake);
	return r;
}

static int v2_create(const struct cgroup_host *host, const struct cgroup_limits *limits, struct cgroup *cg,
		     struct err **e)
{
	ATTR_CLEANUP(place_release) struct place place = {.base = -1};
	_cleanup_close_ int parent = -1;
	_cleanup_close_ int dir = -1;
	int r = v2_place(host, limits, &place, e);

	if (r < 0)
		return r;
	r = enable_base(&place, limits, cg->fake);
	if (r == -EBUSY) {
		(void)err_set(e, ENOTSUP,
			      "resource limits: the cgroup %s holds processes that cannot be moved out of it",
			      place.path);
		return err_hint(e, "start igloo in a scope of its own: systemd-run --user --scope --collect -q -p "
				   "Delegate=yes -- igloo ...");
	}
	if (r < 0)
		return err_errno(e, -r, "cannot enable limits for the children of %s", place.path);
	parent = cgroup_make_parent(place.base);
	r = parent < 0 ? parent : enable(parent, limits, cg->fake);
	if (r < 0)
		return err_errno(e, -r, "cannot use %s/" CGROUP_PARENT, place.path);
	dir = cgroup_make_box(parent, cg->folder);
	if (dir == -EEXIST)
		return err_set(e, EEXIST, "cgroup '%s' is in use", cg->folder);
	if (dir < 0)
		return err_errno(e, -dir, "cannot make cgroup '%s' below %s", cg->folder, place.path);
	r = v2_limit(dir, limits, cg->fake);
	if (r < 0) {
		(void)cgroup_rmdir(parent, cg->folder, cg->fake);
		return err_errno(e, -r, "cannot set the limits of cgroup '%s' below %s", cg->folder, place.path);
	}
	cg->dirs[cg->n++] = (struct cgroup_dir){take_fd(&parent), take_fd(&dir)};
	for (enum cgroup_controller c = 0; c < CG_COUNT; c++)
		cg->at[c] = cgroup_wants(limits, c) ? 0 : -1;
	return 0;
}

static int v2_add(struct cgroup *cg, pid_t pid, struct err **e)
{
	int r = cgroup_putu(cg->dirs[0].dir, "cgroup.procs", (uint64_t)pid, cg->fake);

	if (r < 0)
		return err_errno(e, -r, "cannot move process %d into cgroup '%s'", (int)pid, cg->folder);
	return 0;
}

static int v2_events(struct cgroup *cg, struct cgroup_event_counts *ret, struct err **e)
{
	int r = 0;

	if (cg->at[CG_MEMORY] >= 0)
		r = cgroup_get_key(cg->dirs[0].dir, "memory.events", "oom_kill", &ret->oom_kills);
	if (r == 0 && cg->at[CG_PIDS] >= 0)
		r = cgroup_get_key(cg->dirs[0].dir, "pids.events", "max", &ret->pids_refused);
	return r < 0 ? err_errno(e, -r, "cannot read the events of cgroup '%s'", cg->folder) : 0;
}

/* Waits until no process is in the cgroup or below it. 0 or -ETIMEDOUT or another -errno. The kernel
 * wakes POLLPRI when cgroup.events changed since its last read through this descriptor. */
static int wait_empty(int dir, int64_t deadline)
{
	_cleanup_close_ int fd = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	for (;;) {
		struct pollfd events = {.fd = fd, .events = POLLPRI};
		int64_t left = deadline - cgroup_now_ms();
		char text[256];
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

		if (n < 0)
			return errno == ENODEV ? 0 : -errno; /* removed meanwhile */
		text[n] = '\0';
		if (strstr(text, "populated 0"))
			return 0;
		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&events, 1, (int)left) < 0 && errno != EINTR)
			return -errno;
	}
}

static int v2_kill(struct cgroup *cg, struct err **e)
{
	int64_t deadline = cgroup_now_ms() + KILL_MS;
	int dir = cg->dirs[0].dir;
	int r = cgroup_put(dir, "cgroup.kill", "1", 0);

	if (r == -ENOENT) { /* before Linux 5.14: frozen processes can be killed */
		if (cg->at[CG_PIDS] >= 0)
			(void)cgroup_put(dir, "pids.max", "0", 0);
		(void)cgroup_put(dir, "cgroup.freeze", "1", 0);
		r = cgroup_kill_rounds(dir, deadline);
		(void)cgroup_put(dir, "cgroup.freeze", "0", 0);
	}
	if (r == 0)
		r = wait_empty(dir, deadline);
	if (r == -ENODEV || r == -ENOENT) /* the folder is gone */
		r = 0;
	return r < 0 ? err_errno(e, -r, "cannot kill what runs in cgroup '%s'", cg->folder) : 0;
}

static int v2_remove(struct cgroup *cg, struct err **e)
{
	int64_t deadline = cgroup_now_ms() + REMOVE_MS;
	int r = cgroup_rmdir(cg->dirs[0].parent, cg->folder, cg->fake);

	while (r == -EBUSY && wait_empty(cg->dirs[0].dir, deadline) == 0 && cgroup_now_ms() < deadline)
		r = cgroup_rmdir(cg->dirs[0].parent, cg->folder, cg->fake);
	return r < 0 ? err_errno(e, -r, "cannot remove cgroup '%s'", cg->folder) : 0;
}

static int v2_sweep(const struct cgroup_host *host, struct err **e)
{
	ATTR_CLEANUP(place_release) struct place place = {.base = -1};
	_cleanup_close_ int parent = -1;

	(void)e;
	if (!host->v2.dir || find_place(host, &place) < 0)
		return 0;
	parent = openat(place.base, CGROUP_PARENT, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return parent < 0 ? 0 : cgroup_sweep_dir(parent);
}

const struct cgroup_ops cgroup_v2 = {
	.check = v2_check,
	.create = v2_create,
	.add = v2_add,
	.events = v2_events,
	.kill = v2_kill,
	.remove = v2_remove,
	.sweep = v2_sweep,
};
