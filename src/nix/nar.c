/* Theory of operation: one struct writer carries the output buffer and the path of the entry being
 * written (for messages only; opening always goes by the folder's descriptor and one component). The
 * descent is recursive with a bounded depth; each level holds one folder descriptor and the sorted
 * names of that folder. */
#include "nix/nar.h"
#include "base/str.h"
#include "fmt/digest.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

enum { BUFFER = 1 << 17 };

struct writer {
	nar_sink *sink;
	void *ctx;
	struct err **e;
	struct str path;
	unsigned depth;
	size_t n;
	char buffer[BUFFER];
};

static int write_node(struct writer *w, int dirfd, const char *name);

static int flush(struct writer *w)
{
	int r = w->n > 0 ? w->sink(w->buffer, w->n, w->ctx, w->e) : 0;

	w->n = 0;
	return r;
}

static int put(struct writer *w, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		size_t k = BUFFER - w->n < n ? BUFFER - w->n : n;

		memcpy(w->buffer + w->n, p, k);
		w->n += k;
		p += k;
		n -= k;
		if (w->n == BUFFER) {
			int r = flush(w);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int put_length(struct writer *w, uint64_t n)
{
	uint64_t le = htole64(n);

	return put(w, &le, sizeof(le));
}

static int put_padding(struct writer *w, uint64_t n)
{
	static const char zeros[8];

	return put(w, zeros, (8 - n % 8) % 8);
}

static int put_string(struct writer *w, const char *text)
{
	size_t n = strlen(text);
	int r = put_length(w, n);

	if (r == 0)
		r = put(w, text, n);
	return r == 0 ? put_padding(w, n) : r;
}

static int put_strings(struct writer *w, const char *const *v)
{
	int r = 0;

	for (; *v && r == 0; v++)
		r = put_string(w, *v);
	return r;
}
#define PUT(w, ...) put_strings(w, (const char *const[]){__VA_ARGS__, NULL})

/* Fails with the printable path of the current entry; errnum 0 leaves strerror() out. */
static int fail(struct writer *w, int errnum, const char *what)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, str_text(&w->path), w->path.len, false);
	if (errnum)
		return err_errno(w->e, errnum, "%s '%s'", what, str_text(&shown));
	return err_set(w->e, EINVAL, "'%s' %s", str_text(&shown), what);
}

static int put_contents(struct writer *w, int fd, uint64_t size)
{
	uint64_t left = size;
	char beyond;
	ssize_t k;
	int r;

	while (left > 0) {
		size_t room = BUFFER - w->n;

		k = read(fd, w->buffer + w->n, left < room ? (size_t)left : room);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return fail(w, errno, "cannot read");
		if (k == 0)
			return fail(w, 0, "became shorter while it was read");
		w->n += (size_t)k;
		left -= (uint64_t)k;
		if (w->n == BUFFER) {
			r = flush(w);
			if (r < 0)
				return r;
		}
	}
	do
		k = read(fd, &beyond, 1);
	while (k < 0 && errno == EINTR);
	if (k != 0)
		return fail(w, 0, "became longer while it was read");
	return put_padding(w, size);
}

static int write_regular(struct writer *w, int dirfd, const char *name)
{
	/* O_NONBLOCK: should a fifo have taken the file's place, the open must not wait. */
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return fail(w, errno, "cannot open");
	if (fstat(fd, &st) < 0)
		return fail(w, errno, "cannot stat");
	if (!S_ISREG(st.st_mode))
		return fail(w, 0, "changed while it was read");
	r = PUT(w, "type", "regular");
	if (r == 0 && (st.st_mode & S_IXUSR))
		r = PUT(w, "executable", "");
	if (r == 0)
		r = PUT(w, "contents");
	if (r == 0)
		r = put_length(w, (uint64_t)st.st_size);
	return r == 0 ? put_contents(w, fd, (uint64_t)st.st_size) : r;
}

