/* Theory of operation
 *
 * An archive is a row of short tokens, with the contents of files between them. A reader holds the tokens that are not
 * delivered yet (`head`), the file whose contents are being delivered, and the folders on the way to it, each with the
 * sorted names that are left. When the first two are used up, step() goes on to the next entry, which gives it more of
 * both. `path` is for messages only; opening always goes by the folder's descriptor and one component. */
#include "nix/nar.h"
#include "base/str.h"
#include "fmt/digest.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum { BUFFER = 1 << 17 };

struct level {
	int fd;
	struct strv names;
	size_t next;
	size_t path_len; /* of the folder's own path */
};

struct nar {
	unsigned flags;
	int dirfd;
	struct str head; /* tokens … */
	size_t head_at;  /* … of which so many bytes are delivered */
	int file;        /* -1: none, or NAR_MEASURE */
	uint64_t left;   /* of its contents */
	uint64_t padding;
	bool in_file; /* its end is still to be told */
	bool begun;
	struct str path;
	size_t depth;
	struct level levels[NAR_DEPTH_MAX];
};

/* --- tokens ------------------------------------------------------------------------------------------------------ */

static uint64_t padding_of(uint64_t n)
{
	return (8 - n % 8) % 8;
}

static void put_length(struct nar *n, uint64_t length)
{
	uint64_t le = htole64(length);

	str_add(&n->head, &le, sizeof(le));
}

static void put_string(struct nar *n, const char *text)
{
	static const char zeros[8];
	size_t length = strlen(text);

	put_length(n, length);
	str_add(&n->head, text, length);
	str_add(&n->head, zeros, padding_of(length));
}

static void put_strings(struct nar *n, const char *const *v)
{
	for (; *v; v++)
		put_string(n, *v);
}
#define PUT(n, ...) put_strings(n, (const char *const[]){__VA_ARGS__, NULL})

/* The end of a node: its own, and that of the entry it is. */
static void put_end(struct nar *n)
{
	put_string(n, ")");
	if (n->depth > 0)
		put_string(n, ")");
}

/* --- files ------------------------------------------------------------------------------------------------------- */

/* Fails with the printable path of the current entry; errnum 0 leaves strerror() out. */
static int fail(struct nar *n, int errnum, const char *what, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, str_text(&n->path), n->path.len, false);
	if (errnum)
		return err_errno(e, errnum, "%s '%s'", what, str_text(&shown));
	return err_set(e, EINVAL, "'%s' %s", str_text(&shown), what);
}

static int check_public(struct nar *n, mode_t mode, struct err **e)
{
	mode_t wanted = S_ISDIR(mode) ? S_IROTH | S_IXOTH : S_IROTH;

	return (n->flags & NAR_PUBLIC) && (mode & wanted) != wanted ? fail(n, EACCES, "not for everybody:", e) : 0;
}

static int open_file(struct nar *n, int dirfd, const char *name, struct stat *st, struct err **e)
{
	/* O_NONBLOCK: should a fifo have taken the file's place, the open must not wait. */
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return fail(n, errno, "cannot open", e);
	if (fstat(fd, st) < 0)
		return fail(n, errno, "cannot stat", e);
	if (!S_ISREG(st->st_mode))
		return fail(n, 0, "changed while it was read", e);
	n->file = take_fd(&fd);
	return 0;
}

static int begin_regular(struct nar *n, int dirfd, const char *name, struct stat *st, struct err **e)
{
	int r = n->flags & NAR_MEASURE ? 0 : open_file(n, dirfd, name, st, e);

	if (r == 0)
		r = check_public(n, st->st_mode, e);
	if (r < 0)
		return r;
	PUT(n, "(", "type", "regular");
	if (st->st_mode & S_IXUSR)
		PUT(n, "executable", "");
	put_string(n, "contents");
	n->left = (uint64_t)st->st_size;
	n->padding = padding_of(n->left);
	n->in_file = true;
	put_length(n, n->left);
	return 0;
}

static int put_symlink(struct nar *n, int dirfd, const char *name, struct err **e)
{
	char target[PATH_MAX + 1];
	ssize_t k = readlinkat(dirfd, name, target, sizeof(target));

	if (k < 0)
		return fail(n, errno, "cannot read the link", e);
	if ((size_t)k >= sizeof(target))
		return fail(n, 0, "is a link with too long a target", e);
	target[k] = '\0';
	PUT(n, "(", "type", "symlink", "target", target);
	put_end(n);
	return 0;
}

/* --- folders ----------------------------------------------------------------------------------------------------- */

static int list_folder(struct nar *n, int fd, struct strv *names, struct err **e)
{
	/* readdir() needs a descriptor of its own, with its own position. */
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *ent;
	int error;

	if (!d) {
		error = errno;
		(void)close_fd(copy);
		return fail(n, error, "cannot list", e);
	}
	errno = 0;
	while ((ent = readdir(d)))
		if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
			strv_add(names, ent->d_name);
	error = errno;
	(void)closedir(d);
	if (error)
		return fail(n, error, "cannot list", e);
	strv_sort_unique(names);
	return 0;
}

static void leave(struct nar *n)
{
	struct level *l = &n->levels[--n->depth];

	l->fd = close_fd(l->fd);
	strv_release(&l->names);
}

