/* Clones: made, worked in (by somebody hostile), looked at from a box, merged and discarded. */
#include "test.h"

#include "gitrepo.h"

#include "box/clonemerge.h"
#include "box/hostpaths.h"
#include "sys/spawn.h"

#include <glob.h>
#include <unistd.h>

struct place {
	char *dir;
	char *repo;
	struct source source;
	struct slot *slot;
	struct clone *c;
	struct clone_box box;
	struct clone_state state;
	struct err *e;
};

static void place_release(struct place *t)
{
	if (t->e)
		printf("# %s\n# %s\n", err_message(t->e), err_details(t->e));
	clone_state_release(&t->state);
	clone_box_release(&t->box);
	clone_free(t->c);
	slot_free(t->slot);
	source_release(&t->source);
	err_free(t->e);
	free(t->repo);
	remove_dirp(&t->dir);
}
#define _cleanup_place_ ATTR_CLEANUP(place_release)

static struct place place_make(void)
{
	struct place t = {.dir = make_dir()};

	(void)setenv("XDG_STATE_HOME", in(t.dir, "state"), 1);
	(void)setenv("XDG_RUNTIME_DIR", in(t.dir, "run"), 1);
	(void)setenv("IGLOO_VIEW_KEEP", "0", 1);
	(void)mkdir(in(t.dir, "run"), 0700);
	t.repo = make_repo(t.dir, "my repo");
	if (!GIT(t.repo, "config", "user.name", "Me O'Me") || !GIT(t.repo, "config", "user.email", "me@example.org") ||
	    source_find(t.repo, &t.source, NULL) < 0 || slot_open(t.repo, NULL, &t.slot, NULL) < 0)
		abort();
	return t;
}

/* A git of the host's store with all it needs, mounted in the slot's boxes. False when the host has none. */
static bool add_git(struct place *t)
{
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_strv_ struct strv paths = STRV_INIT;
	_cleanup_free_ char *program = spawn_find("nix-store", NULL, NULL);
	_cleanup_free_ char *path = NULL;
	glob_t found = {0};
	bool ok = program && glob("/nix/store/*-git-[0-9]*/bin/git", 0, NULL, &found) == 0 && found.gl_pathc > 0;

	if (ok) {
		path = xstrndup(found.gl_pathv[0], strlen(found.gl_pathv[0]) - strlen("/bin/git"));
		const char *argv[] = {"nix-store", "-qR", path, NULL};
		const struct spawn s = {.file = program, .argv = (char *const *)(uintptr_t)argv, .max_output = 1 << 20};

		ok = spawn_check(&s, &out, NULL) == 0;
	}
	globfree(&found);
	if (!ok)
		return false;
	strv_split(&paths, str_text(&out), '\n');
	for (size_t i = 0; i < paths.n; i++)
		hostpaths_add(&set, paths.v[i], NULL);
	return hostpaths_store(t->slot->dir, &set, NULL) == 0;
}

/* The call's result, with its error shown and gone. */
static int result(struct place *t, int r)
{
	if (t->e)
		printf("# %s\n# %s %s\n", err_message(t->e), err_details(t->e), err_hints(t->e));
	err_clear(&t->e);
	return r;
}

static bool output_is(const char *want, const char *dir, const char *script)
{
	_cleanup_free_ char *program = spawn_find("sh", NULL, NULL);
	_cleanup_str_ struct str out = STR_INIT;
	const char *argv[] = {"sh", "-c", script, NULL};
	const struct spawn s = {
		.file = program, .argv = (char *const *)(uintptr_t)argv, .dir = dir, .max_output = 1 << 20};

	if (spawn_check(&s, &out, NULL) < 0)
		return false;
	if (strcmp(str_text(&out), want) != 0)
		printf("# got: %s\n", str_text(&out));
	return strcmp(str_text(&out), want) == 0;
}

TEST(a_clone_is_made)
{
	_cleanup_place_ struct place t = place_make();
	_cleanup_strv_ struct strv names = STRV_INIT;

	CHECK(GIT(t.repo, "branch", "other") && GIT(t.repo, "tag", "v1"));
	CHECK(GIT(t.repo, "remote", "add", "origin", "https://user:secret@example.org/x"));
	CHECK(put(t.repo, "src/a.c", "changed\n") && put(t.repo, "new file", "x") &&
	      put(t.repo, ".gitignore", "*.o\n"));
	CHECK(put(t.repo, "x.o", "x"));
	CHECK(result(&t, clone_make(&t.source, t.slot, "fix", &t.c, &t.e)) == 0);
	CHECK(t.c->made && t.c->left_out == 3);
	CHECK_STR(t.c->from, "main");
	CHECK(output_is("int a;\n", t.c->tree, "cat src/a.c; ls 'new file' x.o 2>/dev/null; git status --porcelain"));
	CHECK(output_is("igloo/fix\nmain\nother\nv1\n", t.c->tree, "git for-each-ref --format='%(refname:short)'"));
	CHECK(output_is("Me O'Me\nme@example.org\n", t.c->tree,
			"git config user.name; git config user.email; git config remote.origin.url || :"));
	CHECK(output_is("1\n", t.c->tree, "find .git/objects -type f -links +1 | wc -l | sed 's/^0$/1/'"));
	CHECK(output_is("", t.c->tree, "cat .git/objects/info/alternates 2>/dev/null; ls .git/hooks 2>/dev/null || :"));
	clone_free(take_ptr(t.c));
	CHECK(result(&t, clone_make(&t.source, t.slot, "fix", &t.c, &t.e)) == 0 && !t.c->made);
	CHECK(clone_list(t.slot, &names, &t.e) == 0 && names.n == 1);
	CHECK(result(&t, clone_open(t.slot, "fxi", false, &t.c, &t.e)) == -ENOENT);
}

