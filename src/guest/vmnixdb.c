/* Theory of operation. In the slot's folder a sandbox may be at work: its database is copied while it may be written.
 * SQLite's writers append to the file -wal; only a checkpoint writes db.sqlite itself. A copy of db.sqlite and then of
 * -wal is a state the database was in if db.sqlite did not change meanwhile: a frame that was cut off has no valid
 * check sum, and is left out by whoever opens the copy. (https://sqlite.org/fileformat2.html, section 4.)
 *
 *     view.db/        the copy, complete when `stamp` is in it
 *     kept            entries of the old database that are to be loaded into the new one, once there is one
 *     stamp           of the slot's database that var/nix/db was made from
 *
 * The copy takes the place of the old database by a rename; killed before, the next start does it again, and killed
 * after it, `kept` is still there. */
#include "guest/vmnixdb.h"

#include "base/mem.h"
#include "base/str.h"
#include "guest/guest.h"
#include "guest/nixdump.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	USER = 1000,
	DUMP_MAX = 256 << 20,
	COPY_TRIES = 40,
	COPY_PAUSE_MS = 50,
	NIX_MS = 300000,
	STAMP_MAX = 256,
	EXIT_FOREIGN = 125
};

static const char main_file[] = "db.sqlite";
static const char wal_file[] = "db.sqlite-wal";

/* --- files -------------------------------------------------------------------------------------------------------- */

static void add_state(struct str *s, int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) {
		str_adds(s, "-\n");
		return;
	}
	str_addf(s, "%llu %lld.%09ld %lld.%09ld\n", (unsigned long long)st.st_size, (long long)st.st_mtim.tv_sec,
		 st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}

static bool has_text(int dir, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char got[STAMP_MAX + 1];
	ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got) - 1);

	if (n < 0)
		return false;
	got[n] = '\0';
	return strcmp(got, text) == 0;
}

