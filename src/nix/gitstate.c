/* Theory of operation
 *
 * Of a git source, evaluation sees the tracked files as they are in the work tree when it differs from
 * HEAD, else HEAD's tree through `git archive`; and rev, dirtyRev, revCount, lastModified, which follow
 * from HEAD's commit and the history behind it. So beside the contents these count:
 *   - the list of tracked files with flags, modes and object ids (`git ls-files --stage -v`): the
 *     index decides what is tracked, and with assume-unchanged or skip-worktree what is dirty;
 *   - HEAD's commit; not the branch's name, which nothing shows to Nix's language;
 *   - configuration and attributes (line ends, export-ignore), with what they include;
 *   - what rewrites history: grafts, the shallow list, replace refs.
 * Everything git reads for these is a watch: when its signature and then its content changed, git is
 * asked again. What cannot be followed this way (filters that run programs, replace refs, a work tree
 * elsewhere) makes the source volatile: no key is kept, Nix evaluates each time. */
#include "nix/gitstate.h"

#include "nix/source.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

enum { LIST_MAX = 1 << 28, CONFIG_MAX = 1 << 22, SYMREF_DEPTH = 5, SUB_DEPTH = 8, REPOS_MAX = 512, CONFIG_TRIES = 3 };

/* One run of gitstate_read() over a repository and its submodules. */
struct reader {
	int rootfd;
	const char *flake;
	struct indexbuild *b;
	struct digest *d;
	struct gitstate *st;
	struct str summary; /* per repository: prefix, NUL, HEAD, NUL, digest of its list */
	int repos;
};

static int read_repo(struct reader *rd, const struct gitrepo *repo, const char *prefix, int depth, struct err **e);

static void set_volatile(struct reader *rd, const char *prefix, const char *why)
{
	if (!rd->st->volatile_why)
		rd->st->volatile_why = *prefix ? xasprintf("submodule %s: %s", prefix, why) : xstrdup(why);
}

static int watch(struct reader *rd, const char *dir, const char *name, const char *prefix, uint32_t flags,
		 struct str *content, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);

	return indexbuild_add_watch(rd->b, path, prefix, name, flags, rd->d, content, e);
}

static bool last_is_there(const struct reader *rd)
{
	return rd->b->watches[rd->b->n_watches - 1].state.type != '-';
}

/* HEAD and the files of the refs it goes through. */
static int watch_head(struct reader *rd, const struct gitrepo *repo, const char *prefix, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;
	int r = watch(rd, repo->git_dir, "HEAD", prefix, WATCH_REREAD, &text, e);

	for (int i = 0; r == 0 && str_starts(str_text(&text), "ref:"); i++) {
		_cleanup_free_ char *ref = NULL;
		const char *p = text.p + 4 + strspn(text.p + 4, " \t");
		size_t n = strcspn(p, "\r\n");

		if (i == SYMREF_DEPTH || n == 0 || n > 1024 || *p == '/' || memmem(p, n, "..", 2)) {
			set_volatile(rd, prefix, "HEAD names a ref in a way igloo does not follow");
			return 0;
		}
		ref = xstrndup(p, n);
		str_clear(&text);
		r = watch(rd, repo->common_dir, ref, prefix, WATCH_REREAD, &text, e);
		if (r == 0 && strcmp(repo->common_dir, repo->git_dir) != 0)
			r = watch(rd, repo->git_dir, ref, prefix, WATCH_REREAD, text.len ? NULL : &text, e);
	}
	return r;
}

/* False for anything but a folder that lists nothing. */
static bool is_empty(const char *dir, const char *name)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir, name);
	DIR *d = opendir(path);
	int n = 0;

	while (d && readdir(d) && n < 3)
		n++;
	if (d)
		(void)closedir(d);
	return n == 2; /* "." and ".." */
}

