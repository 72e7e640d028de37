/* Theory of operation
 *
 * shares_add() opens what the user named, once, and asks the descriptor what it is: its path as the kernel has it, its
 * device and inode. What is judged is that, not the text. box_spec_add_share() takes the path without following a link
 * any more, and it must still be the same file; the kinds look once more when they mount it. */
#include "box/shares.h"

#include "base/mem.h"
#include "box/dirs.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- PATH:AT ------------------------------------------------------------------------------------------------------ */

/* Absolute, its parts separated by one '/'. */
static int normal_place(const char *text, char **ret, struct err **e)
{
	_cleanup_strv_ struct strv parts = STRV_INIT;
	_cleanup_str_ struct str s = STR_INIT;

	strv_split(&parts, text, '/');
	for (size_t i = 0; i < parts.n; i++) {
		if (strcmp(parts.v[i], ".") == 0 || strcmp(parts.v[i], "..") == 0)
			return err_set(e, EINVAL, "'%s' is no place for a share: '.' and '..' cannot be part of it",
				       text);
		if (*parts.v[i])
			str_addf(&s, "/%s", parts.v[i]);
	}
	if (s.len == 0)
		return err_set(e, EINVAL, "'%s' is no place for a share", text);
	*ret = str_take(&s);
	return 0;
}

int shares_parse(const char *text, char **ret_path, char **ret_at, struct err **e)
{
	const char *colon = NULL;
	char *at = NULL;
	int r;

	for (const char *p = strstr(text, ":/"); p; p = strstr(p + 1, ":/"))
		colon = p;
	if (colon == text)
		return err_set(e, EINVAL, "'%s' names no path to share before its ':'", text);
	if (colon) {
		r = normal_place(colon + 1, &at, e);
		if (r < 0)
			return r;
	}
	*ret_path = colon ? xstrndup(text, (size_t)(colon - text)) : xstrdup(text);
	*ret_at = at;
	return 0;
}

/* --- what it is --------------------------------------------------------------------------------------------------- */

static int own_places(struct strv *to, struct err **e)
{
	for (enum dirs_kind kind = DIRS_STATE; kind <= DIRS_RUNTIME; kind++) {
		_cleanup_free_ char *path = NULL;
		_cleanup_free_ char *real = NULL;
		int r = dirs_path(kind, "", &path, e);

		if (r < 0)
			return r;
		real = realpath(path, NULL);
		strv_add(to, real ? real : path);
	}
	return 0;
}

static int open_source(const char *given, struct share *ret, int *ret_fd, struct err **e)
{
	_cleanup_close_ int fd = file_open_user(given, O_PATH);
	char link[64];
	char path[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return err_errno(e, -fd, "cannot share '%s'", given);
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot share '%s'", given);
	path[n] = '\0';
	ret->path = xstrdup(path);
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	*ret_fd = take_fd(&fd);
	return 0;
}

static void share_release(struct share *s)
{
	free(s->path);
	free(s->at);
	free(s->risk);
}

static int judge(struct share *s, int fd, struct err **e)
{
	_cleanup_strv_ struct strv own = STRV_INIT;
	_cleanup_free_ char *home = str_has(getenv("HOME")) ? realpath(getenv("HOME"), NULL) : NULL;
	struct shares_places places = {.home = home};
	int r = own_places(&own, e);

	if (r < 0)
		return r;
	places.own = (const char *const *)own.v;
	if (shares_judge(s->path, fd, &places, &s->risk) == SHARES_REFUSED)
		return err_set(e, EACCES, "'%s' cannot be shared with a box: %s", s->path, s->risk);
	return 0;
}

int shares_add(struct shares *s, const char *text, bool read_only, struct err **e)
{
	_cleanup_free_ char *given = NULL;
	_cleanup_close_ int fd = -1;
	struct share new = {.read_only = read_only};
	int r = shares_parse(text, &given, &new.at, e);

	if (r == 0)
		r = open_source(given, &new, &fd, e);
	if (r == 0)
		r = judge(&new, fd, e);
	if (r < 0) {
		share_release(&new);
		return r;
	}
	s->v = xrealloc_array(s->v, s->n + 1, sizeof(*s->v));
	s->v[s->n++] = new;
	return 0;
}

void shares_release(struct shares *s)
{
	for (size_t i = 0; i < s->n; i++)
		share_release(&s->v[i]);
	free(s->v);
	*s = (struct shares){NULL, 0};
}

/* --- where -------------------------------------------------------------------------------------------------------- */

char *shares_place(const char *path, bool read_only, const struct strv *taken)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash && slash[1] ? slash + 1 : "root";
	const char *folder = read_only ? SHARES_RO : SHARES_RW;
	char *place = xasprintf("%s/%s", folder, name);

	for (unsigned i = 2; strv_has(taken, place); i++) {
		free(place);
		place = xasprintf("%s/%s-%u", folder, name, i);
	}
	return place;
}