static int enter(struct nar *n, int dirfd, const char *name, struct err **e)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct level *l = &n->levels[n->depth];
	struct stat st;
	int r;

	if (fd < 0)
		return fail(n, errno, "cannot open", e);
	if (n->depth == NAR_DEPTH_MAX)
		return fail(n, 0, "is nested too deep for igloo to archive", e);
	if (fstat(fd, &st) < 0)
		return fail(n, errno, "cannot stat", e);
	r = check_public(n, st.st_mode, e);
	if (r < 0)
		return r;
	*l = (struct level){.fd = -1, .path_len = n->path.len};
	r = list_folder(n, fd, &l->names, e);
	if (r < 0) {
		strv_release(&l->names);
		return r;
	}
	PUT(n, "(", "type", "directory");
	l->fd = take_fd(&fd);
	n->depth++;
	return 0;
}

/* --- one after the other ----------------------------------------------------------------------------------------- */

static int begin_node(struct nar *n, int dirfd, const char *name, struct err **e)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(n, errno, "cannot stat", e);
	if (S_ISREG(st.st_mode))
		return begin_regular(n, dirfd, name, &st, e);
	if (S_ISDIR(st.st_mode))
		return enter(n, dirfd, name, e);
	if (S_ISLNK(st.st_mode))
		return put_symlink(n, dirfd, name, e);
	return fail(n, 0, "is not a file, folder or symbolic link, so no NAR can hold it", e);
}

static int next_entry(struct nar *n, struct err **e)
{
	struct level *l = &n->levels[n->depth - 1];
	const char *name;

	n->path.len = l->path_len;
	if (l->next == l->names.n) {
		leave(n);
		put_end(n);
		return 0;
	}
	name = l->names.v[l->next++];
	str_addc(&n->path, '/');
	str_adds(&n->path, name);
	PUT(n, "entry", "(", "name", name, "node");
	return begin_node(n, l->fd, name, e);
}

/* The file has been delivered: was that all of it? */
static int end_file(struct nar *n, struct err **e)
{
	static const char zeros[8];
	char beyond;
	ssize_t k = 0;

	if (n->file >= 0) {
		do
			k = read(n->file, &beyond, 1);
		while (k < 0 && errno == EINTR);
		n->file = close_fd(n->file);
	}
	if (k != 0)
		return fail(n, 0, "became longer while it was read", e);
	n->in_file = false;
	str_add(&n->head, zeros, n->padding);
	put_end(n);
	return 0;
}

/* All tokens and contents were delivered: the next ones. 0 at the end, 1 when there is more. */
static int step(struct nar *n, struct err **e)
{
	int r;

	str_clear(&n->head);
	n->head_at = 0;
	if (n->in_file) {
		r = end_file(n, e);
	} else if (!n->begun) {
		n->begun = true;
		put_string(n, "nix-archive-1");
		r = begin_node(n, n->dirfd, str_text(&n->path), e);
	} else if (n->depth > 0) {
		r = next_entry(n, e);
	} else {
		return 0;
	}
	return r < 0 ? r : 1;
}

int nar_open(int dirfd, const char *name, unsigned flags, struct nar **ret, struct err **e)
{
	struct nar *n;

	if (!*name || strchr(name, '/'))
		return err_set(e, EINVAL, "'%s' is not the name of one file", name);
	n = xcalloc(1, sizeof(*n));
	n->flags = flags;
	n->dirfd = dirfd;
	n->file = -1;
	str_adds(&n->path, name);
	*ret = n;
	return 0;
}

void nar_close(struct nar *n)
{
	if (!n)
		return;
	while (n->depth > 0)
		leave(n);
	(void)close_fd(n->file);
	str_release(&n->head);
	str_release(&n->path);
	free(n);
}

static ssize_t read_contents(struct nar *n, char *bytes, size_t size, struct err **e)
{
	ssize_t k;

	do
		k = read(n->file, bytes, n->left < size ? (size_t)n->left : size);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return fail(n, errno, "cannot read", e);
	if (k == 0)
		return fail(n, 0, "became shorter while it was read", e);
	n->left -= (uint64_t)k;
	return k;
}

static size_t read_head(struct nar *n, char *bytes, size_t size)
{
	size_t k = n->head.len - n->head_at;

	k = k < size ? k : size;
	memcpy(bytes, n->head.p + n->head_at, k);
	n->head_at += k;
	return k;
}

ssize_t nar_read(struct nar *n, void *bytes, size_t size, struct err **e)
{
	char *to = bytes;
	size_t have = 0;

	while (have < size) {
		ssize_t k;

		if (n->head_at < n->head.len) {
			have += read_head(n, to + have, size - have);
		} else if (n->left > 0) {
			k = read_contents(n, to + have, size - have, e);
			if (k < 0)
				return k;
			have += (size_t)k;
		} else {
			k = step(n, e);
			if (k < 0)
				return k;
			if (k == 0)
				break;
		}
	}
	return (ssize_t)have;
}

int nar_measure(struct nar *n, size_t entries, uint64_t *size, struct err **e)
{
	while (entries-- > 0) {
		int r = step(n, e);

		if (r <= 0)
			return r < 0 ? r : 1;
		*size += n->head.len + n->left;
		n->left = 0;
	}
	return 0;
}

/* --- all at once ------------------------------------------------------------------------------------------------- */

int nar_write(int dirfd, const char *name, nar_sink *sink, void *ctx, struct err **e)
{
	_cleanup_free_ char *buffer = xmalloc(BUFFER);
	_cleanup_nar_ struct nar *n = NULL;
	int r = nar_open(dirfd, name, 0, &n, e);

	while (r == 0) {
		ssize_t k = nar_read(n, buffer, BUFFER, e);

		if (k <= 0)
			return (int)k;
		r = sink(buffer, (size_t)k, ctx, e);
	}
	return r;
}

struct hashing {
	struct digest *digest;
	uint64_t size;
};

static int hash_sink(const void *bytes, size_t n, void *ctx, struct err **e)
{
	struct hashing *h = ctx;

	(void)e;
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