static int watch_replaced(struct reader *rd, const struct gitrepo *repo, const char *prefix, struct err **e)
{
	_cleanup_str_ struct str refs = STR_INIT;
	_cleanup_str_ struct str path = STR_INIT;
	_cleanup_close_ int fd = -1;
	int r = watch(rd, repo->common_dir, "refs/replace", prefix, WATCH_REREAD, NULL, e);

	if (r < 0)
		return r;
	if (last_is_there(rd) && !is_empty(repo->common_dir, "refs/replace"))
		set_volatile(rd, prefix, "it has replace refs (git replace)");
	r = watch(rd, repo->common_dir, "packed-refs", prefix, WATCH_REREAD, NULL, e);
	if (r < 0 || !last_is_there(rd))
		return r;
	str_addf(&path, "%s/packed-refs", repo->common_dir);
	fd = file_open_user(path.p, O_RDONLY | O_NONBLOCK);
	r = fd < 0 ? fd : fd_read_all(fd, LIST_MAX, &refs, NULL);
	if (r < 0 || memmem(str_text(&refs), refs.len, " refs/replace/", 14))
		set_volatile(rd, prefix,
			     r < 0 ? "its packed-refs cannot be read" : "it has replace refs (git replace)");
	return 0;
}

static int watch_fixed(struct reader *rd, const struct gitrepo *repo, const char *prefix, struct err **e)
{
	static const struct {
		const char *name;
		bool common;
		uint32_t flags;
	} files[] = {
		{"index", false, WATCH_REREAD},
		{"config", true, WATCH_KEY | WATCH_REREAD},
		{"config.worktree", false, WATCH_KEY | WATCH_REREAD},
		{"info/attributes", true, WATCH_KEY},
		{"info/attributes", false, WATCH_KEY},
		{"info/grafts", true, WATCH_KEY},
		{"shallow", true, WATCH_KEY},
		{"reftable/tables.list", true, WATCH_KEY | WATCH_REREAD},
		{"reftable/tables.list", false, WATCH_KEY | WATCH_REREAD},
	};
	bool worktree = strcmp(repo->git_dir, repo->common_dir) != 0;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files) && r == 0; i++) {
		if (files[i].common)
			r = watch(rd, repo->common_dir, files[i].name, prefix, files[i].flags, NULL, e);
		else if (worktree || !strchr(files[i].name, '/'))
			r = watch(rd, repo->git_dir, files[i].name, prefix, files[i].flags, NULL, e);
	}
	if (r == 0)
		r = watch_head(rd, repo, prefix, e);
	return r < 0 ? r : watch_replaced(rd, repo, prefix, e);
}

/* One `include.path`; its target becomes a watch, there or not. */
static int watch_include(struct reader *rd, const char *prefix, const char *origin, const char *value, uint32_t flags,
			 struct err **e)
{
	const char *slash = strrchr(origin, '/');
	_cleanup_free_ char *path = NULL;

	if (*value == '~' || *value == '%' || (*value != '/' && !slash)) {
		set_volatile(rd, prefix, "its configuration names a file in a way igloo does not follow");
		return 0;
	}
	path = *value == '/' ? xstrdup(value) : xasprintf("%.*s/%s", (int)(slash - origin), origin, value);
	return indexbuild_add_watch(rd->b, path, "", path, flags, rd->d, NULL, e);
}

static void check_work_tree(struct reader *rd, const struct gitrepo *repo, const char *prefix, const char *value)
{
	_cleanup_free_ char *named = *value == '/' ? xstrdup(value) : xasprintf("%s/%s", repo->git_dir, value);
	_cleanup_free_ char *real = realpath(named, NULL);

	if (!real || strcmp(real, repo->work_dir) != 0)
		set_volatile(rd, prefix, "its core.worktree is another folder");
}

static int use_setting(struct reader *rd, const struct gitrepo *repo, const char *prefix, const char *origin,
		       const char *key, const char *value, bool *ret_includes, struct err **e)
{
	if (strcmp(key, "include.path") == 0 || (str_starts(key, "includeif.") && str_ends(key, ".path"))) {
		*ret_includes = true;
		return watch_include(rd, prefix, origin, value, WATCH_KEY | WATCH_REREAD, e);
	}
	/* A relative one is relative to the process's folder, not to the file: left to watch_include() to refuse. */
	if (strcmp(key, "core.attributesfile") == 0)
		return watch_include(rd, prefix, "", value, WATCH_KEY, e);
	if (strcmp(key, "core.worktree") == 0)
		check_work_tree(rd, repo, prefix, value);
	else if (str_starts(key, "filter.") && !str_starts(key, "filter.lfs."))
		set_volatile(rd, prefix, "its configuration has filter programs");
	return 0;
}

