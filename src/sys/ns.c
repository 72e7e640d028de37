#include "sys/ns.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

pid_t ns_fork(uint64_t flags, int *ret_pidfd)
{
	int pidfd = -1;
	struct clone_args args = {
		.flags = flags | (ret_pidfd ? CLONE_PIDFD : 0),
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0 && (errno == ENOSYS || errno == EINVAL)) {
		/* clone's flags share a byte with the exit signal, where CLONE_NEWTIME lies: it cannot be asked for. */
		unsigned long old = (unsigned long)(flags & ~(uint64_t)CLONE_NEWTIME);

		pid = syscall(SYS_clone, old | (ret_pidfd ? CLONE_PIDFD : 0) | SIGCHLD, NULL, &pidfd, NULL, 0);
		if (pid < 0 && errno == EINVAL && ret_pidfd)
			pid = syscall(SYS_clone, old | SIGCHLD, NULL, NULL, NULL, 0);
	}
	if (pid < 0)
		return -errno;
	if (ret_pidfd)
		*ret_pidfd = pid > 0 ? pidfd : -1;
	return (pid_t)pid;
}

static int write_proc(pid_t pid, const char *name, const char *text)
{
	char path[64];
	_cleanup_close_ int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fd_write_all(fd, text, strlen(text));
}

int ns_write_maps(pid_t pid, uid_t inside_uid, gid_t inside_gid, struct err **e)
{
	char map[64];
	int r;

	/* An unprivileged writer may map its group only after setgroups is denied: user_namespaces(7). Root drops its
	 * supplementary groups instead, before this. */
	r = write_proc(pid, "setgroups", "deny");
	if (r < 0 && r != -ENOENT)
		return err_errno(e, -r, "cannot set up the user namespace: setgroups");
	(void)snprintf(map, sizeof(map), "%u %u 1\n", (unsigned)inside_uid, (unsigned)geteuid());
	r = write_proc(pid, "uid_map", map);
	if (r < 0)
		return err_errno(e, -r, "cannot set up the user namespace: uid_map");
	(void)snprintf(map, sizeof(map), "%u %u 1\n", (unsigned)inside_gid, (unsigned)getegid());
	r = write_proc(pid, "gid_map", map);
	if (r < 0)
		return err_errno(e, -r, "cannot set up the user namespace: gid_map");
	return 0;
}

int ns_join(int fd, int nstype)
{
	return setns(fd, nstype) < 0 ? -errno : 0;
}

int ns_drop_privileges(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof(none));
	for (int cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	if (syscall(SYS_capset, &head, none) < 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}
