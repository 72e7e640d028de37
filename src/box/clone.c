#include "box/clone.h"

#include "base/name.h"
#include "box/dirs.h"
#include "box/hostgit.h"
#include "nix/gitrun.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIST_MAX = 64 << 20 };

static int open_parent(const struct slot *slot, struct err **e)
{
	_cleanup_free_ char *sub = xasprintf("clones/%s", slot->id);

	return dirs_open(DIRS_STATE, sub, e);
}

void clone_free(struct clone *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->path);
	free(c->tree);
	free(c->branch);
	free(c->base);
	free(c->from);
	(void)close_fd(c->dir);
	(void)close_fd(c->lock);
	free(c);
}

static bool is_hex(const char *text)
{
	size_t n = strspn(text, "0123456789abcdef");

	return (n == 40 || n == 64) && text[n] == '\0';
}

int clone_list(const struct slot *slot, struct strv *ret, struct err **e)
{
	_cleanup_close_ int parent = open_parent(slot, e);
	const struct dirent *ent;
	DIR *d;

	if (parent < 0)
		return parent;
	d = fdopendir(parent);
	if (!d)
		return err_errno(e, errno, "cannot list the clones");
	(void)take_fd(&parent);
	while ((ent = readdir(d)))
		if (name_is_valid(ent->d_name))
			strv_add(ret, ent->d_name);
	(void)closedir(d);
	strv_sort_unique(ret);
	return 0;
}

static int no_clone(const struct slot *slot, const char *name, struct err **e)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_str_ struct str all = STR_INIT;

	(void)clone_list(slot, &names, NULL);
	for (size_t i = 0; i < names.n; i++)
		str_addf(&all, "%s%s", i ? ", " : "", names.v[i]);
	(void)err_set(e, ENOENT, "there is no clone '%s' of this repository", name);
	if (names.n > 0)
		return err_hint(e, "there are: %s", str_text(&all));
	return err_hint(e, "make one with: igloo run --clone --name %s -- COMMAND", name);
}

/* "<hex>\n<branch>\n" */
static int read_base(struct clone *c, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;
	int r = file_read(c->dir, "base", 4096, &text, e);
	char *line_end;

	if (r < 0)
		return r;
	line_end = strchr(str_text(&text), '\n');
	if (line_end)
		*line_end = '\0';
	if (!line_end || !is_hex(text.p))
		return err_set(e, EBADMSG, "'%s/base' is damaged", c->path);
	c->base = xstrdup(text.p);
	c->from = xstrndup(line_end + 1, strcspn(line_end + 1, "\n"));
	return 0;
}

static int open_in(const struct slot *slot, int parent, const char *name, bool exclusive, struct clone **ret,
		   struct err **e)
{
	_cleanup_clone_ struct clone *c = xcalloc(1, sizeof(*c));
	_cleanup_free_ char *sub = xasprintf("clones/%s/%s", slot->id, name);
	int r = dirs_path(DIRS_STATE, sub, &c->path, e);

	c->dir = c->lock = -1;
	if (r < 0)
		return r;
	c->name = xstrdup(name);
	c->tree = xasprintf("%s/tree", c->path);
	c->branch = xasprintf(CLONE_BRANCH_PREFIX "%s", name);
	c->dir = file_open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
	if (c->dir == -ENOENT)
		return no_clone(slot, name, e);
	if (c->dir < 0)
		return err_errno(e, -c->dir, "clone '%s'", name);
	c->lock = file_lock(c->dir, "lock", !exclusive, false, e);
	if (c->lock == -EWOULDBLOCK) {
		(void)err_set(e, EBUSY,
			      exclusive ? "clone '%s' is in use by a box" : "clone '%s' is being discarded or merged",
			      name);
		return exclusive ? err_hint(e, "stop it first: igloo stop %s", name) : -EBUSY;
	}
	r = c->lock < 0 ? c->lock : read_base(c, e);
	if (r < 0)
		return err_wrap(e, "clone '%s'", name);
	*ret = take_ptr(c);
	return 0;
}

int clone_open(const struct slot *slot, const char *name, bool exclusive, struct clone **ret, struct err **e)
{
	_cleanup_close_ int parent = -1;
	int r = name_check(name, e);

	if (r < 0)
		return r;
	parent = open_parent(slot, e);
	return parent < 0 ? parent : open_in(slot, parent, name, exclusive, ret, e);
}

