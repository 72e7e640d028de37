#include "box/protectpath.h"

#include "box/protect.h"
#include "box/protectrules.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 16, HELD_MAX = 4096 };

/* Where on a path the walk stands. */
struct step {
	int dir;          /* of `name` */
	char *path;       /* absolute, up to and with `name` */
	const char *name; /* within path */
	const char *rest; /* of the whole path, behind it; "" at the end */
};

static int hold(struct heldset *set, const char *rule, const char *path, unsigned flags, int depth, struct err **e);

static char *shown(const char *path)
{
	struct str s = STR_INIT;

	str_add_printable(&s, path, strlen(path), false);
	return str_take(&s);
}

static int cannot(const char *path, const char *rule, int errnum, const char *why, struct err **e)
{
	_cleanup_free_ char *text = shown(path);

	(void)err_set(e, errnum, "cannot protect '%s' from the box: %s", text, why);
	return err_hint(e, "remove it, or let the box write it with: --unprotect %s", rule);
}

/* --- placeholders ------------------------------------------------------------------------------------------- */

static bool is_placeholder(int dir, const char *name, const struct stat *st)
{
	_cleanup_close_ int fd = -1;
	char text[NAME_MAX + 8] = "";
	ssize_t n;

	if (st->st_mtim.tv_sec != PROTECT_MARK || st->st_uid != geteuid())
		return false;
	if (S_ISDIR(st->st_mode))
		return true; /* rmdir will tell whether it is empty */
	if (!S_ISREG(st->st_mode) || st->st_nlink != 1 || st->st_size >= (off_t)sizeof(text))
		return false;
	if (st->st_size == 0)
		return true;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	return n > 4 && str_starts(text, "../") && strchr(text + 3, '/') == NULL && text[n - 1] == '\n';
}

/* What a git folder's commondir says when it means the folder itself, for git and for libgit2 (which takes "." for
 * no repository). */
static char *commondir_text(const struct held *h)
{
	const char *end = strrchr(h->path, '/');
	const char *begin = end;

	while (begin > h->path && begin[-1] != '/')
		begin--;
	return xasprintf("../%.*s\n", (int)(end - begin), begin);
}

