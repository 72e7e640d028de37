#include "sys/copytree.h"

#include "base/str.h"
#include "sys/copyfile.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DEPTH_MAX = 2000, MODE_BITS = 01777 };

/* Files of several names: where the first of them was put. */
struct link {
	ino_t inode; /* 0: free */
	char *path;  /* below the topmost folder */
};

struct walk {
	struct copytree *c;
	struct copyfile file;
	int top; /* the topmost folder of the copy */
	dev_t dev;
	struct str path; /* of what is being copied, for links and messages */
	struct link *links;
	size_t n_links;
	size_t links_cap; /* a power of two, or 0 */
};

static int tick(void *arg, uint64_t bytes)
{
	struct walk *w = arg;

	w->c->done += bytes;
	return w->c->tick ? w->c->tick(w->c->arg, w->c) : 0;
}

static int failed(struct walk *w, int r, const char *what, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, str_text(&w->path), w->path.len, false);
	return err_errno(e, -r, "cannot %s '%s'", what, str_text(&shown));
}

/* --- files of several names -----------------------------------------------------------------------------------------
 */

static struct link *link_slot(struct link *v, size_t cap, ino_t inode)
{
	size_t i = (size_t)((uint64_t)inode * 0x9e3779b97f4a7c15U >> 20) & (cap - 1);

	while (v[i].inode != 0 && v[i].inode != inode)
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static struct link *link_find(struct walk *w, ino_t inode)
{
	enum { FIRST_CAP = 256 };

	if (w->n_links * 2 >= w->links_cap) {
		size_t cap = w->links_cap ? w->links_cap * 2 : FIRST_CAP;
		struct link *v = xcalloc(cap, sizeof(*v));

		for (size_t i = 0; i < w->links_cap; i++)
			if (w->links[i].inode != 0)
				*link_slot(v, cap, w->links[i].inode) = w->links[i];
		free(w->links);
		w->links = v;
		w->links_cap = cap;
	}
	return link_slot(w->links, w->links_cap, inode);
}

/* 1 when `name` is another name of a file that was copied, 0 when it is to be copied. */
static int copy_name(struct walk *w, int to, const char *name, const struct stat *st)
{
	struct link *l = link_find(w, st->st_ino);

	/* EMLINK and too long a path: then it is a file of its own. */
	if (l->inode != 0)
		return linkat(w->top, l->path, to, name, 0) == 0                    ? 1
		       : errno == EMLINK || errno == ENAMETOOLONG || errno == EPERM ? 0
										    : -errno;
	*l = (struct link){.inode = st->st_ino, .path = xstrdup(str_text(&w->path))};
	w->n_links++;
	return 0;
}

/* --- one entry
 * -------------------------------------------------------------------------------------------------------- */

/* What its owner may not read is read all the same, with its mode changed for the moment; a folder's until it was
 * copied, since nothing below it can be reached otherwise. */
static int open_closed(int dir, const char *name, int flags, const struct stat *st)
{
	_cleanup_close_ int path = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_free_ char *self = xasprintf("/proc/self/fd/%d", path);
	int fd;
	int r;

	if (path < 0 || chmod(self, (st->st_mode & 07777) | (S_ISDIR(st->st_mode) ? 0500 : 0400)) < 0)
		return -errno;
	fd = openat(dir, name, flags);
	r = fd < 0 ? -errno : fd;
	if (r < 0 || !S_ISDIR(st->st_mode))
		(void)chmod(self, st->st_mode & 07777);
	return r;
}

static bool is_closed(const struct stat *st)
{
	return S_ISDIR(st->st_mode) && (st->st_mode & 0500) != 0500;
}

static int open_from(int dir, const char *name, const struct stat *st)
{
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
		    (S_ISDIR(st->st_mode) ? O_DIRECTORY : 0);
	int fd = is_closed(st) ? -1 : openat(dir, name, flags);

	if (fd < 0 && (is_closed(st) || errno == EACCES))
		return open_closed(dir, name, flags, st);
	return fd < 0 ? -errno : fd;
}

static int set_times(int fd, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	return futimens(fd, times) < 0 ? -errno : 0;
}

/* Source: QEMU's hw/9pfs/9p-local.c, "mapped-xattr". */
static int copy_owners(const struct walk *w, int in, int out)
{
	static const char *const names[] = {"user.virtfs.uid", "user.virtfs.gid", "user.virtfs.mode",
					    "user.virtfs.rdev"};
	const char *top = w->c->owned;
	size_t n = top ? strlen(top) : 0;
	char value[16];

	if (!top || strncmp(str_text(&w->path), top, n) != 0 || (w->path.len > n && w->path.p[n] != '/'))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ssize_t k = fgetxattr(in, names[i], value, sizeof(value));

		if (k >= 0 ? fsetxattr(out, names[i], value, (size_t)k, 0) < 0 : errno != ENODATA && errno != ENOTSUP)
			return -errno;
	}
	return 0;
}