bool clone_in_use(const struct clone *c)
{
	bool alone = flock(c->lock, LOCK_EX | LOCK_NB) == 0;

	/* A conversion that fails gives up the lock. */
	while (flock(c->lock, LOCK_SH) < 0 && errno == EINTR)
		;
	return !alone;
}

static int lock_name(int parent, const char *name, struct err **e)
{
	_cleanup_free_ char *lock = xasprintf(".%s.lock", name);

	return file_lock(parent, lock, false, true, e);
}

int clone_remove(const struct slot *slot, struct clone *c, struct err **e)
{
	_cleanup_close_ int parent = open_parent(slot, e);
	_cleanup_free_ char *temp = xasprintf(".%s.tmp", c->name);
	_cleanup_close_ int lock = -1;
	int r;

	if (parent < 0)
		return parent;
	lock = lock_name(parent, c->name, e);
	if (lock < 0)
		return lock;
	r = file_remove_tree(parent, temp, e);
	/* Out of the way in one step; what is cut short here is removed by the next that makes or discards it. */
	if (r == 0 && renameat(parent, c->name, parent, temp) < 0)
		r = err_errno(e, errno, "cannot remove clone '%s'", c->name);
	if (r == 0)
		r = file_remove_tree(parent, temp, e);
	return r;
}

/* --- making one ----------------------------------------------------------------------------------------------------
 */

static size_t count_records(const struct str *list, struct strv *names)
{
	for (const char *p = list->p; p && p < list->p + list->len; p += strlen(p) + 1)
		strv_add(names, p);
	return names->n;
}

/* Files that differ from HEAD, by time stamps, sizes and the index: contents are not read, so no filter runs. */
static int count_uncommitted(const struct source *s, size_t *ret, struct err **e)
{
	static const char *const asks[][8] = {
		{"diff-files", "--name-only", "-z", "--ignore-submodules=all", NULL},
		{"diff-index", "--cached", "--name-only", "-z", "--ignore-submodules=all", "HEAD", NULL},
		{"ls-files", "--others", "--exclude-standard", "-z", NULL},
	};
	const struct gitrepo repo = {s->repo_dir, s->git_dir, s->common_dir};
	_cleanup_strv_ struct strv names = STRV_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		_cleanup_str_ struct str out = STR_INIT;
		int status;
		int r = gitrun(&repo, asks[i], LIST_MAX, &status, &out, e);

		if (r < 0)
			return r;
		(void)count_records(&out, &names);
	}
	strv_sort_unique(&names);
	*ret = names.n;
	return 0;
}

static int read_head(const struct source *s, struct str *head, struct str *from, struct err **e)
{
	_cleanup_hostgit_ struct hostgit g = {.dir = s->repo_dir, .git_dir = s->git_dir, .may_fail = true};
	int r = hostgit_run(&g, head, e, "rev-parse", "--verify", "-q", "HEAD^{commit}", NULL);

	if (r < 0)
		return r;
	if (r > 0 || !is_hex(str_text(head))) {
		(void)err_set(e, ENOENT, "the repository '%s' has no commit to clone", s->repo_dir);
		return err_hint(e, "commit something first, or run without --clone");
	}
	g.may_fail = true;
	r = hostgit_run(&g, from, e, "symbolic-ref", "-q", "--short", "HEAD", NULL);
	return r < 0 ? r : 0;
}

/* A URL without a password; a path of the host means nothing in a box. */
static bool is_public_url(const char *url)
{
	const char *scheme = strstr(url, "://");
	const char *host = scheme ? scheme + 3 : url;
	size_t n = strcspn(host, "/@");

	if (!scheme)
		return *url != '/' && *url != '.' && strchr(url, ':');
	return !str_starts(url, "file:") && (host[n] != '@' || !memchr(host, ':', n));
}