static int mark(int dir, const char *name)
{
	const struct timespec at[2] = {{.tv_sec = PROTECT_MARK}, {.tv_sec = PROTECT_MARK}};

	return utimensat(dir, name, at, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* Never over what is there. Not every file system can (EINVAL: NFS, 9p); a second name does the same. */
static int rename_new(int dir, const char *from, const char *to)
{
	if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(dir, from, dir, to, 0) < 0)
		return -errno;
	(void)unlinkat(dir, from, 0);
	return 0;
}

/* A file comes into being with its text and its mark: git must not read half of it. */
static int make_file(const struct held *h)
{
	_cleanup_free_ char *temp = xasprintf(".igloo-%d-%.200s", (int)getpid(), h->name);
	_cleanup_close_ int fd = openat(h->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	const struct timespec at[2] = {{.tv_sec = PROTECT_MARK}, {.tv_sec = PROTECT_MARK}};
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && (h->flags & RULE_COMMONDIR)) {
		_cleanup_free_ char *text = commondir_text(h);

		r = fd_write_all(fd, text, strlen(text));
	}
	if (r == 0 && futimens(fd, at) < 0)
		r = -errno;
	if (r == 0)
		r = rename_new(h->dir, temp, h->name);
	if (r < 0 && fd >= 0)
		(void)unlinkat(h->dir, temp, 0);
	return r == -EEXIST ? 0 : r;
}

int held_make(struct held *h)
{
	struct stat st;
	int r;

	if (fstatat(h->dir, h->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		h->placeholder = is_placeholder(h->dir, h->name, &st);
		return 0;
	}
	if (errno != ENOENT)
		return -errno;
	if (h->flags & (RULE_FILE | RULE_COMMONDIR)) {
		r = make_file(h);
	} else {
		r = mkdirat(h->dir, h->name, 0755) < 0 ? -errno : mark(h->dir, h->name);
		r = r == -EEXIST ? 0 : r;
	}
	h->placeholder = r == 0;
	return r;
}

void held_remove(const struct held *h)
{
	struct stat st;

	if (fstatat(h->dir, h->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && is_placeholder(h->dir, h->name, &st))
		(void)unlinkat(h->dir, h->name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
}

/* --- the walk ------------------------------------------------------------------------------------------------- */

static bool is_at_home(const struct box_share *s)
{
	return strcmp(s->source, s->target) == 0;
}

/* What of `path` lies below the share's source, beginning with '/'; NULL for what is elsewhere. */
static const char *rest_in(const struct box_share *s, const char *path)
{
	size_t n = strlen(s->source);

	return strncmp(path, s->source, n) == 0 && path[n] == '/' ? path + n : NULL;
}

/* The outermost share through which the box can write `path`, under whatever name; NULL when there is none. The names
 * between an outer and an inner one must stay, too. Of those at their own places the innermost decides. */
static const struct box_share *writable_share(const struct box_spec *spec, const char *path)
{
	const struct box_share *inner = NULL;
	const struct box_share *outer = NULL;

	for (size_t i = 0; spec && i < spec->nshares; i++) {
		const struct box_share *s = &spec->shares[i];

		if (is_at_home(s) && rest_in(s, path) && (!inner || strlen(s->source) > strlen(inner->source)))
			inner = s;
	}
	for (size_t i = 0; spec && i < spec->nshares; i++) {
		const struct box_share *s = &spec->shares[i];

		if (s->read_only || !rest_in(s, path) || (is_at_home(s) && (!inner || inner->read_only)))
			continue;
		if (!outer || strlen(s->source) < strlen(outer->source))
			outer = s;
	}
	return outer;
}

static void add_pin(struct heldset *set, const char *path, bool read_only)
{
	set->pins = xrealloc_array(set->pins, set->npins + 1, sizeof(*set->pins));
	set->pins[set->npins++] = (struct box_pin){.path = xstrdup(path), .read_only = read_only};
}

static void add_held(struct heldset *set, const char *rule, const struct step *at, unsigned flags)
{
	set->v = xrealloc_array(set->v, set->n + 1, sizeof(*set->v));
	set->v[set->n++] = (struct held){
		.dir = fcntl(at->dir, F_DUPFD_CLOEXEC, 3),
		.path = xstrdup(at->path),
		.name = xstrdup(at->name),
		.rule = rule,
		.flags = flags,
	};
}

/* Where a link leads, through all links; for one that leads nowhere the text of the path it names, with "." and ".."
 * taken literally, as long as its folder exists. */
static char *link_target(const struct step *at)
{
	char *real = realpath(at->path, NULL);
	char text[PATH_MAX];
	_cleanup_free_ char *named = NULL;
	_cleanup_free_ char *parent = NULL;
	char *slash;
	ssize_t n;

	if (real) {
		char *joined = xasprintf("%s%s", real, at->rest);

		free(real);
		return joined;
	}
	n = readlinkat(at->dir, at->name, text, sizeof(text) - 1);
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	named = *text == '/' ? xstrdup(text) : xasprintf("%.*s/%s", (int)(at->name - at->path - 1), at->path, text);
	slash = strrchr(named, '/');
	if (*at->rest || !slash[1] || strcmp(slash + 1, "..") == 0)
		return NULL;
	*slash = '\0';
	parent = realpath(slash == named ? "/" : named, NULL);
	return parent ? xasprintf("%s/%s", parent, slash + 1) : NULL;
}

static int hold_link(struct heldset *set, const char *rule, const struct step *at, unsigned flags, int depth,
		     struct err **e)
{
	_cleanup_free_ char *target = link_target(at);
	int r;

	add_pin(set, at->path, true);
	if (!target || depth >= LINKS_MAX)
		return cannot(at->path, rule, ELOOP, "it is a symbolic link to nothing", e);
	/* At the end of a link nobody insists on a file: an empty folder serves. */
	r = hold(set, rule, target, (flags & RULE_LINKS) | RULE_HOLD, depth + 1, e);
	return r < 0 ? r : 1;
}

static int hold_last(struct heldset *set, const char *rule, const struct step *at, unsigned flags, struct err **e)
{
	struct held *h;
	struct stat st;
	int r;

	if (set->n >= HELD_MAX)
		return cannot(at->path, rule, E2BIG, "there are too many such paths", e);
	if (!(flags & RULE_HOLD) && fstatat(at->dir, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : cannot(at->path, rule, errno, strerror(errno), e);
	add_held(set, rule, at, flags);
	h = &set->v[set->n - 1];
	r = flags & RULE_HOLD ? held_make(h) : 0;
	if (r < 0)
		return cannot(at->path, rule, -r, strerror(-r), e);
	if (fstatat(at->dir, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return cannot(at->path, rule, errno, strerror(errno), e);
	if (S_ISLNK(st.st_mode))
		return 2;
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return cannot(at->path, rule, EINVAL, "it is neither a file nor a folder", e);
	add_pin(set, at->path, true);
	return 1;
}

/* One component in the middle: pins a folder and goes into it. 1 to go on, 2 for a link, 0 when it is missing. */
static int hold_middle(struct heldset *set, const char *rule, struct step *at, struct err **e)
{
	struct stat st;
	int fd;

	if (fstatat(at->dir, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : cannot(at->path, rule, errno, strerror(errno), e);
	if (S_ISLNK(st.st_mode))
		return 2;
	if (!S_ISDIR(st.st_mode))
		return 0;
	fd = openat(at->dir, at->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return cannot(at->path, rule, errno, strerror(errno), e);
	(void)close_fd(at->dir);
	at->dir = fd;
	add_pin(set, at->path, false);
	return 1;
}

static int hold(struct heldset *set, const char *rule, const char *path, unsigned flags, int depth, struct err **e)
{
	const struct box_share *share = writable_share(set->spec, path);
	const char *p = share ? path + strlen(share->source) + 1 : NULL;
	struct step at = {.dir = -1};
	int r = 1;

	if (!share)
		return 1;
	at.dir = open(share->source, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at.dir < 0)
		return cannot(path, rule, errno, strerror(errno), e);
	while (r == 1 && *p) {
		size_t n = strcspn(p, "/");
		const char *rest = p + n;

		if (n == 0) {
			p++;
			continue;
		}
		free(at.path);
		at.path = xstrndup(path, (size_t)(rest - path));
		at.name = at.path + (p - path);
		at.rest = rest;
		p = rest;
		r = *rest ? hold_middle(set, rule, &at, e) : hold_last(set, rule, &at, flags, e);
	}
	if (r == 2)
		r = hold_link(set, rule, &at, flags, depth, e);
	free(at.path);
	(void)close_fd(at.dir);
	return r;
}

int heldset_add(struct heldset *set, const char *rule, const char *path, unsigned flags, struct err **e)
{
	return hold(set, rule, path, flags, 0, e);
}

void heldset_note(struct heldset *set, const char *path, unsigned flags)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent = xstrndup(path, (size_t)(slash - path));
	_cleanup_close_ int dir = open(parent, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const struct step at = {.dir = dir, .path = (char *)(uintptr_t)path, .name = slash + 1};
	struct stat st;

	if (dir < 0 || fstatat(dir, at.name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !is_placeholder(dir, at.name, &st))
		return;
	add_held(set, NULL, &at, flags);
	set->v[set->n - 1].placeholder = true;
}

static int compare_pins(const void *a, const void *b)
{
	const struct box_pin *x = a;
	const struct box_pin *y = b;
	int c = strcmp(x->path, y->path);

	return c ? c : (int)y->read_only - (int)x->read_only;
}

/* Pins have the host's paths so far: a box has them where its shares are. */
static void place_pins(struct heldset *set, const struct box_spec *spec)
{
	struct box_pin *pins = set->pins;
	size_t n = set->npins;

	set->pins = NULL;
	set->npins = 0;
	for (size_t i = 0; i < n; i++) {
		bool at_home = false;

		for (size_t k = 0; k < spec->nshares; k++) {
			const struct box_share *s = &spec->shares[k];
			const char *rest = rest_in(s, pins[i].path);
			_cleanup_free_ char *there = NULL;

			if (!rest || (at_home && is_at_home(s)) || (s->read_only && !is_at_home(s)))
				continue;
			at_home = at_home || is_at_home(s);
			there = xasprintf("%s%s", s->target, rest);
			add_pin(set, there, pins[i].read_only);
		}
		free(pins[i].path);
	}
	free(pins);
}

void heldset_give_pins(struct heldset *set, struct box_spec *spec)
{
	place_pins(set, spec);
	/* A path sorts before what is below it; of two pins of one path the read-only one comes first and stays. */
	if (set->npins > 1)
		qsort(set->pins, set->npins, sizeof(*set->pins), compare_pins);
	for (size_t i = 0; i < set->npins; i++)
		if (i == 0 || strcmp(set->pins[i - 1].path, set->pins[i].path) != 0)
			box_spec_add_pin(spec, set->pins[i].path, set->pins[i].read_only);
}

void heldset_release(struct heldset *set)
{
	for (size_t i = 0; i < set->n; i++) {
		(void)close_fd(set->v[i].dir);
		free(set->v[i].path);
		free(set->v[i].name);
	}
	for (size_t i = 0; i < set->npins; i++)
		free(set->pins[i].path);
	free(set->v);
	free(set->pins);
	*set = (struct heldset){0};
}
