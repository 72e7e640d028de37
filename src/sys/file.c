#include "sys/file.h"

#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Kernels before 5.6 and seccomp filters that do not know openat2 answer ENOSYS; one answer counts for
 * the whole process. */
static bool no_openat2;

/* Component by component; each but the last a folder, none a link. ".." is refused: no caller needs it. */
static int open_by_components(int dirfd, const char *path, int flags, mode_t mode)
{
	_cleanup_close_ int dir = -1;
	const char *p = path;

	for (;;) {
		size_t n = strcspn(p, "/");
		const char *rest = p + n + strspn(p + n, "/");
		char name[NAME_MAX + 1];
		int at = dir >= 0 ? dir : dirfd;
		int fd;

		if (n > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, p, n);
		name[n] = '\0';
		if (strcmp(name, "..") == 0)
			return -EXDEV;
		if (n == 0)
			memcpy(name, ".", 2);
		if (*rest == '\0') {
			/* O_PATH|O_NOFOLLOW would hand out the link itself; openat2 refuses it. */
			fd = openat(at, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
			if (fd >= 0 && (flags & O_PATH)) {
				struct stat st;

				if (fstat(fd, &st) == 0 && S_ISLNK(st.st_mode) && !(flags & O_NOFOLLOW)) {
					(void)close_fd(fd);
					return -ELOOP;
				}
			}
			return fd < 0 ? -errno : fd;
		}
		fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			struct stat st;

			if (errno == ENOTDIR && fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
				return -ELOOP;
			return -errno;
		}
		(void)close_fd(dir);
		dir = fd;
		p = rest;
	}
}

int file_open_beneath(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		.mode = flags & (O_CREAT | O_TMPFILE) & ~O_DIRECTORY ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};

	if (*path == '/')
		return -EXDEV;
	if (*path == '\0')
		path = ".";
	for (int tries = 0; !no_openat2 && tries < 32; tries++) {
		long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno == ENOSYS)
			no_openat2 = true;
		else if (errno != EAGAIN && errno != EINTR) /* EAGAIN: a rename somewhere; try again */
			return -errno;
	}
	return open_by_components(dirfd, path, flags, mode);
}

int file_open_user(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int file_make_dirs(int dirfd, const char *path, mode_t mode, struct err **e)
{
	_cleanup_close_ int dir = -1;
	const char *p = path + strspn(path, "/");
	int r;

	dir = file_open_beneath(dirfd, ".", O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return err_errno(e, -dir, "cannot open the folder above '%s'", path);
	while (*p) {
		size_t n = strcspn(p, "/");
		_cleanup_free_ char *name = xstrndup(p, n);

		if (mkdirat(dir, name, mode) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cannot make folder '%s' of '%s'", name, path);
		r = file_open_beneath(dir, name, O_PATH | O_DIRECTORY, 0);
		if (r < 0)
			return err_errno(e, -r, "cannot open folder '%s' of '%s'", name, path);
		(void)close_fd(dir);
		dir = r;
		p += n;
		p += strspn(p, "/");
	}
	/* Not O_PATH: the caller may read the folder and sync it. */
	r = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r < 0)
		return err_errno(e, errno, "cannot open folder '%s'", path);
	return r;
}

int file_make_dirs_abs(const char *path, mode_t mode, struct err **e)
{
	_cleanup_free_ char *copy = xstrdup(path);
	int fd;

	fd = file_open_user(path, O_RDONLY | O_DIRECTORY);
	if (fd >= 0)
		return fd;
	if (*path != '/')
		return err_set(e, EINVAL, "'%s' is not an absolute path", path);
	for (char *p = copy + 1;; p++) {
		if (*p != '/' && *p != '\0')
			continue;
		{
			char at = *p;

			*p = '\0';
			if (mkdir(copy, mode) < 0 && errno != EEXIST && errno != EISDIR) {
				/* On a read-only parent that is there, mkdir may say EROFS before EEXIST. */
				struct stat st;
				int saved = errno;

				if (stat(copy, &st) < 0)
					return err_errno(e, saved, "cannot make folder '%s'", copy);
			}
			*p = at;
			if (at == '\0')
				break;
		}
	}
	fd = file_open_user(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return err_errno(e, -fd, "cannot open folder '%s'", path);
	return fd;
}

int file_read(int dirfd, const char *path, size_t max, struct str *to, struct err **e)
{
	_cleanup_close_ int fd = file_open_beneath(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;
	int r;

	if (fd < 0)
		return err_errno(e, -fd, "cannot open '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "'%s' is not a regular file", path);
	if (st.st_size > 0 && (uintmax_t)st.st_size <= max)
		(void)str_room(to, (size_t)st.st_size + 1);
	r = fd_read_all(fd, max, to, e);
	return r < 0 ? err_wrap(e, "'%s'", path) : 0;
}

int file_replace(int dirfd, const char *path, const void *bytes, size_t n, mode_t mode, bool sync, struct err **e)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	_cleanup_free_ char *parent = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	_cleanup_close_ int dir = file_open_beneath(dirfd, parent, O_RDONLY | O_DIRECTORY, 0);
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *temp = NULL;
	static unsigned counter;
	int r;

	if (dir < 0)
		return err_errno(e, -dir, "cannot open the folder of '%s'", path);
	/* The pid keeps two processes apart; a leftover of a killed one is replaced (O_TRUNC) or swept with its folder.
	 */
	temp = xasprintf(".%.200s.%d.%u.tmp", name, (int)getpid(), counter++);
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return err_errno(e, errno, "cannot write '%s'", path);
	r = fd_write_all(fd, bytes, n);
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dir, temp, dir, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir, temp, 0);
		return err_errno(e, -r, "cannot write '%s'", path);
	}
	if (sync)
		(void)fsync(dir);
	return 0;
}

void file_sweep_temporary(int at, const char *path)
{
	enum { OLD_SECONDS = 3600 };
	_cleanup_close_ int dir = file_open_beneath(at, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	const struct dirent *ent;
	struct stat st;

	if (!d)
		return;
	(void)take_fd(&dir);
	while ((ent = readdir(d))) {
		time_t now = time(NULL);

		/* A time to come is a clock that was set back. */
		if (ent->d_name[0] == '.' && str_ends(ent->d_name, ".tmp") &&
		    fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		    (st.st_mtime > now + OLD_SECONDS || st.st_mtime < now - OLD_SECONDS))
			(void)unlinkat(dirfd(d), ent->d_name, 0);
	}
	(void)closedir(d);
}

enum { TREE_DEPTH_MAX = 2000 };

static int remove_below(int parent, const char *name, dev_t dev, int depth);

/* All but `keep`, if that is not NULL. */
static int remove_entries(int dir, const char *keep, dev_t dev, int depth)
{
	_cleanup_close_ int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *ent;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	(void)take_fd(&copy);
	while ((errno = 0, ent = readdir(d))) {
		int k;

		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0 ||
		    (keep && strcmp(ent->d_name, keep) == 0))
			continue;
		k = remove_below(dir, ent->d_name, dev, depth + 1);
		if (k < 0 && r == 0)
			r = k;
	}
	(void)closedir(d);
	return r;
}

static int remove_below(int parent, const char *name, dev_t dev, int depth)
{
	_cleanup_close_ int dir = -1;
	struct stat st;
	int r;

	if (depth > TREE_DEPTH_MAX)
		return -ELOOP;
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM && errno != EACCES)
		return -errno;
	dir = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* Somebody else may be removing the same tree. */
	if (dir < 0 || fstat(dir, &st) < 0)
		return errno == ENOENT ? 0 : errno == ENOTDIR ? -EPERM : -errno;
	if (st.st_dev != dev)
		return -EXDEV;
	if ((st.st_mode & 0700) != 0700) {
		_cleanup_free_ char *self = xasprintf("/proc/self/fd/%d", dir);

		(void)chmod(self, 0700);
	}
	r = remove_entries(dir, NULL, dev, depth);
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return r < 0 ? r : -errno;
	return 0;
}

int file_remove_tree(int dirfd, const char *path, struct err **e)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	_cleanup_free_ char *parent = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	_cleanup_close_ int dir = file_open_beneath(dirfd, parent, O_RDONLY | O_DIRECTORY, 0);
	struct stat st;
	int r;

	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return err_errno(e, -dir, "cannot open the folder of '%s'", path);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot look at '%s'", path);
	/* A read-only folder above (Nix's store paths) keeps its entries: open it up on the way. */
	r = remove_below(dir, name, st.st_dev, 0);
	if (r < 0)
		return err_errno(e, -r, "cannot remove '%s'", path);
	return 0;
}

