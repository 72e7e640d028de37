#include "sys/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PROC_FD_LEN = sizeof("/proc/self/fd/") + 12 };

static void proc_fd(char path[PROC_FD_LEN], int fd)
{
	(void)snprintf(path, PROC_FD_LEN, "/proc/self/fd/%d", fd);
}

static bool exists(int result)
{
	return result >= 0 || errno != ENOSYS;
}

bool mnt_has_new_api(void)
{
	static int known = -1;

	if (known < 0) {
		/* Descriptors that are not open: EBADF where the call exists. mount_setattr and move_mount say EPERM
		 * first to who may not mount, which the supervisor of an ordinary user may not; open_tree says it only
		 * where a seccomp filter does. All three are asked, since a filter may know only some. */
		struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

		known = exists(mount_setattr(-1, "", AT_EMPTY_PATH, &attr, sizeof(attr))) &&
			exists(open_tree(-1, "", AT_EMPTY_PATH | OPEN_TREE_CLOEXEC)) && errno != EPERM &&
			exists(move_mount(-1, "", -1, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
	}
	return known;
}

int mnt_clone(int dirfd, const char *path, unsigned flags)
{
	int fd;

	if (!mnt_has_new_api()) {
		fd = *path ? openat(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC) : fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
		return fd < 0 ? -errno : fd;
	}
	fd = open_tree(dirfd, path,
		       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | (*path ? 0 : AT_EMPTY_PATH) |
			       (flags & MNT_RECURSIVE ? AT_RECURSIVE : 0));
	return fd < 0 ? -errno : fd;
}

/* What a mount already forbids must be named again in a remount, or the kernel refuses it (locked
 * flags) or lifts it. */
static unsigned long kept_flags(const char *path)
{
	static const struct {
		unsigned long st;
		unsigned long ms;
	} map[] = {{ST_RDONLY, MS_RDONLY},    {ST_NOSUID, MS_NOSUID},   {ST_NODEV, MS_NODEV},
		   {ST_NOEXEC, MS_NOEXEC},    {ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME},
		   {ST_RELATIME, MS_RELATIME}};
	struct statvfs st;
	unsigned long flags = 0;

	if (statvfs(path, &st) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(map); i++)
		if (st.f_flag & map[i].st)
			flags |= map[i].ms;
	return flags;
}

/* The old way. The target descriptor still means the folder below the new mount, so the remount goes
 * through the parent's name, which readlink tells: the caller owns this namespace and nobody else is in it yet. */
static int attach_by_path(int source, int target, unsigned flags)
{
	char from[PROC_FD_LEN];
	char to[PROC_FD_LEN];
	char name[4096];
	ssize_t n;
	unsigned long ms = MS_BIND | MS_REMOUNT | MS_NOSUID;

	proc_fd(from, source);
	proc_fd(to, target);
	n = readlink(to, name, sizeof(name) - 1);
	if (n < 0 || n == (ssize_t)sizeof(name) - 1)
		return n < 0 ? -errno : -ENAMETOOLONG;
	name[n] = '\0';
	if (mount(from, to, NULL, MS_BIND | (flags & MNT_RECURSIVE ? MS_REC : 0), NULL) < 0)
		return -errno;
	if (flags & MNT_RDONLY)
		ms |= MS_RDONLY;
	if (flags & MNT_NOEXEC)
		ms |= MS_NOEXEC;
	if (!(flags & MNT_DEVICES))
		ms |= MS_NODEV;
	if (mount(NULL, name, NULL, ms | kept_flags(name), NULL) < 0)
		return -errno;
	return 0;
}

int mnt_attach(int source, int target, unsigned flags)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | (flags & MNT_DEVICES ? 0 : MOUNT_ATTR_NODEV) |
					      (flags & MNT_RDONLY ? MOUNT_ATTR_RDONLY : 0) |
					      (flags & MNT_NOEXEC ? MOUNT_ATTR_NOEXEC : 0)};

	if (!mnt_has_new_api())
		return attach_by_path(source, target, flags);
	if (mount_setattr(source, "", AT_EMPTY_PATH | (flags & MNT_RECURSIVE ? AT_RECURSIVE : 0), &attr, sizeof(attr)) <
	    0)
		return -errno;
	if (move_mount(source, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int mnt_bind(int dirfd, const char *path, int target, unsigned flags)
{
	_cleanup_close_ int source = mnt_clone(dirfd, path, flags);

	return source < 0 ? source : mnt_attach(source, target, flags);
}

int mnt_new(const char *fstype, int target, unsigned long ms_flags, const char *data)
{
	/* mount(2) wants a path: "." of the target, so that no /proc is needed. */
	if (fchdir(target) < 0 || mount("igloo", ".", fstype, ms_flags, data) < 0)
		return -errno;
	return 0;
}

int mnt_private(void)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

int mnt_pivot(int newroot)
{
	/* pivot_root(".", ".") stacks the old root on the new one, where umount finds it: pivot_root(2). */
	if (fchdir(newroot) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}
