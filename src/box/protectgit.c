#include "box/gitconfig.h"
#include "box/protect_impl.h"
#include "box/protectrules.h"
#include "nix/gitrun.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIGS_MAX = 64, CONFIG_DEPTH = 8, ENTRIES_NOTED = 10, LIST_MAX = 256 << 20 };

static char *beside(const char *dir, const char *path)
{
	const char *home = getenv("HOME");

	if (*path == '/')
		return xstrdup(path);
	if (str_starts(path, "~/"))
		return home ? xasprintf("%s/%s", home, path + 2) : NULL;
	return xasprintf("%s/%s", dir, path);
}

/* An absolute path with its folder resolved, since only such a path can be compared with a share's. */
static char *resolved(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent = xstrndup(path, (size_t)(slash - path));
	_cleanup_free_ char *real = realpath(*parent ? parent : "/", NULL);

	if (!real || !slash[1] || strcmp(slash + 1, "..") == 0 || strcmp(slash + 1, ".") == 0)
		return realpath(path, NULL);
	return xasprintf("%s/%s", real, slash + 1);
}

int protect_add_links(struct gather *g, const char *rule, const char *dir, struct err **e)
{
	DIR *d = opendir(dir);
	const struct dirent *ent;
	int n = 0;
	int r = 0;

	while (d && r >= 0 && (ent = readdir(d)) && n++ < PROTECT_ENTRIES_MAX) {
		_cleanup_free_ char *path = NULL;

		if (ent->d_type != DT_LNK)
			continue;
		path = xasprintf("%s/%s", dir, ent->d_name);
		r = heldset_add(g->set, rule, path, 0, e);
	}
	if (d)
		(void)closedir(d);
	if (n >= PROTECT_ENTRIES_MAX)
		return err_set(e, E2BIG, "'%s' has more than %d entries", dir, PROTECT_ENTRIES_MAX);
	return r < 0 ? r : 0;
}

static int read_config(const char *path, struct gitconfig *config)
{
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > GITCONFIG_MAX)
		return -EFBIG;
	n = read(fd, str_room(&text, (size_t)st.st_size + 1), (size_t)st.st_size);
	if (n < 0)
		return -errno;
	str_grew(&text, (size_t)n);
	gitconfig_read(str_text(&text), text.len, config);
	return 0;
}

static int add_hooks_path(struct gather *g, const char *text, struct err **e)
{
	_cleanup_free_ char *named = beside(g->source->repo_dir, text);
	_cleanup_free_ char *path = named ? resolved(named) : NULL;
	int r;

	/* A missing folder's parents can be made by the box; the nearest that exists would be the whole workspace. */
	if (!path)
		return 0;
	r = heldset_add(g->set, "git-hooks", path, RULE_HOLD, e);
	return r > 0 ? protect_add_links(g, "git-hooks", path, e) : r;
}

