#include "kind/vm/storebuild.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "kind/common/filter.h"
#include "kind/common/rootfs.h"
#include "sys/childreport.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/mnt.h"
#include "sys/ns.h"
#include "sys/probe.h"
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STORE "/nix/store"
#define CLOSURE "closure"
#define IMAGE "image"
#define VIEW "view"
/* One for all: two images are never mounted in one machine, and the same paths are to make the same bytes. */
#define UUID "69676c6f-6f2d-4e69-8000-73746f726531"

enum {
	TIME_LIMIT_MS = 3600 * 1000,
	OUTPUT_MAX = 1 << 30, /* what it is at, for each file; dropped */
	QUIET_MS = 1000,
	WALK_FDS = 64,
};

int storebuild_find(char **ret, struct err **e)
{
	static const char *const more[] = {"/sbin", "/usr/sbin", "/usr/local/sbin", NULL};
	_cleanup_free_ char *found = spawn_find("mkfs.erofs", more, NULL);

	*ret = found ? realpath(found, NULL) : NULL;
	if (*ret)
		return 0;
	(void)err_set(e, ENOENT,
		      "no mkfs.erofs found on this machine: an image of the store is made with it "
		      "(erofs-utils)");
	return err_hint(e, "%s", STOREBUILD_HINT);
}

/* --- its root ----------------------------------------------------------------------------------------------------- */

/* What is a link on the host is one there. */
static int add_folder(int root, const char *path, struct err **e)
{
	char to[PATH_MAX];
	ssize_t n = readlink(path, to, sizeof(to) - 1);
	_cleanup_close_ int at = -1;
	struct stat st;
	int r;

	if (n > 0) {
		to[n] = '\0';
		return symlinkat(to, root, path + 1) < 0 ? err_errno(e, errno, "cannot make %s", path) : 0;
	}
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	at = rootfs_mount_point(root, path, false, e);
	if (at < 0)
		return at;
	r = mnt_bind(AT_FDCWD, path, at, MNT_RDONLY | MNT_RECURSIVE);
	return r < 0 ? err_errno(e, -r, "cannot mount %s", path) : 0;
}

static int add_file(int root, const char *from, const char *to, unsigned flags, struct err **e)
{
	_cleanup_close_ int at = rootfs_mount_point(root, to, true, e);
	int r = at < 0 ? at : mnt_bind(AT_FDCWD, from, at, flags);

	return at < 0 ? at : r < 0 ? err_errno(e, -r, "cannot mount '%s'", from) : 0;
}

/* A link cannot be a mount point. */
static int add_link(int store, const char *name, int closure)
{
	char to[PATH_MAX];
	ssize_t n = readlinkat(store, name, to, sizeof(to) - 1);

	if (n < 0)
		return -errno;
	to[n] = '\0';
	return symlinkat(to, closure, name) < 0 ? -errno : 0;
}