/* `git config --list -z --show-origin`: origin NUL key [LF value] NUL. */
static int use_config(struct reader *rd, const struct gitrepo *repo, const char *prefix, const struct str *list,
		      bool *ret_includes, struct err **e)
{
	const char *p = str_text(list);
	const char *end = p + list->len;
	int r = 0;

	while (p < end && r == 0) {
		const char *origin = p;
		const char *setting = p + strlen(p) + 1;
		const char *value;
		_cleanup_free_ char *key = NULL;

		if (setting >= end)
			return err_set(e, EIO, "git config: output cut short");
		p = setting + strlen(setting) + 1;
		if (!str_starts(origin, "file:"))
			continue;
		value = strchrnul(setting, '\n');
		key = xstrndup(setting, (size_t)(value - setting));
		r = use_setting(rd, repo, prefix, origin + 5, key, *value ? value + 1 : "", ret_includes, e);
	}
	return r;
}

static int read_config(struct reader *rd, const struct gitrepo *repo, const char *prefix, struct err **e)
{
	static const char *const args[] = {"config", "--list", "-z", "--show-origin", "--includes", NULL};
	_cleanup_str_ struct str before = STR_INIT;

	for (int tries = 0; tries < CONFIG_TRIES; tries++) {
		_cleanup_str_ struct str now = STR_INIT;
		bool includes = false;
		int status;
		int r = gitrun(repo, args, CONFIG_MAX, &status, &now, e);

		if (r < 0)
			return r;
		/* Included files are known only now, so they are watched from before a second reading. */
		if (tries > 0 && now.len == before.len && memcmp(str_text(&now), str_text(&before), now.len) == 0)
			return 0;
		r = use_config(rd, repo, prefix, &now, &includes, e);
		if (r < 0 || !includes)
			return r;
		str_release(&before);
		before = now;
		now = (struct str)STR_INIT;
	}
	set_volatile(rd, prefix, "its configuration changes while it is read");
	return 0;
}

static int read_head(const struct gitrepo *repo, struct str *ret, struct err **e)
{
	static const char *const args[] = {"rev-parse", "--verify", "--quiet", "HEAD", NULL};
	int status;
	int r = gitrun(repo, args, 4096, &status, ret, e);

	if (r < 0)
		return r;
	if (status == 1)
		str_clear(ret);
	while (ret->len > 0 && ret->p[ret->len - 1] == '\n')
		ret->p[--ret->len] = '\0';
	if (strspn(str_text(ret), "0123456789abcdef") != ret->len || ret->len > 64)
		return err_set(e, EIO, "git rev-parse: not a commit's id");
	return 0;
}

static int read_submodule(struct reader *rd, const struct gitrepo *repo, const char *prefix, const char *path,
			  int depth, struct err **e)
{
	_cleanup_free_ char *name = xasprintf("%s/.git", path);
	_cleanup_free_ char *sub_dir = xasprintf("%s/%s", repo->work_dir, path);
	_cleanup_free_ char *below = xasprintf("%s%s/", prefix, path);
	_cleanup_free_ char *git_dir = NULL;
	_cleanup_free_ char *common_dir = NULL;
	_cleanup_close_ int fd = -1;
	struct gitrepo sub;
	int r = watch(rd, repo->work_dir, name, prefix, WATCH_REREAD | WATCH_TYPE, NULL, e);

	if (r < 0)
		return r;
	fd = file_open_beneath(rd->rootfd, below, O_PATH | O_DIRECTORY, 0);
	/* Not checked out, or broken: then Nix does not get past it either. */
	if (fd < 0 || source_git_dirs(sub_dir, &git_dir, &common_dir, NULL) < 0)
		return 0;
	if (depth == SUB_DEPTH || ++rd->repos > REPOS_MAX) {
		set_volatile(rd, prefix, "it has more submodules than igloo follows");
		return 0;
	}
	sub = (struct gitrepo){.work_dir = sub_dir, .git_dir = git_dir, .common_dir = common_dir};
	return read_repo(rd, &sub, below, depth + 1, e);
}

