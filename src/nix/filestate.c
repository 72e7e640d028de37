#include "nix/filestate.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

enum { READ_CHUNK = 1 << 17, CONTENT_MAX = 1 << 20, RETRIES = 8, GROWTH_MAX = 1 << 26 };

static void set_sig(const struct stat *st, bool dir_times, struct filestate *ret)
{
	mode_t fmt = st->st_mode & S_IFMT;

	ret->type = fmt == S_IFREG ? 'f' : fmt == S_IFLNK ? 'l' : fmt == S_IFDIR ? 'd' : 'o';
	ret->sig = (struct filesig){.mode = fmt};
	if (ret->type == 'd' && !dir_times)
		return;
	ret->sig = (struct filesig){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime = st->st_mtim.tv_sec,
		.ctime = st->st_ctim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
	};
}

static int look(int r, const struct stat *st, bool dir_times, struct filestate *ret)
{
	if (r == 0) {
		set_sig(st, dir_times, ret);
		return 0;
	}
	if (errno != ENOENT && errno != ENOTDIR)
		return -errno;
	ret->sig = (struct filesig){0};
	ret->type = '-';
	return 0;
}

int filestate_look(int dirfd, const char *name, bool dir_times, struct filestate *ret)
{
	struct stat st;

	return look(fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW), &st, dir_times, ret);
}

int filestate_follow_look(const char *path, uint32_t flags, struct filestate *ret)
{
	struct stat st;
	int r = look(stat(path, &st), &st, !(flags & WATCH_TYPE), ret);

	/* A link that leads round in circles is as good as nothing. */
	if (r == -ELOOP) {
		errno = ENOENT;
		r = look(-1, &st, false, ret);
	}
	return r;
}

static int cannot_read(int errnum, const char *path, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, path, strlen(path), false);
	return err_errno(e, errnum, "cannot read '%s'", str_text(&shown));
}

/* The digest of what is left to read of fd, to `content` too while there is room. A file of `size` bytes that
 * grows while it is read ends in an error, not in reading for ever. */
static int hash_fd(int fd, uint64_t size, struct digest *d, struct str *content, uint8_t ret[static 32],
		   const char *path, struct err **e)
{
	static char *buffer;
	uint64_t done = 0;

	if (!buffer)
		buffer = xmalloc(READ_CHUNK);
	for (;;) {
		ssize_t n = read(fd, buffer, READ_CHUNK);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			(void)digest_finish(d, ret, NULL);
			return cannot_read(errno, path, e);
		}
		if (n == 0)
			return digest_finish(d, ret, e);
		digest_add(d, buffer, (size_t)n);
		done += (size_t)n;
		if (done > size + GROWTH_MAX) {
			(void)digest_finish(d, ret, NULL);
			return cannot_read(EBUSY, path, e);
		}
		if (content && content->len + (size_t)n <= CONTENT_MAX)
			str_add(content, buffer, (size_t)n);
	}
}

/* 1 when what is there is no longer what was looked at. */
static int read_link(int dirfd, const char *name, struct digest *d, struct filestate *s, const char *path,
		     struct err **e)
{
	char target[PATH_MAX];
	struct filestate after = {0};
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target));
	int r;

	if (n < 0)
		return errno == EINVAL || errno == ENOENT ? 1 : cannot_read(errno, path, e);
	r = filestate_look(dirfd, name, false, &after);
	if (r < 0)
		return cannot_read(-r, path, e);
	if (!filestate_same_sig(&after, s))
		return 1;
	digest_add(d, target, (size_t)n);
	return digest_finish(d, s->sha, e);
}

static int read_file(int dirfd, const char *name, struct digest *d, struct filestate *s, const char *path,
		     struct err **e)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ELOOP || errno == ENOENT || errno == ENXIO ? 1 : cannot_read(errno, path, e);
	if (fstat(fd, &st) < 0)
		return cannot_read(errno, path, e);
	if (!S_ISREG(st.st_mode))
		return 1;
	set_sig(&st, true, s);
	return hash_fd(fd, s->sig.size, d, NULL, s->sha, path, e);
}

int filestate_read(int dirfd, const char *name, bool dir_times, struct digest *d, const char *path,
		   struct filestate *ret, struct err **e)
{
	for (int tries = 0; tries < RETRIES; tries++) {
		struct filestate s = {0};
		int r = filestate_look(dirfd, name, dir_times, &s);

		if (r < 0)
			return cannot_read(-r, path, e);
		if (s.type == 'f')
			r = read_file(dirfd, name, d, &s, path, e);
		else if (s.type == 'l')
			r = read_link(dirfd, name, d, &s, path, e);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		*ret = s;
		return 0;
	}
	return cannot_read(EBUSY, path, e);
}

int filestate_follow(const char *path, uint32_t flags, struct digest *d, struct str *content, struct filestate *ret,
		     struct err **e)
{
	struct filestate s = {0};
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = filestate_follow_look(path, flags, &s);

	if (r < 0)
		return cannot_read(-r, path, e);
	if (s.type == 'd' && !(flags & WATCH_TYPE)) {
		r = digest_sha256(&s.sig, sizeof(s.sig), s.sha, e);
	} else if (s.type == 'f') {
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) < 0)
			return cannot_read(errno, path, e);
		if (!S_ISREG(st.st_mode))
			return cannot_read(EBUSY, path, e);
		set_sig(&st, true, &s);
		r = hash_fd(fd, s.sig.size, d, content, s.sha, path, e);
	}
	if (r < 0)
		return r;
	*ret = s;
	return 0;
}

bool filestate_same_sig(const struct filestate *a, const struct filestate *b)
{
	return a->type == b->type && memcmp(&a->sig, &b->sig, sizeof(a->sig)) == 0;
}

bool filestate_same_content(const struct filestate *a, const struct filestate *b)
{
	if (a->type != b->type || memcmp(a->sha, b->sha, sizeof(a->sha)) != 0)
		return false;
	return a->type == 'o' ? (a->sig.mode & S_IFMT) == (b->sig.mode & S_IFMT)
			      : filestate_executable(a) == filestate_executable(b);
}