TEST(locks_and_discarding)
{
	_cleanup_place_ struct place t = place_make();
	struct clone *second = NULL;

	CHECK(result(&t, clone_make(&t.source, t.slot, "fix", &t.c, &t.e)) == 0);
	CHECK(!clone_in_use(t.c));
	CHECK(clone_open(t.slot, "fix", false, &second, NULL) == 0 && clone_in_use(t.c));
	clone_free(take_ptr(t.c));
	CHECK(result(&t, clone_open(t.slot, "fix", true, &t.c, &t.e)) == -EBUSY);
	clone_free(second);
	CHECK(clone_open(t.slot, "fix", true, &t.c, &t.e) == 0);
	CHECK(clone_remove(t.slot, t.c, &t.e) == 0);
	clone_free(take_ptr(t.c));
	CHECK(result(&t, clone_open(t.slot, "fix", true, &t.c, &t.e)) == -ENOENT);
	CHECK(result(&t, clone_make(&t.source, t.slot, "../x", &t.c, &t.e)) == -EINVAL);
}

TEST(two_at_once_and_one_cut_short)
{
	_cleanup_place_ struct place t = place_make();
	_cleanup_free_ char *half = xasprintf("%s/state/igloo/clones/%s/.fix.tmp/tree/.git", t.dir, t.slot->id);
	int made = 0;

	CHECK(RUN("mkdir", "-p", half));
	for (int i = 0; i < 4; i++) {
		if (fork() == 0) {
			int r = clone_make(&t.source, t.slot, "fix", &t.c, &t.e);

			_exit(r < 0 ? 100 : t.c->made);
		}
	}
	for (int i = 0; i < 4; i++) {
		int status = -1;

		CHECK(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) < 2);
		made += WEXITSTATUS(status);
	}
	CHECK(made == 1);
	CHECK(output_is("", t.dir, "ls -d state/igloo/clones/*/.fix.tmp 2>/dev/null || :"));
	CHECK(result(&t, clone_make(&t.source, t.slot, "fix", &t.c, &t.e)) == 0 && !t.c->made);
}

TEST(a_repository_without_a_commit)
{
	_cleanup_place_ struct place t = place_make();

	CHECK(RUN("rm", "-rf", in(t.repo, ".git")) && GIT(t.repo, "init", "-q"));
	CHECK(result(&t, clone_make(&t.source, t.slot, "fix", &t.c, &t.e)) == -ENOENT);
}

static bool opened(struct place *t)
{
	const struct kind *kind;

	return add_git(t) && kind_find("sandbox", &kind, &t->e) == 0 &&
	       clone_make(&t->source, t->slot, "fix", &t->c, &t->e) == 0 &&
	       clone_box_init(&t->box, kind, t->slot, t->repo, t->c, &t->e) == 0;
}

#define NEED_GIT(t)                                      \
	do {                                             \
		if (!opened(t)) {                        \
			CHECK(!(t)->e);                  \
			printf("# no git in a store\n"); \
			return;                          \
		}                                        \
	} while (0)

static int look(struct place *t)
{
	clone_state_release(&t->state);
	return clone_state_read(&t->box, &t->state, &t->e);
}