bool file_is_named(int fd, int dirfd, const char *name)
{
	struct stat a;
	struct stat b;

	return fstat(fd, &a) == 0 && fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

int file_remove_locked(int dirfd, const char *name, int dir)
{
	struct stat st;
	int r;

	if (fstat(dir, &st) < 0)
		return -errno;
	r = remove_entries(dir, "lock", st.st_dev, 0);
	if (r == 0 && unlinkat(dir, "lock", 0) < 0 && errno != ENOENT)
		r = -errno;
	/* ENOTEMPTY: somebody has made a new lock in it just now and will find it locked or gone. */
	if (r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != ENOTEMPTY)
		r = -errno;
	return r;
}

int file_lock(int dirfd, const char *path, bool shared, bool wait, struct err **e)
{
	int op = (shared ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB);

	for (;;) {
		_cleanup_close_ int fd = file_open_beneath(dirfd, path, O_RDWR | O_CREAT, 0600);
		struct stat held = {0};
		struct stat named = {0};

		if (fd < 0)
			return err_errno(e, -fd, "cannot open lock '%s'", path);
		while (flock(fd, op) < 0) {
			if (errno == EWOULDBLOCK)
				return -EWOULDBLOCK;
			if (errno != EINTR)
				return err_errno(e, errno, "cannot lock '%s'", path);
		}
		/* Whoever removes a lock's folder does so holding it: the name must still be this file. */
		if (fstat(fd, &held) < 0 || fstatat(dirfd, path, &named, AT_SYMLINK_NOFOLLOW) < 0 ||
		    held.st_ino != named.st_ino || held.st_dev != named.st_dev) {
			if (errno == ENOENT || named.st_ino != held.st_ino)
				continue;
			return err_errno(e, errno, "cannot lock '%s'", path);
		}
		if (!shared) {
			char line[64];
			int n = snprintf(line, sizeof(line), "%d %lld\n", (int)getpid(), (long long)time(NULL));

			if (ftruncate(fd, 0) == 0)
				(void)!pwrite(fd, line, (size_t)n, 0);
		}
		return take_fd(&fd);
	}
}

bool file_is_locked(int dirfd, const char *path, pid_t *ret_pid)
{
	_cleanup_close_ int fd = file_open_beneath(dirfd, path, O_RDONLY, 0);
	char line[64] = "";

	if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return false;
	if (ret_pid) {
		ssize_t n = pread(fd, line, sizeof(line) - 1, 0);

		*ret_pid = n > 0 ? (pid_t)strtol(line, NULL, 10) : 0;
	}
	return true;
}
