#include "nix/bundle.h"

#include "launcher/image.h"
#include "nix/elfdeps.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

enum { COPY_CHUNK = 1 << 20, DEPTH_MAX = 16 };

static const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

void bundle_release(struct bundle *b)
{
	strv_release(&b->sources);
	str_release(&b->made_of);
	str_release(&b->environment);
}

void bundle_add_state(struct str *to, char tag, const struct stat *st, const char *path)
{
	str_addf(to, "%c %llu %lld %lld.%09ld %lld.%09ld %s\n", tag, (unsigned long long)st->st_ino,
		 (long long)st->st_size, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
		 (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec, path);
}

/* A descriptor of the folder that holds `place`; *ret_name is its last part. */
static int open_parent(struct bundle *b, const char *place, const char **ret_name, struct err **e)
{
	const char *slash = strrchr(place, '/');
	_cleanup_free_ char *parent = xstrndup(place, slash ? (size_t)(slash - place) : 0);

	*ret_name = slash ? slash + 1 : place;
	return file_make_dirs(b->dir, parent, 0700, e);
}

static int copy_bytes(int from, int to)
{
	_cleanup_free_ char *buffer = NULL;
	ssize_t n;

	do
		n = copy_file_range(from, NULL, to, NULL, SSIZE_MAX & ~4095, 0);
	while (n > 0);
	if (n == 0)
		return 0;
	if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP && errno != EPERM)
		return -errno;
	buffer = xmalloc(COPY_CHUNK);
	while ((n = read(from, buffer, COPY_CHUNK)) != 0) {
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = fd_write_all(to, buffer, (size_t)n);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What `place` is made of: `source`, or the launcher when that is NULL. */
static int add(struct bundle *b, const char *source, const char *place, mode_t mode, struct err **e)
{
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int from = -1;
	_cleanup_close_ int to = -1;
	struct stat st;
	const char *name;
	int r;

	dir = open_parent(b, place, &name, e);
	if (dir < 0)
		return dir;
	if (source) {
		from = file_open_user(source, O_RDONLY | O_NONBLOCK);
		if (from < 0)
			return err_errno(e, -from, "'%s'", source);
		if (fstat(from, &st) < 0 || !S_ISREG(st.st_mode) || strchr(source, '\n'))
			return err_set(e, EINVAL, "'%s' is no regular file", source);
	}
	to = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return err_errno(e, errno, "cannot make '%s'", place);
	r = source ? copy_bytes(from, to) : fd_write_all(to, launcher_image, launcher_image_size);
	if (r < 0)
		return err_errno(e, -r, "cannot write '%s'", place);
	if (fchmod(to, mode) < 0)
		return err_errno(e, errno, "cannot change '%s'", place);
	if (source) {
		strv_add(&b->sources, source);
		bundle_add_state(&b->made_of, 'S', &st, source);
	}
	return 0;
}

/* As add(), but what another program brought already is fine. */
static int add_library(struct bundle *b, const char *source, const char *name, mode_t mode, struct err **e)
{
	_cleanup_free_ char *place = xasprintf("lib/%s", name);

	if (faccessat(b->dir, place, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		/* The same search found it, so it is the same file, unless the programs are from two systems. */
		if (strv_has(&b->sources, source))
			return 0;
		return err_set(e, EEXIST, "two different libraries are called %s", name);
	}
	return add(b, source, place, mode, e);
}

int bundle_add_program(struct bundle *b, const char *source, const char *place, struct err **e)
{
	_cleanup_elfdeps_ struct elfdeps d = {0};
	const char *slash = strrchr(place, '/');
	_cleanup_free_ char *real = xasprintf("programs/%s", slash ? slash + 1 : place);
	int r = elfdeps_get(source, &d, e);

	if (r < 0)
		return r;
	if (!d.loader)
		return add(b, source, place, 0555, e);
	r = add(b, source, real, 0555, e);
	if (r >= 0)
		r = add(b, NULL, place, 0555, e);
	if (r >= 0)
		r = add_library(b, d.loader, d.loader_name, 0555, e);
	if (r >= 0 && faccessat(b->dir, "lib/ld.so", F_OK, 0) < 0)
		r = bundle_add_link(b, d.loader_name, "lib/ld.so", e);
	for (size_t i = 0; i < d.names.n && r >= 0; i++)
		r = add_library(b, d.sources.v[i], d.names.v[i], 0444, e);
	return r;
}

int bundle_add_optional(struct bundle *b, const char *name, struct err **e)
{
	static const char libc[] = "/libc.so.6";

	for (size_t i = 0; i < b->sources.n; i++) {
		const char *source = b->sources.v[i];
		_cleanup_free_ char *file = NULL;

		if (!str_ends(source, libc))
			continue;
		file = xasprintf("%.*s/%s", (int)(strlen(source) - strlen(libc)), source, name);
		return access(file, R_OK) == 0 ? add_library(b, file, name, 0444, e) : 0;
	}
	return 0;
}

int bundle_add_file(struct bundle *b, const char *source, const char *place, struct err **e)
{
	return add(b, source, place, 0444, e);
}

int bundle_add_folder(struct bundle *b, const char *place, struct err **e)
{
	_cleanup_close_ int fd = file_make_dirs(b->dir, place, 0700, e);

	return fd < 0 ? fd : 0;
}

int bundle_add_link(struct bundle *b, const char *target, const char *place, struct err **e)
{
	const char *name;
	_cleanup_close_ int dir = open_parent(b, place, &name, e);

	if (dir < 0)
		return dir;
	if (symlinkat(target, dir, name) < 0)
		return err_errno(e, errno, "cannot make the link '%s'", place);
	return 0;
}

void bundle_add_environment(struct bundle *b, const char *name, const char *below)
{
	str_addf(&b->environment, "%s=%s\n", name, below);
}

/* Times of everything below dir (used up) and of itself; folders become 0555 when they are done. */
static int canonicalise(int dir_fd, unsigned depth)
{
	_cleanup_close_ int fd = dir_fd;
	DIR *d = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 3));
	struct dirent *entry;
	struct stat st;
	int r = 0;

	if (!d)
		return -errno;
	while (r >= 0 && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			r = -errno;
		} else if (S_ISDIR(st.st_mode)) {
			int sub = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			r = sub < 0 ? -errno : depth == 0 ? -ELOOP : canonicalise(sub, depth - 1);
		} else if (utimensat(fd, entry->d_name, times, AT_SYMLINK_NOFOLLOW) < 0) {
			r = -errno;
		}
	}
	(void)closedir(d);
	if (r >= 0 && (fchmod(fd, 0555) < 0 || futimens(fd, times) < 0))
		r = -errno;
	return r;
}

int bundle_finish(struct bundle *b, struct err **e)
{
	_cleanup_close_ int fd = -1;
	int self;
	int r;

	if (b->environment.len > 0) {
		fd = openat(b->dir, "environment", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || fchmod(fd, 0444) < 0)
			return err_errno(e, errno, "cannot make 'environment'");
		r = fd_write_all(fd, b->environment.p, b->environment.len);
		if (r < 0)
			return err_errno(e, -r, "cannot write 'environment'");
		(void)close_fd(take_fd(&fd));
	}
	self = openat(b->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = self < 0 ? -errno : canonicalise(self, DEPTH_MAX);
	return r < 0 ? err_errno(e, -r, "cannot finish the folder") : 0;
}