static int put(int dir, const char *name, const void *bytes, size_t n)
{
	_cleanup_free_ char *new = xasprintf(".%s.new", name);
	_cleanup_close_ int fd = openat(dir, new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : fd_write_all(fd, bytes, n);

	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r == 0 && renameat(dir, new, dir, name) < 0 ? -errno : r;
}

/* A folder of files, no others. */
static void remove_folder(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;

	while (d && (ent = readdir(d)))
		(void)unlinkat(fd, ent->d_name, 0);
	if (d)
		(void)closedir(d);
	else
		(void)close_fd(fd);
	(void)unlinkat(dir, name, AT_REMOVEDIR);
}

static int copy(int from, const char *name, int to, bool needed)
{
	static char bytes[1 << 16];
	_cleanup_close_ int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int out = -1;
	ssize_t n;
	int r = 0;

	if (in < 0)
		return errno == ENOENT && !needed ? 0 : -errno;
	out = openat(to, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (out < 0)
		return -errno;
	while (r == 0 && (n = read(in, bytes, sizeof(bytes))) != 0)
		r = n < 0 ? -errno : fd_write_all(out, bytes, (size_t)n);
	if (r == 0 && (fchown(out, USER, USER) < 0 || fsync(out) < 0))
		r = -errno;
	return r;
}

/* -EAGAIN: it was written meanwhile. */
static int copy_database(int view, int to)
{
	_cleanup_str_ struct str before = STR_INIT;
	_cleanup_str_ struct str after = STR_INIT;
	int r;

	add_state(&before, view, main_file);
	r = copy(view, "schema", to, true);
	if (r == 0)
		r = copy(view, main_file, to, true);
	(void)unlinkat(to, wal_file, 0);
	if (r == 0)
		r = copy(view, wal_file, to, false);
	add_state(&after, view, main_file);
	return r < 0 ? r : strcmp(str_text(&before), str_text(&after)) == 0 ? 0 : -EAGAIN;
}

/* --- Nix ---------------------------------------------------------------------------------------------------------- */

static void ATTR_NORETURN run_nix(const struct vmnixdb *db, char *option, int in, int out)
{
	_cleanup_free_ char *program = xasprintf("%s/nix-store", db->nix);
	char name[] = "nix-store";
	char *argv[] = {name, option, NULL};
	char remote[] = "NIX_REMOTE=local";
	char home[] = "HOME=/tmp";
	char *env[] = {remote, home, NULL};
	int log = open("/dev/kmsg", O_WRONLY);
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (in < 0)
		in = open("/dev/null", O_RDONLY);
	if (out < 0)
		out = open("/dev/null", O_WRONLY);
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(126);
	fd_close_from(STDERR_FILENO + 1);
	/* The root has no /proc yet, where programs look for themselves; this one's goes with it. */
	if (unshare(CLONE_NEWNS) < 0 || chdir(db->root) < 0 || mount("proc", "proc", "proc", MS_NOSUID, NULL) < 0)
		_exit(126);
	if (chroot(db->root) < 0 || chdir("/") < 0 || setgroups(0, NULL) < 0 || setgid(USER) < 0 || setuid(USER) < 0)
		_exit(126);
	(void)execve(program, argv, env);
	_exit(errno == ENOEXEC ? EXIT_FOREIGN : 127);
}

/* -ENOEXEC: it is of another architecture, the host's. */
static int wait_for(pid_t pid, int64_t end)
{
	int status;
	pid_t k;

	while ((k = waitpid(pid, &status, WNOHANG)) == 0 && guest_now_ms() < end)
		(void)poll(NULL, 0, 2);
	if (k == 0) {
		(void)kill(pid, SIGKILL);
		k = waitpid(pid, &status, 0);
	}
	if (k != pid || !WIFEXITED(status))
		return -EIO;
	return WEXITSTATUS(status) == 0 ? 0 : WEXITSTATUS(status) == EXIT_FOREIGN ? -ENOEXEC : -EIO;
}

/* Takes its output until the end of it. */
static int dump(const struct vmnixdb *db, struct str *to)
{
	static char option[] = "--dump-db";
	int64_t end = guest_now_ms() + NIX_MS;
	int pipes[2];
	pid_t pid;
	int r;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		run_nix(db, option, -1, pipes[1]);
	r = pid < 0 ? -errno : 0;
	(void)close(pipes[1]);
	while (r == 0) {
		struct pollfd p = {.fd = pipes[0], .events = POLLIN};
		char *room = str_room(to, 65536);
		ssize_t n = 0;

		if (poll(&p, 1, 1000) == 1)
			n = read(pipes[0], room, 65536);
		else if (guest_now_ms() < end)
			continue;
		if (n <= 0)
			break;
		str_grew(to, (size_t)n);
		if (to->len > DUMP_MAX)
			r = -EFBIG;
	}
	(void)close(pipes[0]);
	if (pid > 0) {
		int k = wait_for(pid, r < 0 ? 0 : end);

		r = r < 0 ? r : k;
	}
	return r;
}

static int load(const struct vmnixdb *db, int dir)
{
	static char option[] = "--load-db";
	_cleanup_close_ int in = openat(dir, "kept", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	pid_t pid = in < 0 ? -1 : fork();

	if (pid == 0)
		run_nix(db, option, in, -1);
	return pid < 0 ? -errno : wait_for(pid, guest_now_ms() + NIX_MS);
}

/* --- the two steps ------------------------------------------------------------------------------------------------ */

static int open_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool has_paths(const char *upper)
{
	DIR *d = upper ? opendir(upper) : NULL;
	const struct dirent *ent;
	bool has = false;

	while (d && !has && (ent = readdir(d)))
		has = ent->d_name[0] != '.';
	if (d)
		(void)closedir(d);
	return has;
}

/* The copy, with its stamp, becomes the database. */
static int swap(int layer)
{
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_close_ int fd = openat(layer, "view.db/stamp", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : fd_read_all(fd, STAMP_MAX, &text, NULL);

	if (r < 0)
		return r;
	remove_folder(layer, "var/nix/db");
	if (renameat(layer, "view.db", layer, "var/nix/db") < 0)
		return -errno;
	(void)unlinkat(layer, "var/nix/db/stamp", 0);
	return put(layer, "stamp", text.p, text.len);
}

static int make_copy(const struct vmnixdb *db, int layer, int view, const char *stamp)
{
	_cleanup_close_ int to = -1;
	int r = -EAGAIN;

	remove_folder(layer, "view.db");
	if (mkdirat(layer, "view.db", 0755) < 0)
		return -errno;
	to = openat(layer, "view.db", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0 || fchown(to, USER, USER) < 0)
		return -errno;
	for (int i = 0; i < COPY_TRIES && r == -EAGAIN; i++) {
		if (i > 0)
			(void)poll(NULL, 0, COPY_PAUSE_MS);
		r = copy_database(view, to);
	}
	if (r < 0)
		return r;
	r = put(to, "stamp", stamp, strlen(stamp));
	return r < 0 ? r : db->nix && has_paths(db->upper);
}

int vmnixdb_begin(const struct vmnixdb *db)
{
	_cleanup_close_ int layer = open_folder(db->layer);
	_cleanup_close_ int view = open_folder(db->view);
	_cleanup_str_ struct str stamp = STR_INIT;
	struct stat st;
	bool interrupted;
	int r;

	if (layer < 0)
		return layer;
	/* A slot in which nothing was ever resolved. */
	if (view == -ENOENT || (view >= 0 && fstatat(view, main_file, &st, AT_SYMLINK_NOFOLLOW) < 0))
		return 0;
	if (view < 0)
		return view;
	add_state(&stamp, view, main_file);
	add_state(&stamp, view, wal_file);
	interrupted = fstatat(layer, "kept", &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!interrupted && has_text(layer, "stamp", str_text(&stamp)) &&
	    fstatat(layer, "var/nix/db/db.sqlite", &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	r = make_copy(db, layer, view, str_text(&stamp));
	if (r == 1)
		return 1;
	if (r == 0)
		r = swap(layer);
	(void)unlinkat(layer, "kept", 0);
	return r;
}

static bool is_here(void *user, const char *path)
{
	const int *upper = user;
	struct stat st;
	const char *name = strrchr(path, '/') + 1;

	return str_starts(path, "/nix/store/") && *name && *name != '.' &&
	       fstatat(*upper, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What of the entries `old` can be had beside those of the database that is there now is added to it. */
static int merge(const struct vmnixdb *db, int layer, const struct str *old)
{
	_cleanup_close_ int upper = open_folder(db->upper);
	_cleanup_str_ struct str now = STR_INIT;
	_cleanup_str_ struct str kept = STR_INIT;
	int r = upper < 0 ? upper : dump(db, &now);

	if (r == 0)
		r = nixdump_keep(old, &now, is_here, &upper, &kept);
	if (r == 0 && kept.len > 0)
		r = put(layer, "kept", kept.p, kept.len);
	return r == 0 && kept.len > 0 ? load(db, layer) : r;
}

int vmnixdb_finish(const struct vmnixdb *db)
{
	_cleanup_close_ int layer = open_folder(db->layer);
	_cleanup_close_ int fd = layer < 0 ? -1 : openat(layer, "kept", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_str_ struct str old = STR_INIT;
	int lost;
	int r;

	if (layer < 0)
		return layer;
	/* A database that Nix cannot read is as good as empty: what it lacks is built again. */
	lost = fd >= 0 ? fd_read_all(fd, DUMP_MAX, &old, NULL) : dump(db, &old);
	if (lost < 0)
		str_clear(&old);
	r = put(layer, "kept", str_text(&old), old.len);
	if (r == 0)
		r = swap(layer);
	if (r == 0 && old.len > 0)
		r = merge(db, layer, &old);
	if (lost == -ENOEXEC)
		lost = 0;
	if (r == -ENOEXEC)
		r = 0;
	(void)unlinkat(layer, "kept", 0);
	return r < 0 ? r : lost;
}