/* Adds `.gitattributes` of each folder of `path` that the path before it was not in. */
static int add_attributes(struct reader *rd, const char *prefix, const char *before, const char *path, struct err **e)
{
	static const char name[] = ".gitattributes";
	size_t same = 0;
	int r = 0;

	while (before[same] && before[same] == path[same])
		same++;
	for (const char *p = strchr(path, '/'); p && r == 0; p = strchr(p + 1, '/')) {
		_cleanup_free_ char *file = NULL;

		if ((size_t)(p - path) < same)
			continue;
		file = xasprintf("%.*s/%s", (int)(p - path), path, name);
		r = indexbuild_add_entry(rd->b, prefix, file, strlen(file), e);
	}
	return r;
}

/* `git ls-files --stage -v -z`: "H 100644 OBJECT STAGE TAB path NUL" each, sorted by path. */
static int use_list(struct reader *rd, const struct gitrepo *repo, const char *prefix, const struct str *list,
		    int depth, struct err **e)
{
	const char *end = str_text(list) + list->len;
	const char *before = "";
	int r = indexbuild_add_entry(rd->b, prefix, ".gitattributes", 14, e);

	for (const char *p = str_text(list); p < end && r == 0; p += strlen(p) + 1) {
		const char *path = strchr(p, '\t');

		if (!path || strlen(p) < 9)
			return err_set(e, EIO, "git ls-files: unexpected output");
		path++;
		r = indexbuild_add_entry(rd->b, prefix, path, strlen(path), e);
		if (r == 0)
			r = add_attributes(rd, prefix, before, path, e);
		if (r == 0 && strncmp(p + 2, "160000", 6) == 0)
			r = read_submodule(rd, repo, prefix, path, depth, e);
		if (depth == 0 && strcmp(path, rd->flake) == 0)
			rd->st->flake_tracked = true;
		before = path;
	}
	return r;
}

static int read_repo(struct reader *rd, const struct gitrepo *repo, const char *prefix, int depth, struct err **e)
{
	static const char *const args[] = {"ls-files", "--stage", "-v", "-z", NULL};
	_cleanup_str_ struct str list = STR_INIT;
	_cleanup_str_ struct str head = STR_INIT;
	uint8_t sha[DIGEST_SHA256_BYTES];
	int status;
	int r = watch_fixed(rd, repo, prefix, e);

	if (r == 0)
		r = read_config(rd, repo, prefix, e);
	if (r == 0)
		r = read_head(repo, &head, e);
	if (r == 0)
		r = gitrun(repo, args, LIST_MAX, &status, &list, e);
	if (r == 0 && status == GITRUN_COMPLAINED)
		set_volatile(rd, prefix, "git cannot read some of its objects");
	else if (r == 0 && status != 0)
		r = err_set(e, EIO, "git ls-files failed");
	if (r == 0)
		r = digest_sha256(str_text(&list), list.len, sha, e);
	if (r < 0)
		return r;
	str_add(&rd->summary, prefix, strlen(prefix) + 1);
	str_add(&rd->summary, str_text(&head), head.len + 1);
	str_add(&rd->summary, sha, sizeof(sha));
	if (depth == 0)
		rd->st->head = xstrdup(str_text(&head));
	return use_list(rd, repo, prefix, &list, depth, e);
}

int gitstate_read(const struct gitrepo *repo, int rootfd, const char *flake, struct indexbuild *b, struct gitstate *ret,
		  struct err **e)
{
	_cleanup_gitstate_ struct gitstate st = {0};
	_cleanup_digest_ struct digest *d = NULL;
	struct reader rd = {.rootfd = rootfd, .flake = flake, .b = b, .st = &st};
	int r = digest_open(&d, e);

	rd.d = d;
	if (r == 0)
		r = read_repo(&rd, repo, "", 0, e);
	if (r == 0)
		r = digest_sha256(str_text(&rd.summary), rd.summary.len, st.lists, e);
	str_release(&rd.summary);
	if (r < 0)
		return r;
	*ret = st;
	st = (struct gitstate){0};
	return 0;
}

void gitstate_release(struct gitstate *s)
{
	free(s->head);
	free(s->volatile_why);
	*s = (struct gitstate){0};
}