/* The configuration at `path`, which is pinned already, and what it includes. */
static int add_config(struct gather *g, const char *path, int depth, struct err **e)
{
	_cleanup_gitconfig_ struct gitconfig config = {0};
	_cleanup_free_ char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	int r = read_config(path, &config);

	if (r == -EFBIG || g->configs++ > CONFIGS_MAX || depth > CONFIG_DEPTH)
		return err_set(e, E2BIG, "git's configuration '%s' is too large to be looked through", path);
	for (size_t i = 0; r == 0 && i < config.includes.n && protect_is_closed(g, "git-config"); i++) {
		_cleanup_free_ char *named = beside(dir, config.includes.v[i]);
		_cleanup_free_ char *include = named ? resolved(named) : NULL;

		r = include ? heldset_add(g->set, "git-config", include, RULE_HOLD, e) : 0;
		r = r > 0 ? add_config(g, include, depth + 1, e) : r;
		if (r < 0)
			return r;
	}
	for (size_t i = 0; r == 0 && i < config.hooks.n && protect_is_closed(g, "git-hooks"); i++) {
		r = add_hooks_path(g, config.hooks.v[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The `.git` of each submodule: git at the top follows it. */
static int add_submodules(struct gather *g, struct err **e)
{
	_cleanup_gitconfig_ struct gitconfig config = {0};
	_cleanup_free_ char *path = xasprintf("%s/.gitmodules", g->source->repo_dir);
	int r = 0;

	if (read_config(path, &config) < 0)
		return 0;
	for (size_t i = 0; i < config.submodules.n && r >= 0; i++) {
		const char *name = config.submodules.v[i];
		_cleanup_free_ char *dot_git = NULL;

		if (*name == '/' || strstr(name, "..") || i >= PROTECT_ENTRIES_MAX)
			continue;
		dot_git = xasprintf("%s/%s/.git", g->source->repo_dir, name);
		r = heldset_add(g->set, "git-modules", dot_git, 0, e);
	}
	return r < 0 ? r : 0;
}

/* The git folder of one linked worktree that is not the box's own: nothing in it is the box's affair. */
static int add_worktrees(struct gather *g, struct err **e)
{
	_cleanup_free_ char *dir = xasprintf("%s/worktrees", g->source->common_dir);
	DIR *d = opendir(dir);
	const struct dirent *ent;
	int n = 0;
	int r = 0;

	while (d && r >= 0 && (ent = readdir(d)) && n++ < PROTECT_ENTRIES_MAX) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, ent->d_name);

		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		if (strcmp(path, g->source->git_dir) != 0) {
			r = heldset_add(g->set, "git-config", path, 0, e);
		} else {
			_cleanup_free_ char *common = xasprintf("%s/commondir", path);
			_cleanup_free_ char *gitdir = xasprintf("%s/gitdir", path);

			r = heldset_add(g->set, "git-config", common, 0, e);
			r = r < 0 ? r : heldset_add(g->set, "git-config", gitdir, 0, e);
		}
	}
	if (d)
		(void)closedir(d);
	if (n >= PROTECT_ENTRIES_MAX)
		return err_set(e, E2BIG, "the repository has more than %d worktrees", PROTECT_ENTRIES_MAX);
	return r < 0 ? r : 0;
}

int protect_add_git(struct gather *g, struct err **e)
{
	const struct source *s = g->source;
	_cleanup_free_ char *dot_git = xasprintf("%s/.git", s->repo_dir);
	_cleanup_free_ char *config = xasprintf("%s/config", s->common_dir);
	_cleanup_free_ char *own = xasprintf("%s/config.worktree", s->git_dir);
	struct stat st;
	int r = 0;

	/* Of a folder only what is in it; a file or a link leads git elsewhere. */
	if (lstat(dot_git, &st) == 0 && !S_ISDIR(st.st_mode))
		r = heldset_add(g->set, "git-config", dot_git, 0, e);
	if (r >= 0)
		r = add_config(g, config, 0, e);
	if (r >= 0)
		r = add_config(g, own, 0, e);
	if (r >= 0 && protect_is_closed(g, "git-config"))
		r = add_worktrees(g, e);
	if (r >= 0 && protect_is_closed(g, "git-modules"))
		r = add_submodules(g, e);
	if (r >= 0 && strcmp(s->git_dir, s->common_dir) != 0) {
		_cleanup_free_ char *index = xasprintf("%s/index", s->common_dir);
		_cleanup_free_ char *head = xasprintf("%s/HEAD", s->common_dir);

		/* The main work tree's own; a box in a linked one has no business with them. */
		r = heldset_add(g->set, "git-config", index, 0, e);
		r = r < 0 ? r : heldset_add(g->set, "git-config", head, 0, e);
	}
	return r < 0 ? r : 0;
}

/* --- at the end ------------------------------------------------------------------------------------------------------
 */

void protect_stat_index(const struct protect *p, struct stat *ret)
{
	_cleanup_free_ char *path = xasprintf("%s/index", p->git_dir);

	if (lstat(path, ret) < 0)
		memset(ret, 0, sizeof(*ret));
}

static bool is_held(const struct protect *p, const char *path)
{
	for (size_t i = 0; i < p->held.n; i++)
		if (strcmp(p->held.v[i].path, path) == 0)
			return true;
	return false;
}

/* An entry of `git ls-files --stage -z`: "<mode> <id> <stage>\t<path>". */
static void look_at_entry(const struct protect *p, const char *entry, struct strv *notes)
{
	const char *tab = strchr(entry, '\t');
	_cleanup_free_ char *dot_git = NULL;
	_cleanup_str_ struct str shown = STR_INIT;
	struct stat st;

	if (!tab || !str_starts(entry, "160000 "))
		return;
	dot_git = xasprintf("%s/%s/.git", p->workspace, tab + 1);
	if (lstat(dot_git, &st) < 0 || is_held(p, dot_git) || notes->n > ENTRIES_NOTED)
		return;
	str_add_printable(&shown, tab + 1, strlen(tab + 1), false);
	strv_addf(notes,
		  "the index now has a submodule '%s', and `git status` runs what its configuration says: look at "
		  "'%s/.git' first, or take it out with: git rm --cached '%s'",
		  str_text(&shown), str_text(&shown), str_text(&shown));
}

void protect_add_submodule_notes(const struct protect *p, struct strv *notes)
{
	static const char *const ask[] = {"ls-files", "--stage", "-z", NULL};
	const struct gitrepo repo = {p->workspace, p->git_dir, p->common_dir};
	_cleanup_str_ struct str list = STR_INIT;
	struct stat now;
	int status;

	if (!p->git_dir)
		return;
	protect_stat_index(p, &now);
	if (now.st_ino == p->index.st_ino && now.st_size == p->index.st_size &&
	    now.st_ctim.tv_sec == p->index.st_ctim.tv_sec && now.st_ctim.tv_nsec == p->index.st_ctim.tv_nsec)
		return;
	if (gitrun(&repo, ask, LIST_MAX, &status, &list, NULL) < 0) {
		strv_add(notes, "the index was changed and git cannot list it: look at it before you run git here");
		return;
	}
	for (const char *at = list.p; at && at < list.p + list.len; at += strlen(at) + 1)
		look_at_entry(p, at, notes);
}
