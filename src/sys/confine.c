#include "sys/confine.h"

#include "sys/fd.h"
#include "sys/file.h"
#include "sys/mnt.h"
#include "sys/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	NOBODY = 65534, /* the kernel's overflow uid */
	ETC_MAX = 4 << 20,
	SPACES = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP,
};

/* For look-ups of names; in the order they are read and written again. */
static const char *const etc_files[] = {"hosts", "resolv.conf", "nsswitch.conf", "host.conf"};

static int write_proc(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

/* With privilege no user namespace is needed: one thing less of the kernel's to use. */
static int new_spaces(const struct confine *c, struct err **e)
{
	const int spaces = SPACES | (c->network ? 0 : CLONE_NEWNET);
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (unshare(spaces) == 0)
		return 0;
	if (unshare(spaces | CLONE_NEWUSER) < 0) {
		(void)err_errno(e, errno, "%s cannot get namespaces to shut itself in", c->who);
		return err_hint(e, "`igloo doctor` says what this machine allows and how to enable the rest");
	}
	(void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)uid, (unsigned)uid);
	r = write_proc("/proc/self/setgroups", "deny");
	if (r == 0)
		r = write_proc("/proc/self/uid_map", map);
	(void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)gid, (unsigned)gid);
	if (r == 0)
		r = write_proc("/proc/self/gid_map", map);
	return r < 0 ? err_errno(e, -r, "%s cannot map its user", c->who) : 0;
}

/* The files themselves, where systemd and NixOS make links of them. */
static void read_etc(struct str texts[static ARRAY_SIZE(etc_files)])
{
	for (size_t i = 0; i < ARRAY_SIZE(etc_files); i++) {
		char path[64];
		_cleanup_close_ int fd = -1;

		(void)snprintf(path, sizeof(path), "/etc/%s", etc_files[i]);
		fd = file_open_user(path, O_RDONLY);
		if (fd < 0 || fd_read_all(fd, ETC_MAX, &texts[i], NULL) < 0)
			str_clear(&texts[i]);
	}
}

static int write_etc(int root, const struct str *texts)
{
	_cleanup_close_ int etc = -1;

	if (mkdirat(root, "etc", 0755) < 0)
		return -errno;
	etc = openat(root, "etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (etc < 0)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(etc_files); i++) {
		_cleanup_close_ int fd = -1;
		int r;

		if (texts[i].len == 0)
			continue;
		fd = openat(etc, etc_files[i], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
		r = fd < 0 ? -errno : fd_write_all(fd, texts[i].p, texts[i].len);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Any folder that is surely there takes the new root for a moment. */
static int empty_root(const struct confine *c, const struct str *texts)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	_cleanup_close_ int at = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int root = -1;
	int r = at < 0 ? -errno : mnt_new("tmpfs", at, flags, "mode=0755,size=20m,nr_inodes=16");

	if (r < 0)
		return r;
	root = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	r = c->network ? write_etc(root, texts) : 0;
	if (r == 0)
		r = mnt_pivot(root);
	if (r == 0 && mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) < 0)
		r = -errno;
	return r;
}

/* The folder covers itself for a moment, so that no other one is needed; nor /proc, by which old kernels mount. */
static int folder_root(const char *path)
{
	_cleanup_close_ int at = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int root = -1;
	int r = at < 0 ? -errno : mnt_bind(AT_FDCWD, path, at, MNT_RDONLY | MNT_NOEXEC | MNT_RECURSIVE);

	if (r < 0)
		return r;
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? -errno : mnt_pivot(root);
}

/* With namespaces for it, and what the old root has that the new one needs. */
static int move(const struct confine *c, struct err **e)
{
	struct str texts[ARRAY_SIZE(etc_files)] = {{0}};
	int r;

	if (!c->root && c->network)
		read_etc(texts);
	r = new_spaces(c, e);
	if (r == 0) {
		r = mnt_private();
		if (r == 0)
			r = c->root ? folder_root(c->root) : empty_root(c, texts);
		if (r < 0)
			(void)err_errno(e, -r, "%s cannot make %s its root", c->who,
					c->root ? c->root : "an empty folder");
	}
	for (size_t i = 0; i < ARRAY_SIZE(etc_files); i++)
		str_release(&texts[i]);
	return r;
}

/* Data as RLIMIT_DATA counts it, in bytes: the sixth number of /proc/self/statm is in pages (proc(5)). */
static int data_now(size_t *ret)
{
	enum { DATA = 5 };
	_cleanup_close_ int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_strv_ struct strv numbers = STRV_INIT;
	int r = fd < 0 ? -errno : fd_read_all(fd, 4096, &text, NULL);

	if (r < 0)
		return r;
	strv_split(&numbers, str_text(&text), ' ');
	if (numbers.n <= DATA)
		return -EIO;
	*ret = (size_t)strtoull(numbers.v[DATA], NULL, 10) * (size_t)sysconf(_SC_PAGESIZE);
	return 0;
}

/* `memory` is in bytes; 0: no limit. */
static int limit(size_t memory)
{
	static const struct rlimit none = {0, 0};
	const struct rlimit data = {memory, memory};

	if (setrlimit(RLIMIT_NPROC, &none) < 0 || setrlimit(RLIMIT_CORE, &none) < 0 ||
	    setrlimit(RLIMIT_FSIZE, &none) < 0 || setrlimit(RLIMIT_MEMLOCK, &none) < 0 ||
	    (memory > 0 && setrlimit(RLIMIT_DATA, &data) < 0))
		return -errno;
	return 0;
}

/* From uid 0 to nobody, with the capabilities kept until ns_drop_privileges() has emptied the bounding set, too. */
static int drop_user(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (geteuid() != 0)
		return 0;
	/* EPERM: setgroups is denied in this user namespace, so its groups are an ordinary user's. */
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return -errno;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	/* EINVAL: not mapped here. */
	if ((setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0) && errno != EINVAL)
		return -errno;
	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static int load_filter(const struct confine *c)
{
	struct sock_fprog program = {
		.len = (unsigned short)c->n_filter,
		/* The kernel only reads it; the structure lacks the const. */
		.filter = (struct sock_filter *)(uintptr_t)c->filter,
	};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

int confine_close(const struct confine *c, struct err **e)
{
	size_t data = 0;
	int r = c->memory > 0 ? data_now(&data) : 0;

	if (r < 0)
		return err_errno(e, -r, "%s cannot tell its size", c->who);
	(void)umask(022);
	r = move(c, e);
	if (r < 0)
		return r;
	(void)umask(077);
	r = limit(c->memory > 0 ? data + c->memory : 0);
	if (r == 0)
		r = drop_user();
	if (r == 0)
		r = ns_drop_privileges();
	if (r < 0)
		return err_errno(e, -r, "%s cannot give up its privileges", c->who);
	/* The change of user cleared it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_errno(e, errno, "%s cannot tie itself to its supervisor", c->who);
	/* Nobody of the same uid looks into it, and its memory is never written to a file. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_errno(e, errno, "%s cannot hide its memory", c->who);
	r = load_filter(c);
	return r < 0 ? err_errno(e, -r, "%s cannot load its seccomp filter", c->who) : 0;
}
