#include "cmd/cphost.h"

#include "base/str.h"
#include "wire/copypath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40 };

struct walk {
	const char *path;
	enum cphost_last last;
	int dir;
	char *rest; /* what is still to be gone through */
	int links;
};

static bool is_root_folder(const struct stat *st)
{
	struct stat root;

	return stat("/", &root) == 0 && root.st_dev == st->st_dev && root.st_ino == st->st_ino;
}

static bool is_trusted(int dir, const struct stat *link)
{
	struct stat st;

	if (fstat(dir, &st) < 0 || st.st_uid != 0 || link->st_uid != 0 || (st.st_mode & 022))
		return false;
	return geteuid() != 0 || is_root_folder(&st);
}

static int refuse(const struct walk *w, const char *name, const char *target, struct err **e)
{
	_cleanup_str_ struct str path = STR_INIT;
	_cleanup_str_ struct str shown = STR_INIT;
	_cleanup_str_ struct str to = STR_INIT;

	str_add_printable(&path, w->path, strlen(w->path), false);
	str_add_printable(&shown, name, strlen(name), false);
	str_add_printable(&to, target, strlen(target), false);
	(void)err_set(e, ELOOP, "'%s': '%s' is a symbolic link, to '%s', and a box may have made it", str_text(&path),
		      str_text(&shown), str_text(&to));
	return err_hint(e, "if that is what you mean, name the place without a link");
}

static int open_folder(struct walk *w, int at, const char *name, struct err **e)
{
	int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		_cleanup_str_ struct str shown = STR_INIT;

		str_add_printable(&shown, w->path, strlen(w->path), false);
		return err_errno(e, errno, "cannot open '%s'", str_text(&shown));
	}
	(void)close_fd(w->dir);
	w->dir = fd;
	return 0;
}

static int follow(struct walk *w, const char *name, const struct stat *st, const char *behind, struct err **e)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(w->dir, name, target, sizeof(target) - 1);
	char *rest;

	if (n <= 0)
		return err_errno(e, n < 0 ? errno : ENOENT, "cannot read the link '%s'", name);
	target[n] = '\0';
	if (w->last != CPHOST_FOLLOW && !is_trusted(w->dir, st))
		return refuse(w, name, target, e);
	if (++w->links > LINKS_MAX)
		return err_errno(e, ELOOP, "cannot open '%s'", w->path);
	rest = xasprintf("%s%s", target, behind);
	free(w->rest);
	w->rest = rest;
	return *target == '/' ? open_folder(w, AT_FDCWD, "/", e) : 0;
}

/* One name further. 1 when it is the last one, which is *ret_name then (NULL: none was left). */
static int step(struct walk *w, char **ret_name, struct err **e)
{
	const char *p = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(p, "/");
	const char *behind = p + n;
	bool last = behind[strspn(behind, "/")] == '\0';
	_cleanup_free_ char *name = xstrndup(p, n);
	struct stat st;
	int r;

	*ret_name = NULL;
	if (n == 0)
		return 1;
	if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
		bool there = fstatat(w->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;

		if (there && S_ISLNK(st.st_mode) && !(last && w->last == CPHOST_KEEP && *behind == '\0'))
			return follow(w, name, &st, behind, e);
		if (last && (there || errno == ENOENT)) {
			*ret_name = take_ptr(name);
			return 1;
		}
	}
	r = open_folder(w, w->dir, name, e);
	if (r == 0)
		memmove(w->rest, behind, strlen(behind) + 1);
	return r;
}

int cphost_open(const char *path, enum cphost_last last, struct cphost *ret, struct err **e)
{
	_cleanup_copypath_ struct copypath split = {NULL, NULL, false};
	struct walk w = {.path = path, .last = last, .dir = -1, .rest = xstrdup(path)};
	char *name = NULL;
	int r = open_folder(&w, AT_FDCWD, *path == '/' ? "/" : ".", e);

	while (r == 0)
		r = step(&w, &name, e);
	free(w.rest);
	if (r < 0) {
		(void)close_fd(w.dir);
		return r;
	}
	copypath_split(path, &split);
	*ret = (struct cphost){.parent = w.dir,
			       .name = split.name ? name : NULL,
			       .as = xstrdup(split.name ? split.name : ""),
			       .folder = split.folder};
	return 0;
}

void cphost_release(struct cphost *h)
{
	(void)close_fd(h->parent);
	free(h->name);
	free(h->as);
	*h = (struct cphost)CPHOST_INIT;
}
