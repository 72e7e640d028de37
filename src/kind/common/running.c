#include "kind/common/running.h"

#include "kind/common/gateway.h"
#include "kind/common/rootfs.h"
#include "kind/common/setup.h"
#include "sys/childreport.h"
#include "sys/fd.h"
#include "sys/mnt.h"
#include "sys/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is done in a fork, which has the box's user namespace and no more of it yet. */
struct change {
	int (*run)(const struct change *c, int mntns, struct err **e);
	const struct hostpath *paths;
	size_t n;
	const struct box_spec *spec;
	struct gateway *gateway;
	pid_t pid;
	int anchor;
	bool monitored; /* the box's root is MONITOR_BOX in that of its first process */
};

static void ATTR_NORETURN change_run(const struct change *c, int userns, int mntns, int report)
{
	_cleanup_err_ struct err *e = NULL;
	int r = ns_join(userns, CLONE_NEWUSER);

	r = r < 0 ? err_errno(&e, -r, "cannot enter a running box") : c->run(c, mntns, &e);
	if (r < 0)
		childreport_fail(report, e);
	_exit(0);
}

static int change(pid_t pid, const struct change *c, struct err **e)
{
	char name[64];
	_cleanup_close_ int userns = -1;
	_cleanup_close_ int mntns = -1;
	int report[2];
	pid_t helper;
	int r;

	(void)snprintf(name, sizeof(name), "/proc/%d/ns/user", (int)pid);
	userns = open(name, O_RDONLY | O_CLOEXEC);
	(void)snprintf(name, sizeof(name), "/proc/%d/ns/mnt", (int)pid);
	mntns = open(name, O_RDONLY | O_CLOEXEC);
	if (userns < 0 || mntns < 0 || pipe2(report, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot reach the namespaces of process %d", (int)pid);
	helper = fork();
	if (helper == 0) {
		(void)close(report[0]);
		change_run(c, userns, mntns, report[1]);
	}
	(void)close(report[1]);
	r = helper < 0 ? err_errno(e, errno, "cannot fork") : childreport_wait(report[0], NULL, e);
	(void)close(report[0]);
	while (helper > 0 && waitpid(helper, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

static int enter_mounts(const struct change *c, int mntns)
{
	int r = ns_join(mntns, CLONE_NEWNS);

	/* Joining another one leads back out of it. */
	return r == 0 && c->monitored && (chroot("/" MONITOR_BOX) < 0 || chdir("/") < 0) ? -errno : r;
}

/* --- store paths ------------------------------------------------------------------------------------------------- */

enum { EXTEND_AT_ONCE = 16 };

/* The store that lies below a machine's own layer is read-only, and its mount points are to be made in it. */
static int add_path(int store, const char *path, int source)
{
	struct mount_attr open = {.attr_clr = MOUNT_ATTR_RDONLY};
	int r = rootfs_add_store_path(store, path, source);
	int k;

	if (r != -EROFS)
		return r;
	if (mount_setattr(store, "", AT_EMPTY_PATH, &open, sizeof(open)) < 0)
		return -errno;
	r = rootfs_add_store_path(store, path, source);
	k = rootfs_seal(store);
	return r < 0 ? r : k;
}

/* From a copy of the host's mounts into the box's, which is entered and left again. */
static int extend_some(const struct change *c, int host, int box, const struct hostpath *paths, size_t n)
{
	int sources[EXTEND_AT_ONCE];
	_cleanup_close_ int store = -1;
	size_t have = 0;
	int r = ns_join(host, CLONE_NEWNS);

	for (; have < n && r == 0; have += r == 0) {
		sources[have] = mnt_clone(AT_FDCWD, paths[have].source, 0);
		r = sources[have] < 0 ? sources[have] : 0;
	}
	if (r == 0)
		r = enter_mounts(c, box);
	if (r == 0 && (store = open("/nix/store", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		r = -errno;
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_path(store, paths[i].path, sources[i]);
	for (size_t i = 0; i < have; i++)
		(void)close_fd(sources[i]);
	return r;
}

/* A few at a time: there may be thousands, and each is a descriptor. */
static int extend(const struct change *c, int mntns, struct err **e)
{
	_cleanup_close_ int host = -1;
	int r = unshare(CLONE_NEWNS) < 0 ? -errno : mnt_private();

	if (r == 0 && (host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)) < 0)
		r = -errno;
	for (size_t i = 0; i < c->n && r == 0; i += EXTEND_AT_ONCE)
		r = extend_some(c, host, mntns, c->paths + i, c->n - i < EXTEND_AT_ONCE ? c->n - i : EXTEND_AT_ONCE);
	return r < 0 ? err_errno(e, -r, "cannot mount new store paths into a running box") : 0;
}

static int start_extend(struct change *c, pid_t pid, struct err **e)
{
	c->run = extend;
	if (!mnt_has_new_api())
		return err_set(e, ENOSYS, "this kernel cannot add store paths to a running box: stop it first");
	return change(pid, c, e);
}

int running_extend(pid_t pid, const struct hostpath *paths, size_t n, struct err **e)
{
	struct change c = {.paths = paths, .n = n};

	return start_extend(&c, pid, e);
}

int running_extend_monitored(pid_t pid, const struct hostpath *paths, size_t n, struct err **e)
{
	struct change c = {.paths = paths, .n = n, .monitored = true};

	return start_extend(&c, pid, e);
}

/* --- pins -------------------------------------------------------------------------------------------------------- */

enum mounted { MOUNTED, NOT_MOUNTED, UNKNOWN };

/* Kernels before 5.8 do not say. */
static enum mounted look(const char *path)
{
	struct statx stx;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &stx) < 0 ||
	    !(stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		return UNKNOWN;
	return stx.stx_attributes & STATX_ATTR_MOUNT_ROOT ? MOUNTED : NOT_MOUNTED;
}

static int repin_one(int root, const struct box_pin *pin, struct err **e)
{
	enum mounted mounted = look(pin->path);
	struct stat st;
	int r;

	/* Where the kernel does not say, a second mount on top does no harm; but it must be possible. */
	if (mounted == MOUNTED || (mounted == UNKNOWN && !mnt_has_new_api()) || lstat(pin->path, &st) < 0)
		return 0;
	/* Without the mount calls of 5.12 nothing can be mounted from here: better no box than an open one. */
	if (!mnt_has_new_api())
		return err_set(e, ENOSYS, "'%s' was replaced, and this kernel cannot protect it again", pin->path);
	r = setup_pin(root, pin, e);
	if (r != -ENOENT)
		return r;
	err_clear(e);
	return 0;
}

static int repin(const struct change *c, int mntns, struct err **e)
{
	_cleanup_close_ int root = -1;
	int r = enter_mounts(c, mntns);

	if (r == 0 && (root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		r = -errno;
	if (r < 0)
		return err_errno(e, -r, "cannot enter the box to protect what was replaced");
	for (size_t i = 0; i < c->spec->npins && r == 0; i++)
		r = repin_one(root, &c->spec->pins[i], e);
	return r;
}

int running_repin(pid_t pid, const struct box_spec *spec, struct err **e)
{
	const struct change c = {.run = repin, .spec = spec};

	return change(pid, &c, e);
}

int running_repin_monitored(pid_t pid, const struct box_spec *spec, struct err **e)
{
	const struct change c = {.run = repin, .spec = spec, .monitored = true};

	return change(pid, &c, e);
}

/* --- the gateway ------------------------------------------------------------------------------------------------- */

static int open_gateway(const struct change *c, int mntns, struct err **e)
{
	(void)mntns;
	return gateway_make_late(c->gateway, c->pid, e);
}

int running_open_gateway(pid_t pid, const struct box_spec *spec, struct engine_sockets *ret, struct err **e)
{
	struct gateway gateway = GATEWAY_INIT;
	const struct change c = {.run = open_gateway, .gateway = &gateway, .pid = pid};
	int r = gateway_prepare(&gateway, spec, false, e);

	if (r == 0)
		r = change(pid, &c, e);
	gateway_forked(&gateway);
	if (r == 0)
		r = gateway_take(&gateway, ret, e);
	gateway_release(&gateway);
	return r;
}

static int widen_gateway(const struct change *c, int mntns, struct err **e)
{
	(void)mntns;
	return gateway_widen(c->gateway, c->pid, c->anchor, e);
}

int running_widen_gateway(pid_t pid, const struct box_spec *spec, int anchor, int *ret_every, struct err **e)
{
	struct gateway gateway = GATEWAY_INIT;
	const struct change c = {.run = widen_gateway, .gateway = &gateway, .pid = pid, .anchor = anchor};
	int r = gateway_prepare(&gateway, spec, false, e);

	gateway.every = gateway.every && ret_every;
	if (r == 0)
		r = change(pid, &c, e);
	gateway_forked(&gateway);
	if (r == 0 && gateway.every)
		r = gateway_take_every(&gateway, ret_every, e);
	gateway_release(&gateway);
	return r;
}
