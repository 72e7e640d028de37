#include "kind/sandbox/repin.h"

#include "kind/sandbox/setup.h"
#include "sys/childreport.h"
#include "sys/mnt.h"
#include "sys/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void ATTR_NORETURN repin_run(int userns, int mntns, const struct box_spec *spec, int report)
{
	_cleanup_err_ struct err *e = NULL;
	int root = -1;
	int r = ns_join(userns, CLONE_NEWUSER);

	if (r == 0)
		r = ns_join(mntns, CLONE_NEWNS);
	if (r == 0 && (root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		r = -errno;
	if (r < 0) {
		(void)err_errno(&e, -r, "cannot enter the box to protect what was replaced");
		childreport_fail(report, e);
	}
	for (size_t i = 0; i < spec->npins; i++) {
		enum mounted mounted = look(spec->pins[i].path);
		struct stat st;

		/* Where the kernel does not say, a second mount on top does no harm; but it must be possible. */
		if (mounted == MOUNTED || (mounted == UNKNOWN && !mnt_has_new_api()) ||
		    lstat(spec->pins[i].path, &st) < 0)
			continue;
		/* Without the mount calls of 5.12 nothing can be mounted from here: better no box than an open one. */
		if (!mnt_has_new_api()) {
			(void)err_set(&e, ENOSYS, "'%s' was replaced, and this kernel cannot protect it again",
				      spec->pins[i].path);
			childreport_fail(report, e);
		}
		r = setup_pin(root, &spec->pins[i], &e);
		if (r < 0 && r != -ENOENT)
			childreport_fail(report, e);
		err_clear(&e);
	}
	_exit(0);
}

int repin(pid_t pid, const struct box_spec *spec, struct err **e)
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
		repin_run(userns, mntns, spec, report[1]);
	}
	(void)close(report[1]);
	r = helper < 0 ? err_errno(e, errno, "cannot fork") : childreport_wait(report[0], NULL, e);
	(void)close(report[0]);
	while (helper > 0 && waitpid(helper, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