static int copy_regular(struct walk *w, int from, int to, const char *name, const struct stat *st, struct err **e)
{
	_cleanup_close_ int in = open_from(from, name, st);
	_cleanup_close_ int out = -1;
	int r;

	if (in < 0)
		return failed(w, in, "read", e);
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return failed(w, -errno, "copy", e);
	r = copyfile_bytes(&w->file, in, out, st);
	if (r == 1)
		w->c->cloned += (uint64_t)st->st_size;
	w->c->bytes += (uint64_t)st->st_size;
	if (r >= 0)
		r = copy_owners(w, in, out);
	if (r >= 0)
		r = fchmod(out, st->st_mode & MODE_BITS) < 0 ? -errno : set_times(out, st);
	return r < 0 ? failed(w, r, "copy", e) : 0;
}

static int copy_symlink(struct walk *w, int from, int to, const char *name, const struct stat *st, struct err **e)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	char target[PATH_MAX];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return failed(w, -errno, "read", e);
	target[n] = '\0';
	if (symlinkat(target, to, name) < 0 || utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(w, -errno, "copy", e);
	return 0;
}

/* A pipe or a socket. */
static int copy_node(struct walk *w, int to, const char *name, const struct stat *st, struct err **e)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	/* Not with mknodat()'s mode, which is less the umask. */
	if (mknodat(to, name, (st->st_mode & S_IFMT) | 0600, 0) < 0 ||
	    fchmodat(to, name, st->st_mode & MODE_BITS, 0) < 0 || utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(w, -errno, "copy", e);
	return 0;
}

static int copy_folder(struct walk *w, int from, int to, int depth, struct err **e);

static int copy_sub(struct walk *w, int from, int to, const char *name, const struct stat *st, int depth,
		    struct err **e)
{
	_cleanup_close_ int in = open_from(from, name, st);
	_cleanup_close_ int out = -1;
	int r;

	if (in < 0)
		return failed(w, in, "read", e);
	if (mkdirat(to, name, 0700) < 0)
		r = failed(w, -errno, "copy", e);
	else if ((out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		r = failed(w, -errno, "copy", e);
	else
		r = copy_folder(w, in, out, depth + 1, e);
	if (is_closed(st))
		(void)fchmod(in, st->st_mode & 07777);
	if (r < 0)
		return r;
	r = copy_owners(w, in, out);
	if (r == 0)
		r = fchmod(out, st->st_mode & MODE_BITS) < 0 ? -errno : set_times(out, st);
	return r < 0 ? failed(w, r, "copy", e) : 0;
}

static int copy_entry(struct walk *w, int from, int to, const char *name, int depth, struct err **e)
{
	struct stat st;
	int r = 0;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(w, -errno, "look at", e);
	if (st.st_dev != w->dev)
		return 0;
	w->c->entries++;
	if (S_ISDIR(st.st_mode))
		return copy_sub(w, from, to, name, &st, depth, e);
	if (st.st_nlink > 1)
		r = copy_name(w, to, name, &st);
	if (r != 0)
		return r < 0 ? failed(w, r, "link", e) : 0;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return copy_regular(w, from, to, name, &st, e);
	case S_IFLNK:
		return copy_symlink(w, from, to, name, &st, e);
	case S_IFIFO:
	case S_IFSOCK:
		return copy_node(w, to, name, &st, e);
	default: /* a device, which no box can make */
		w->c->entries--;
		return 0;
	}
}

static bool is_wanted(const struct walk *w, const char *name, int depth)
{
	return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       (depth > 0 || !w->c->leave_out || !w->c->leave_out(name));
}

static int copy_folder(struct walk *w, int from, int to, int depth, struct err **e)
{
	int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	size_t n = w->path.len;
	const struct dirent *ent;
	int r = d ? tick(w, 0) : -errno;

	if (depth > DEPTH_MAX)
		r = -ELOOP;
	if (!d || r < 0) {
		(void)(d ? closedir(d) : close_fd(copy));
		return failed(w, r, "copy", e);
	}
	while (r == 0 && (errno = 0, ent = readdir(d))) {
		if (!is_wanted(w, ent->d_name, depth))
			continue;
		str_addf(&w->path, "%s%s", n > 0 ? "/" : "", ent->d_name);
		r = copy_entry(w, from, to, ent->d_name, depth, e);
		w->path.len = n;
		if (w->path.p)
			w->path.p[n] = '\0';
	}
	if (r == 0 && errno != 0)
		r = failed(w, -errno, "read", e);
	(void)closedir(d);
	return r;
}

int copytree_run(struct copytree *c, int from, int to, struct err **e)
{
	struct walk w = {.c = c, .top = to, .file = {.tick = tick}};
	struct stat st;
	int r;

	c->entries = c->bytes = c->cloned = c->done = 0;
	w.file.arg = &w;
	if (fstat(from, &st) < 0)
		return err_errno(e, errno, "cannot look at the folder to copy");
	w.dev = st.st_dev;
	r = copy_folder(&w, from, to, 0, e);
	for (size_t i = 0; i < w.links_cap; i++)
		free(w.links[i].path);
	free(w.links);
	str_release(&w.path);
	return r;
}