/* `store` is that of the slot's view: the path is there whoever has it. */
static int add_path(int store, const char *path, int closure, struct err **e)
{
	const char *name = path + strlen(STORE "/");
	_cleanup_close_ int at = -1;
	struct stat st;
	int r;

	if (!str_starts(path, STORE "/") || !*name || strchr(name, '/'))
		return err_set(e, EINVAL, "'%s' is no store path", path);
	if (fstatat(store, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "store path '%s'", path);
	if (S_ISLNK(st.st_mode)) {
		r = add_link(store, name, closure);
	} else {
		at = rootfs_mount_point(closure, name, !S_ISDIR(st.st_mode), e);
		if (at < 0)
			return at;
		r = mnt_bind(store, name, at, MNT_RDONLY);
	}
	return r < 0 ? err_errno(e, -r, "cannot mount store path '%s'", path) : 0;
}

static int add_closure(const struct storebuild *b, int root, struct err **e)
{
	_cleanup_close_ int closure = rootfs_new_tmpfs(root, CLOSURE, "mode=0755,size=256m,nr_inodes=1m", e);
	_cleanup_close_ int view = closure < 0 ? -1 : rootfs_new_tmpfs(root, VIEW, "mode=0755,size=64k", e);
	_cleanup_close_ int store = -1;
	int r = closure < 0 ? closure : view < 0 ? view : rootfs_fill_store(b->slot, b->set, view, e);

	if (r < 0)
		return r;
	store = file_open_beneath(view, "nix/store", O_PATH | O_DIRECTORY, 0);
	if (store < 0)
		return err_errno(e, -store, "cannot open the slot's store");
	for (size_t i = 0; i < b->paths->n && r == 0; i++)
		r = add_path(store, b->paths->v[i], closure, e);
	if (r < 0)
		return r;
	r = rootfs_seal(closure);
	return r < 0 ? err_errno(e, -r, "cannot make the paths read-only") : 0;
}

/* The view, which has the slot's HOME too, goes once its paths are mounted elsewhere. */
static int make_root(const struct storebuild *b, const char *to, struct err **e)
{
	static const char *const folders[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
	_cleanup_close_ int root = rootfs_stage(b->slot, e);
	int r = root < 0 ? root : 0;

	for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++)
		r = add_folder(root, folders[i], e);
	if (r == 0 && str_starts(b->program, STORE "/"))
		r = add_folder(root, STORE, e);
	if (r == 0)
		r = add_file(root, "/dev/null", "dev/null", MNT_DEVICES, e);
	if (r == 0)
		r = add_file(root, to, IMAGE, 0, e);
	if (r == 0)
		r = add_closure(b, root, e);
	if (r < 0)
		return r;
	r = mnt_pivot(root);
	if (r == 0 && umount2("/" VIEW, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		r = -errno;
	return r < 0 ? err_errno(e, -r, "cannot change the root of mkfs.erofs") : 0;
}

/* --- the process -------------------------------------------------------------------------------------------------- */

static int shut_in(uint64_t room, struct err **e)
{
	const struct rlimit size = {.rlim_cur = room, .rlim_max = room};
	const struct rlimit no_core = {0};
	_cleanup_close_ int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = top < 0 ? -errno : rootfs_seal(top);

	if (r == 0 && (setrlimit(RLIMIT_FSIZE, &size) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0 ||
		       signal(SIGXFSZ, SIG_IGN) == SIG_ERR))
		r = -errno;
	if (r == 0)
		r = ns_drop_privileges();
	if (r == 0)
		r = filter_load();
	return r < 0 ? err_errno(e, -r, "cannot shut mkfs.erofs in") : 0;
}

/* Of files with several names each name has a part: they may be of other paths. */
static uint64_t needed;

static int add_needed(const char *path, const struct stat *st, int type, struct FTW *at)
{
	if (S_ISREG(st->st_mode) && st->st_nlink > 0)
		needed += (uint64_t)st->st_size / st->st_nlink;
	return 0;
}

/* Before anything is written: a file of a box may be as large as it likes, with nothing in it. */
static int check_room(const struct storebuild *b, uint64_t room, struct err **e)
{
	_cleanup_str_ struct str want = STR_INIT;
	_cleanup_str_ struct str has = STR_INIT;

	if (nftw("/" CLOSURE, add_needed, WALK_FDS, FTW_PHYS) < 0)
		return err_errno(e, errno, "cannot look at the store paths");
	if (needed <= room)
		return 0;
	size_add(&want, needed);
	size_add(&has, room);
	(void)err_set(e, ENOSPC, "%zu store paths of %s do not fit: the file system of igloo's cache has %s free",
		      b->paths->n, str_text(&want), str_text(&has));
	return err_hint(e, "igloo slot gc frees what can be made again; without --store-image none is needed");
}

/* No compression: the host's page cache has it unpacked, and an emulated processor would unpack it slowly. */
static int run_mkfs(const char *program, struct err **e)
{
	static const char *const words[] = {"mkfs.erofs", "-d1",     "-T1",     "-x-1",
					    "--all-root", "-U" UUID, "/" IMAGE, "/" CLOSURE};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	char locale[] = "LC_ALL=C";
	char *env[] = {locale, NULL};
	struct spawn s = {.file = program,
			  .name = "mkfs.erofs",
			  .envp = env,
			  .dir = "/",
			  .max_output = OUTPUT_MAX,
			  .time_limit_ms = TIME_LIMIT_MS};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		strv_add(&argv, words[i]);
	s.argv = argv.v;
	return spawn_check(&s, NULL, e);
}

static void ATTR_NORETURN run(const struct storebuild *b, const char *to, uint64_t room, int go, int report)
{
	_cleanup_err_ struct err *e = NULL;
	sigset_t none;
	char byte;
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (read(go, &byte, 1) != 1)
		_exit(1);
	r = make_root(b, to, &e);
	/* What is held open, the slot's lock above all, is not for a program that reads what boxes wrote. */
	if (r == 0) {
		if (dup2(report, STDERR_FILENO + 1) < 0)
			_exit(1);
		report = STDERR_FILENO + 1;
		fd_close_from(report + 1);
		(void)fcntl(report, F_SETFD, FD_CLOEXEC);
		r = shut_in(room, &e);
	}
	if (r == 0)
		r = check_room(b, room, &e);
	if (r == 0)
		r = run_mkfs(b->program, &e);
	if (r < 0)
		childreport_fail(report, e);
	_exit(0);
}

/* A line on a terminal, once it has taken a second. */
static void show(const struct storebuild *b, const char *to, int64_t begun, bool *shown)
{
	_cleanup_str_ struct str line = STR_INIT;
	int64_t ms = clock_ms(CLOCK_MONOTONIC) - begun;
	struct stat st;

	if (log_level() != LOG_NORMAL || ms < QUIET_MS || !isatty(STDERR_FILENO) || stat(to, &st) < 0)
		return;
	str_addf(&line, "\r\033[Kigloo: an image of %zu store paths is made: ", b->paths->n);
	size_add(&line, (uint64_t)st.st_blocks * 512);
	str_addf(&line, " [%llds]", (long long)(ms / 1000));
	(void)!write(STDERR_FILENO, line.p, line.len);
	*shown = true;
}

static int wait_for(const struct storebuild *b, const char *to, int report, struct err **e)
{
	struct pollfd p = {.fd = report, .events = POLLIN};
	int64_t begun = clock_ms(CLOCK_MONOTONIC);
	bool shown = false;
	int n;

	while ((n = poll(&p, 1, QUIET_MS)) == 0 || (n < 0 && errno == EINTR))
		show(b, to, begun, &shown);
	if (shown)
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
	return childreport_wait(report, NULL, e);
}

int storebuild_make(const struct storebuild *b, const char *to, struct err **e)
{
	const uint64_t spaces = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
				CLONE_NEWUTS | CLONE_NEWCGROUP;
	int go[2] = {-1, -1};
	int report[2] = {-1, -1};
	struct statvfs fs;
	int status = 0;
	pid_t pid = -1;
	int r = statvfs(to, &fs) < 0 ? err_errno(e, errno, "cannot look at the file system of '%s'", to) : 0;

	if (r == 0 && (pipe2(go, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0))
		r = err_errno(e, errno, "cannot make a pipe");
	if (r == 0)
		pid = ns_fork(spaces, NULL);
	if (pid == 0) {
		(void)close_fd(go[1]);
		(void)close_fd(report[0]);
		run(b, to, (uint64_t)fs.f_bavail * fs.f_frsize, go[0], report[1]);
	}
	report[1] = close_fd(report[1]);
	if (r == 0 && pid < 0)
		r = probe_explain_userns(-pid, e);
	if (r == 0)
		r = ns_write_maps(pid, BOX_UID, BOX_GID, e);
	if (r == 0 && fd_write_all(go[1], "g", 1) < 0)
		r = err_set(e, EPIPE, "the process of mkfs.erofs ended early");
	if (r < 0 && pid > 0)
		(void)kill(pid, SIGKILL);
	if (r == 0)
		r = wait_for(b, to, report[0], e);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	/* Without a word it was killed. */
	if (r == 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
		r = spawn_failed("mkfs.erofs", status, NULL, e);
	for (int i = 0; i < 2; i++) {
		(void)close_fd(go[i]);
		(void)close_fd(report[i]);
	}
	if (r < 0)
		(void)err_wrap(e, "the image of the store");
	return r;
}
