/* Store paths that join a slot's set are mounted into the boxes that run; see view_extend() in view.h. */
#include "kind/sandbox/rootfs.h"
#include "kind/sandbox/view.h"
#include "sys/childreport.h"
#include "sys/fd.h"
#include "sys/mnt.h"
#include "sys/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXTEND_AT_ONCE = 16 };

/* From a copy of the host's mounts into the box's, which is entered and left again. */
static int extend_some(int host, int box, const struct hostpath *paths, size_t n)
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
		r = ns_join(box, CLONE_NEWNS);
	if (r == 0 && (store = open("/nix/store", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		r = -errno;
	for (size_t i = 0; i < n && r == 0; i++)
		r = rootfs_add_store_path(store, paths[i].path, sources[i]);
	for (size_t i = 0; i < have; i++)
		(void)close_fd(sources[i]);
	return r;
}

/* In a fork. A few at a time: there may be thousands, and each is a descriptor. */
static void ATTR_NORETURN extend_run(int userns, int mntns, const struct hostpath *paths, size_t n, int report)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_close_ int host = -1;
	int r = ns_join(userns, CLONE_NEWUSER);

	if (r == 0 && unshare(CLONE_NEWNS) < 0)
		r = -errno;
	if (r == 0)
		r = mnt_private();
	if (r == 0 && (host = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC)) < 0)
		r = -errno;
	for (size_t i = 0; i < n && r == 0; i += EXTEND_AT_ONCE)
		r = extend_some(host, mntns, paths + i, n - i < EXTEND_AT_ONCE ? n - i : EXTEND_AT_ONCE);
	if (r < 0) {
		(void)err_errno(&e, -r, "cannot mount new store paths into a running box");
		childreport_fail(report, e);
	}
	_exit(0);
}

int view_extend(pid_t pid, const struct hostpath *paths, size_t n, struct err **e)
{
	char name[64];
	_cleanup_close_ int userns = -1;
	_cleanup_close_ int mntns = -1;
	int report[2];
	pid_t helper;
	int r;

	if (!mnt_has_new_api())
		return err_set(e, ENOSYS, "this kernel cannot add store paths to a running box: stop it first");
	(void)snprintf(name, sizeof(name), "/proc/%d/ns/user", (int)pid);
	userns = open(name, O_RDONLY | O_CLOEXEC);
	(void)snprintf(name, sizeof(name), "/proc/%d/ns/mnt", (int)pid);
	mntns = open(name, O_RDONLY | O_CLOEXEC);
	if (userns < 0 || mntns < 0 || pipe2(report, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot reach the namespaces of process %d", (int)pid);
	helper = fork();
	if (helper == 0) {
		(void)close(report[0]);
		extend_run(userns, mntns, paths, n, report[1]);
	}
	(void)close(report[1]);
	r = helper < 0 ? err_errno(e, errno, "cannot fork") : childreport_wait(report[0], NULL, e);
	(void)close(report[0]);
	while (helper > 0 && waitpid(helper, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