TEST(a_hostile_clone_is_looked_at_and_fetched)
{
	_cleanup_place_ struct place t = place_make();
	_cleanup_free_ char *trap = NULL;

	NEED_GIT(&t);
	CHECK(put(t.c->tree, "b.c", "int b;\n") && GIT(t.c->tree, "add", "-A") &&
	      GIT(t.c->tree, "commit", "-q", "-m", "\033[31mtwo"));
	CHECK(put(t.c->tree, "c.c", "int c;\n"));
	trap = xasprintf("touch %s/trapped; false", t.dir);
	CHECK(GIT(t.c->tree, "config", "core.fsmonitor", trap) && GIT(t.c->tree, "config", "core.pager", trap) &&
	      GIT(t.c->tree, "config", "uploadpack.packObjectsHook", trap) &&
	      GIT(t.c->tree, "config", "filter.x.clean", trap) && mkdir(in(t.c->tree, ".git/info"), 0755) == 0 &&
	      put(t.c->tree, ".git/info/attributes", "* filter=x\n"));
	CHECK(result(&t, look(&t)) == 0);
	CHECK(t.state.commits.n == 1 && t.state.changed.n >= 1);
	CHECK(result(&t, clonemerge_fetch(&t.box, &t.source, t.state.head, &t.e)) == 0);
	CHECK(access(in(t.dir, "trapped"), F_OK) < 0);
	CHECK(output_is("int b;\n", t.repo, "git show igloo/fix:b.c; git status --porcelain"));
	/* Again, and after more work. */
	CHECK(result(&t, clonemerge_fetch(&t.box, &t.source, t.state.head, &t.e)) == 0);
	CHECK(result(&t, clone_git(&t.box, NULL, 0, NULL, &t.e, "add", "-A", NULL)) == 0 &&
	      result(&t, clone_git(&t.box, "three\n", 0, NULL, &t.e, "commit", "-q", "-F", "-", NULL)) == 0);
	CHECK(result(&t, look(&t)) == 0 && t.state.commits.n == 2);
	CHECK(result(&t, clonemerge_fetch(&t.box, &t.source, t.state.head, &t.e)) == 0);
	CHECK(output_is("2\n", t.repo, "git rev-list --count main..igloo/fix"));
	/* Rewritten: the branch would lose commits. */
	CHECK(result(&t, clone_git(&t.box, "four\n", 0, NULL, &t.e, "commit", "-q", "--amend", "-F", "-", NULL)) == 0);
	CHECK(result(&t, look(&t)) == 0 &&
	      result(&t, clonemerge_fetch(&t.box, &t.source, t.state.head, &t.e)) == -EEXIST);
	CHECK(GIT(t.repo, "checkout", "-q", "igloo/fix"));
	CHECK(result(&t, clonemerge_fetch(&t.box, &t.source, t.state.head, &t.e)) == -EBUSY);
}

TEST(broken_objects_are_refused)
{
	_cleanup_place_ struct place t = place_make();

	NEED_GIT(&t);
	/* A tree that would write into .git of whoever checks it out. */
	CHECK(output_is(
		"", t.c->tree,
		"b=$(echo evil | git hash-object -w --stdin); i=$(printf '100644 blob %s\\tconfig\\n' $b | git mktree);"
		"t=$({ printf '40000 .git\\0'; perl -e 'print pack(\"H*\", shift)' $i; } |"
		" git hash-object -t tree --literally -w --stdin); git reset -q --soft $(git commit-tree $t -p HEAD -m "
		"x)"));
	CHECK(result(&t, look(&t)) == 0);
	CHECK(clonemerge_fetch(&t.box, &t.source, t.state.head, &t.e) < 0);
	CHECK(strstr(err_message(t.e), "refused"));
	err_clear(&t.e);
	CHECK(output_is("main\n", t.repo, "git branch --format='%(refname:short)'"));
}

TEST(merging_into_a_branch)
{
	_cleanup_place_ struct place t = place_make();
	struct clonemerge m = {0};

	NEED_GIT(&t);
	CHECK(GIT(t.repo, "branch", "next"));
	CHECK(put(t.c->tree, "b.c", "int b;\n") && GIT(t.c->tree, "add", "-A") &&
	      GIT(t.c->tree, "commit", "-q", "-m", "two"));
	CHECK(result(&t, look(&t)) == 0 && result(&t, clonemerge_fetch(&t.box, &t.source, t.state.head, &t.e)) == 0);
	CHECK(result(&t, clonemerge_into(t.c, &t.source, "main", &m, &t.e)) == -EBUSY);
	CHECK(result(&t, clonemerge_into(t.c, &t.source, "none", &m, &t.e)) == -ENOENT);
	CHECK(result(&t, clonemerge_into(t.c, &t.source, "next", &m, &t.e)) == 0 && m.how == CLONEMERGE_FAST_FORWARD);
	clonemerge_release(&m);
	CHECK(result(&t, clonemerge_into(t.c, &t.source, "next", &m, &t.e)) == 0 && m.how == CLONEMERGE_NOTHING);
	clonemerge_release(&m);
	/* main goes on; a branch from there wants a merge commit. */
	CHECK(put(t.repo, "d.c", "int d;\n") && GIT(t.repo, "add", "d.c") && GIT(t.repo, "commit", "-q", "-m", "d"));
	CHECK(GIT(t.repo, "branch", "side"));
	CHECK(result(&t, clonemerge_into(t.c, &t.source, "side", &m, &t.e)) == 0 && m.how == CLONEMERGE_MERGED);
	clonemerge_release(&m);
	CHECK(output_is("int b;\nint d;\nMe O'Me\n", t.repo,
			"git show side:b.c side:d.c; git log -1 --format=%cn side; git status --porcelain"));
	/* And one that conflicts. */
	CHECK(put(t.repo, "b.c", "int B;\n") && GIT(t.repo, "add", "b.c") && GIT(t.repo, "commit", "-q", "-m", "B"));
	CHECK(GIT(t.repo, "branch", "clash"));
	CHECK(result(&t, clonemerge_into(t.c, &t.source, "clash", &m, &t.e)) == 0 && m.how == CLONEMERGE_CONFLICTS);
	CHECK(m.conflicts.n == 1);
	CHECK_STR(m.conflicts.v[0], "b.c");
	clonemerge_release(&m);
	CHECK(output_is("B\n", t.repo, "git log -1 --format=%s clash"));
}

TEST_MAIN()
