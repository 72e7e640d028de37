#include "wire/copysend.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 4096, ENTRIES_MAX = 10 * 1000 * 1000 };

static void skip(struct copysend *s, int errnum, enum copy_why why)
{
	if (s->skip)
		s->skip(s->user, errnum, why, str_text(&s->path));
	else
		(void)copyrec_skip(s->to, errnum, why, str_text(&s->path));
}

static struct copy_meta meta_of(const struct stat *st)
{
	return (struct copy_meta){
		.mode = st->st_mode & 07777, .s = st->st_mtim.tv_sec, .ns = (uint32_t)st->st_mtim.tv_nsec};
}

/* --- a file ------------------------------------------------------------------------------------------------------- */

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* From `at` on: where data begin, at most `size`. File systems that know no holes say `at`. */
static uint64_t next_data(int fd, uint64_t at, uint64_t size)
{
	off_t to = lseek(fd, (off_t)at, SEEK_DATA);

	if (to < 0)
		return errno == ENXIO ? size : at;
	return (uint64_t)to < size ? (uint64_t)to : size;
}

static uint64_t next_hole(int fd, uint64_t at, uint64_t size)
{
	off_t to = lseek(fd, (off_t)at, SEEK_HOLE);

	return to < 0 || (uint64_t)to > size || (uint64_t)to <= at ? size : (uint64_t)to;
}

/* Bytes from `at` to `end`; a file with holes may have blocks of zeros, too (9p tells nothing of holes). Returns how
 * far it came: less when the file has become shorter. -errno. */
static int64_t send_bytes(struct copysend *s, int fd, uint64_t at, uint64_t end, bool sparse)
{
	while (at < end) {
		size_t room;
		uint8_t *to = copyrec_room(s->to, &room);
		size_t want = end - at < room ? (size_t)(end - at) : room;
		ssize_t n;
		int r;

		if (sparse && want > BLOCK)
			want -= want % BLOCK;
		n = pread(fd, to, want, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : (int64_t)at;
		r = sparse && all_zero(to, (size_t)n) ? copyrec_hole(s->to, (uint64_t)n)
						      : copyrec_data(s->to, (size_t)n);
		if (r < 0)
			return r;
		at += (uint64_t)n;
	}
	return (int64_t)at;
}

static bool has_changed(int fd, const struct stat *before)
{
	struct stat st;
	char byte;

	return fstat(fd, &st) < 0 || st.st_size != before->st_size || st.st_mtim.tv_sec != before->st_mtim.tv_sec ||
	       st.st_mtim.tv_nsec != before->st_mtim.tv_nsec || pread(fd, &byte, 1, before->st_size) > 0;
}

static int send_content(struct copysend *s, int fd, const struct stat *st)
{
	uint64_t size = (uint64_t)st->st_size;
	bool sparse = (uint64_t)st->st_blocks * 512 < size;
	bool changed = false;
	int errnum = 0;
	int r = 0;

	for (uint64_t at = 0; at < size && r == 0;) {
		uint64_t data = sparse ? next_data(fd, at, size) : at;
		uint64_t end = sparse ? next_hole(fd, data, size) : size;
		int64_t came;

		if (data > at)
			r = copyrec_hole(s->to, data - at);
		at = data;
		came = r == 0 && at < size ? send_bytes(s, fd, at, end, sparse) : (int64_t)at;
		if (came < 0 && s->to->failed < 0)
			return s->to->failed;
		errnum = came < 0 ? (int)-came : 0;
		/* What is announced is sent: zeros for what cannot be read any more. */
		changed = r == 0 && at < size && (came < 0 || (uint64_t)came < end);
		if (changed) {
			r = copyrec_hole(s->to, size - (uint64_t)(came < 0 ? (int64_t)at : came));
			break;
		}
		at = (uint64_t)came;
	}
	changed = changed || has_changed(fd, st);
	if (r == 0)
		r = copyrec_file_end(s->to, changed);
	if (r == 0 && errnum)
		skip(s, errnum, COPY_WHY_ERROR);
	else if (r == 0 && changed && s->changed)
		s->changed(s->user, str_text(&s->path));
	return r;
}

static int send_file(struct copysend *s, int dir, const char *name, const char *as)
{
	/* Without waiting, should it have become a pipe. */
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct copy_meta m;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ESTALE;
	m = meta_of(&st);
	r = copyrec_file(s->to, as, &m, (uint64_t)st.st_size);
	return r < 0 ? r : send_content(s, fd, &st);
}

/* --- a folder ----------------------------------------------------------------------------------------------------- */

static int read_names(int fd, struct strv *names)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *ent;
	int r = d ? 0 : -errno;

	if (!d) {
		(void)close_fd(copy);
		return r;
	}
	while (r == 0 && (errno = 0, ent = readdir(d))) {
		if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
			strv_add(names, ent->d_name);
		if (names->n > ENTRIES_MAX)
			r = -EOVERFLOW;
	}
	if (r == 0)
		r = -errno;
	(void)closedir(d);
	strv_sort_unique(names);
	return r;
}

static int send_entry(struct copysend *s, int dir, const char *name, const char *as, unsigned depth);

static int send_inside(struct copysend *s, int dir, const char *name, unsigned depth)
{
	size_t len = s->path.len;
	int r;

	if (len > 0)
		str_addc(&s->path, '/');
	str_adds(&s->path, name);
	r = send_entry(s, dir, name, name, depth);
	if (r < 0 && s->to->failed == 0) {
		skip(s, r == -ESTALE ? 0 : -r, r == -ESTALE ? COPY_WHY_KIND : COPY_WHY_ERROR);
		r = s->to->failed;
	}
	s->path.len = len;
	if (s->path.p)
		s->path.p[len] = '\0';
	return r;
}

static int send_folder(struct copysend *s, int dir, const char *name, const char *as, unsigned depth)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_strv_ struct strv names = STRV_INIT;
	struct copy_meta m;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	r = depth == COPY_DEPTH_MAX ? -ELOOP : read_names(fd, &names);
	if (r < 0)
		return r;
	m = meta_of(&st);
	r = copyrec_dir(s->to, as, &m, false);
	for (size_t i = 0; i < names.n && r == 0; i++)
		r = send_inside(s, fd, names.v[i], depth + 1);
	return r == 0 ? copyrec_up(s->to) : r;
}

static int send_link(struct copysend *s, int dir, const char *name, const char *as, const struct stat *st)
{
	struct copy_meta m = meta_of(st);
	char target[COPY_TARGET_MAX + 2];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

	if (n <= 0)
		return n < 0 ? -errno : -ENOENT;
	if (n > COPY_TARGET_MAX)
		return -ENAMETOOLONG;
	target[n] = '\0';
	return copyrec_link(s->to, as, &m, target);
}

/* -ESTALE for what is neither file, folder nor link. */
static int send_entry(struct copysend *s, int dir, const char *name, const char *as, unsigned depth)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return send_file(s, dir, name, as);
	case S_IFDIR:
		return send_folder(s, dir, name, as, depth);
	case S_IFLNK:
		return send_link(s, dir, name, as, &st);
	default:
		return -ESTALE;
	}
}

int copysend_tree(struct copysend *s, int dir, const char *name, const char *as)
{
	return send_entry(s, dir, name, as, 0);
}

void copysend_release(struct copysend *s)
{
	str_release(&s->path);
}