static int write_symlink(struct writer *w, int dirfd, const char *name)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target));

	if (n < 0)
		return fail(w, errno, "cannot read the link");
	if ((size_t)n >= sizeof(target))
		return fail(w, 0, "is a link with too long a target");
	target[n] = '\0';
	return PUT(w, "type", "symlink", "target", target);
}

static int list_folder(struct writer *w, int fd, struct strv *names)
{
	/* readdir() needs a descriptor of its own, with its own position. */
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *ent;
	int error;

	if (!d) {
		error = errno;
		(void)close_fd(copy);
		return fail(w, error, "cannot list");
	}
	errno = 0;
	while ((ent = readdir(d)))
		if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
			strv_add(names, ent->d_name);
	error = errno;
	(void)closedir(d);
	if (error)
		return fail(w, error, "cannot list");
	strv_sort_unique(names);
	return 0;
}

static int write_entry(struct writer *w, int fd, const char *name)
{
	size_t length = w->path.len;
	int r;

	str_addc(&w->path, '/');
	str_adds(&w->path, name);
	r = PUT(w, "entry", "(", "name", name, "node");
	if (r == 0)
		r = write_node(w, fd, name);
	if (r == 0)
		r = PUT(w, ")");
	w->path.len = length;
	w->path.p[length] = '\0';
	return r;
}

static int write_folder(struct writer *w, int dirfd, const char *name)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_strv_ struct strv names = STRV_INIT;
	int r;

	if (fd < 0)
		return fail(w, errno, "cannot open");
	if (w->depth == NAR_DEPTH_MAX)
		return fail(w, 0, "is nested too deep for igloo to archive");
	w->depth++;
	r = list_folder(w, fd, &names);
	if (r == 0)
		r = PUT(w, "type", "directory");
	for (size_t i = 0; i < names.n && r == 0; i++)
		r = write_entry(w, fd, names.v[i]);
	w->depth--;
	return r;
}

static int write_node(struct writer *w, int dirfd, const char *name)
{
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(w, errno, "cannot stat");
	r = PUT(w, "(");
	if (r < 0)
		return r;
	if (S_ISREG(st.st_mode))
		r = write_regular(w, dirfd, name);
	else if (S_ISDIR(st.st_mode))
		r = write_folder(w, dirfd, name);
	else if (S_ISLNK(st.st_mode))
		r = write_symlink(w, dirfd, name);
	else
		r = fail(w, 0, "is not a file, folder or symbolic link, so no NAR can hold it");
	return r == 0 ? PUT(w, ")") : r;
}

int nar_write(int dirfd, const char *name, nar_sink *sink, void *ctx, struct err **e)
{
	_cleanup_free_ struct writer *w = xcalloc(1, sizeof(*w));
	int r;

	w->sink = sink;
	w->ctx = ctx;
	w->e = e;
	str_adds(&w->path, name);
	r = PUT(w, "nix-archive-1");
	if (r == 0)
		r = write_node(w, dirfd, name);
	if (r == 0)
		r = flush(w);
	str_release(&w->path);
	return r;
}

struct hashing {
	struct digest *digest;
	uint64_t size;
};

static int hash_sink(const void *bytes, size_t n, void *ctx, struct err **e)
{
	struct hashing *h = ctx;

	digest_add(h->digest, bytes, n);
	h->size += n;
	return 0;
}

int nar_hash(int dirfd, const char *name, uint8_t ret_sha256[static 32], uint64_t *ret_size, struct err **e)
{
	_cleanup_digest_ struct digest *digest = NULL;
	struct hashing h = {0};
	int r = digest_open(&digest, e);

	if (r < 0)
		return r;
	h.digest = digest;
	r = nar_write(dirfd, name, hash_sink, &h, e);
	if (r < 0)
		return r;
	r = digest_finish(digest, ret_sha256, e);
	if (r == 0)
		*ret_size = h.size;
	return r;
}