/* What of `path` lies below `folder`, beginning with '/'; "" for the folder itself, NULL for what is elsewhere. */
static const char *below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0') ? path + n : NULL;
}

/* A mount point can be made in the box's own root; in another share it would be made in a folder of the host. */
static int check_within(const struct box_share *outer, const char *rest, const struct share *s, const char *at,
			struct err **e)
{
	_cleanup_close_ int top = open(outer->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int there = top < 0 ? -1 : file_open_beneath(top, rest + 1, O_PATH, 0);
	struct stat here;
	struct stat st;

	if (there >= 0 && fstat(there, &st) == 0 && stat(s->path, &here) == 0 &&
	    S_ISDIR(st.st_mode) == S_ISDIR(here.st_mode))
		return 0;
	(void)err_set(e, EINVAL, "'%s' cannot be at %s: that lies in '%s', where no such %s is", s->path, at,
		      outer->source, stat(s->path, &here) == 0 && S_ISDIR(here.st_mode) ? "folder" : "file");
	return err_hint(e, "give it another place (PATH:AT), or make that one first");
}

static int check_place(const struct box_spec *spec, const struct share *s, const char *at, struct err **e)
{
	for (size_t i = 0; i < spec->nshares; i++) {
		const struct box_share *other = &spec->shares[i];
		bool own_place = strcmp(s->path, at) == 0 && strcmp(other->source, other->target) == 0;
		const char *rest = below(at, other->target);
		int r;

		/* At their own places, one shows in the other what it is itself. */
		if (own_place || (rest && !*rest && strcmp(other->source, s->path) == 0))
			continue;
		if (rest && !*rest)
			return err_set(e, EINVAL, "'%s' and '%s' cannot both be at %s", other->source, s->path, at);
		if (below(other->target, at))
			return err_set(e, EINVAL, "'%s' at %s would hide '%s' at %s", s->path, at, other->source,
				       other->target);
		r = rest ? check_within(other, rest, s, at, e) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int shares_put(const struct shares *s, bool machine, struct box_spec *spec, struct err **e)
{
	_cleanup_strv_ struct strv taken = STRV_INIT;

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].at)
			strv_add(&taken, s->v[i].at);
	for (size_t i = 0; i < s->n; i++) {
		const struct share *share = &s->v[i];
		_cleanup_free_ char *at = share->at ? xstrdup(share->at)
					  : machine ? shares_place(share->path, share->read_only, &taken)
						    : xstrdup(share->path);
		const struct box_share *added;
		int r = check_place(spec, share, at, e);

		if (r == 0)
			r = box_spec_add_share(spec, share->path, at, share->read_only, e);
		if (r == -EINVAL && !share->at)
			(void)err_hint(e, "to have it elsewhere in the box: PATH:AT");
		if (r < 0)
			return r;
		added = &spec->shares[spec->nshares - 1];
		if (added->dev != share->dev || added->ino != share->ino)
			return err_set(e, ESTALE, "cannot share '%s': it was replaced just now", share->path);
		strv_add(&taken, at);
	}
	return 0;
}