/* Who commits in the box, and where `origin` is; a URL that carries a password stays behind. */
static int configure(const struct source *s, struct hostgit *tree, struct err **e)
{
	static const char *const keys[] = {"user.name", "user.email", "remote.origin.url"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup_str_ struct str value = STR_INIT;
		int r = hostgit_user_config(s->repo_dir, keys[i], &value, e);

		if (r < 0)
			return r;
		if (value.len == 0 || (i == 2 && !is_public_url(value.p)))
			continue;
		r = hostgit_run(tree, NULL, e, "config", keys[i], str_text(&value), NULL);
		if (r == 0 && i == 2)
			r = hostgit_run(tree, NULL, e, "config", "remote.origin.fetch",
					"+refs/heads/*:refs/remotes/origin/*", NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill_tree(const struct source *s, const char *name, const char *tree, const char *head, struct err **e)
{
	_cleanup_hostgit_ struct hostgit g = {.dir = tree};
	_cleanup_free_ char *branch = xasprintf("--initial-branch=" CLONE_BRANCH_PREFIX "%s", name);
	_cleanup_free_ char *to = xasprintf("+HEAD:refs/heads/" CLONE_BRANCH_PREFIX "%s", name);
	int r = hostgit_run(&g, NULL, e, "init", "-q", "--template=", branch,
			    strlen(head) == 64 ? "--object-format=sha256" : "--object-format=sha1", NULL);

	if (r == 0)
		r = hostgit_run(&g, NULL, e, "fetch", "-q", "--no-tags", "--update-head-ok", "--update-shallow",
				"--no-write-fetch-head", "--no-recurse-submodules", s->repo_dir, to,
				"+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
				"+refs/remotes/*:refs/remotes/*", "^refs/heads/" CLONE_BRANCH_PREFIX "*",
				"^refs/heads/igloo", NULL);
	/* The commit that was looked at: HEAD may have moved since. */
	if (r == 0)
		r = hostgit_run(&g, NULL, e, "reset", "-q", "--hard", head, NULL);
	return r < 0 ? err_wrap(e, "cannot clone '%s'", s->repo_dir) : configure(s, &g, e);
}

static int make_in(const struct source *s, const struct slot *slot, int parent, const char *name, size_t *ret_left_out,
		   struct err **e)
{
	_cleanup_free_ char *temp = xasprintf(".%s.tmp", name);
	_cleanup_free_ char *tree_name = xasprintf("%s/tree", temp);
	_cleanup_free_ char *sub = xasprintf("clones/%s/%s", slot->id, tree_name);
	_cleanup_free_ char *tree = NULL;
	_cleanup_close_ int dir = -1;
	_cleanup_str_ struct str head = STR_INIT;
	_cleanup_str_ struct str from = STR_INIT;
	int r = read_head(s, &head, &from, e);

	if (r == 0)
		r = file_remove_tree(parent, temp, e);
	if (r == 0)
		r = dirs_path(DIRS_STATE, sub, &tree, e);
	if (r == 0)
		r = count_uncommitted(s, ret_left_out, e);
	if (r < 0)
		return r;
	dir = file_make_dirs(parent, tree_name, 0755, e);
	if (dir < 0)
		return dir;
	(void)close_fd(take_fd(&dir));
	r = fill_tree(s, name, tree, str_text(&head), e);
	dir = file_open_beneath(parent, temp, O_RDONLY | O_DIRECTORY, 0);
	if (r == 0 && dir < 0)
		r = err_errno(e, -dir, "cannot open the clone");
	if (r == 0) {
		_cleanup_str_ struct str text = STR_INIT;

		str_addf(&text, "%s\n%s\n", str_text(&head), str_text(&from));
		r = file_replace(dir, "base", text.p, text.len, 0600, true, e);
	}
	if (r == 0 && renameat(parent, temp, parent, name) < 0)
		r = err_errno(e, errno, "cannot make clone '%s'", name);
	if (r < 0)
		(void)file_remove_tree(parent, temp, NULL);
	return r;
}

int clone_make(const struct source *source, const struct slot *slot, const char *name, struct clone **ret,
	       struct err **e)
{
	_cleanup_close_ int parent = -1;
	_cleanup_close_ int lock = -1;
	struct stat st;
	size_t left_out = 0;
	bool made = false;
	int r = name_check(name, e);

	if (r < 0)
		return r;
	if (!source->is_git) {
		(void)err_set(e, ENOENT, "'%s' is no git repository, so it cannot be cloned", source->repo_dir);
		return err_hint(e, "run `git init` and commit, or run without --clone");
	}
	parent = open_parent(slot, e);
	if (parent < 0)
		return parent;
	lock = lock_name(parent, name, e);
	if (lock < 0)
		return lock;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		r = make_in(source, slot, parent, name, &left_out, e);
		made = true;
	}
	if (r == 0)
		r = open_in(slot, parent, name, false, ret, e);
	if (r == 0) {
		(*ret)->made = made;
		(*ret)->left_out = left_out;
	}
	return r;
}
