/* Plants in a repository everything git is known to run or follow, and reads it. */
#include "nix/gitstate.h"

#include "nix/filestate.h"
#include "nix/source.h"

#include "gitrepo.h"
#include "test.h"

/* Makes `repo`/evil, a program that leaves `dir`/ran behind. */
static bool plant_program(const char *dir, const char *repo)
{
	_cleanup_free_ char *text = xasprintf("#!/bin/sh\necho \"$0 $*\" >>%s/ran\nexit 1\n", dir);

	return put(repo, "evil", text) && chmod(in(repo, "evil"), 0755) == 0;
}

static bool has_run(const char *dir)
{
	return access(in(dir, "ran"), F_OK) == 0;
}

static int read_state(const char *repo, struct gitstate *st, struct indexbuild *b, struct err **e)
{
	_cleanup_close_ int rootfd = open(repo, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_source_ struct source s = {0};
	int r = source_find(repo, &s, e);

	if (r < 0)
		return r;
	return gitstate_read(&(struct gitrepo){s.repo_dir, s.git_dir, s.common_dir}, rootfd, "flake.nix", b, st, e);
}

static bool reads_well(const char *repo)
{
	_cleanup_gitstate_ struct gitstate st = {0};
	_cleanup_indexbuild_ struct indexbuild b = {0};
	_cleanup_err_ struct err *e = NULL;
	int r = read_state(repo, &st, &b, &e);

	if (r < 0)
		printf("# %s %s\n", err_message(e), err_details(e));
	return r == 0 && st.flake_tracked && b.n_entries >= 2;
}

static bool plant_hooks(const char *repo)
{
	static const char *const names[] = {"post-index-change", "fsmonitor-watchman",    "query-watchman",
					    "pre-auto-gc",       "reference-transaction", "post-checkout"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *hook = xasprintf("%s/.git/hooks/%s", repo, names[i]);

		(void)unlink(hook);
		if (symlink("../../evil", hook) < 0)
			return false;
	}
	return true;
}

static bool plant_settings(const char *repo)
{
	_cleanup_free_ char *evil = xasprintf("%s/evil", repo);
	_cleanup_free_ char *alias = xasprintf("!%s", evil);
	_cleanup_free_ char *ext = xasprintf("ext::%s", evil);
	const char *const settings[][2] = {
		{"core.fsmonitor", evil},
		{"core.hooksPath", ".git/hooks"},
		{"core.sshCommand", evil},
		{"core.gitProxy", evil},
		{"core.askPass", evil},
		{"core.editor", evil},
		{"core.pager", evil},
		{"core.alternateRefsCommand", evil},
		{"core.untrackedCache", "true"},
		{"pager.ls-files", evil},
		{"pager.config", "true"},
		{"alias.ls-files", alias},
		{"alias.rev-parse", alias},
		{"alias.config", alias},
		{"filter.x.process", evil},
		{"filter.x.clean", evil},
		{"filter.x.smudge", evil},
		{"diff.external", evil},
		{"credential.helper", alias},
		{"gpg.program", evil},
		{"uploadpack.packObjectsHook", evil},
		{"trace2.eventTarget", "/dev/stdout"},
		{"protocol.allow", "always"},
		{"protocol.ext.allow", "always"},
		{"remote.origin.url", ext},
		{"remote.origin.promisor", "true"},
		{"remote.origin.vcs", "evil"},
		{"remote.origin.uploadpack", evil},
		{"extensions.partialClone", "origin"},
		{"include.path", "included"},
		{"log.showSignature", "true"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (!RUN("git", "config", "-f", in(repo, ".git/config"), settings[i][0], settings[i][1]))
			return false;
	return put(repo, ".gitattributes", "* filter=x diff=x\n") &&
	       RUN("git", "config", "-f", in(repo, ".git/included"), "core.fsmonitor", evil);
}

TEST(nothing_is_run)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");

	CHECK(plant_program(dir, repo) && plant_hooks(repo) && plant_settings(repo));
	/* The trap works: git by itself steps into it. */
	(void)GIT(repo, "ls-files");
	(void)GIT(repo, "status");
	CHECK(has_run(dir));
	CHECK(unlink(in(dir, "ran")) == 0);
	CHECK(reads_well(repo));
	CHECK(!has_run(dir));
}

TEST(no_lazy_fetch)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");
	_cleanup_free_ char *evil = xasprintf("%s/evil", repo);
	_cleanup_free_ char *ext = xasprintf("ext::%s", evil);
	_cleanup_gitstate_ struct gitstate st = {0};
	_cleanup_indexbuild_ struct indexbuild b = {0};

	/* A sparse index names trees, and ls-files reads those: they are gone, and a promisor offers them. */
	CHECK(GIT(repo, "sparse-checkout", "set", "--cone", "--sparse-index", "other"));
	CHECK(plant_program(dir, repo));
	CHECK(GIT(repo, "config", "remote.origin.url", ext) && GIT(repo, "config", "remote.origin.promisor", "true") &&
	      GIT(repo, "config", "protocol.ext.allow", "always") && GIT(repo, "config", "protocol.allow", "always") &&
	      GIT(repo, "config", "core.repositoryFormatVersion", "1") &&
	      GIT(repo, "config", "extensions.partialClone", "origin"));
	CHECK(RUN("find", in(repo, ".git/objects"), "-type", "f", "-delete"));
	(void)GIT(repo, "ls-files", "--stage");
	CHECK(has_run(dir));
	CHECK(unlink(in(dir, "ran")) == 0);
	CHECK(read_state(repo, &st, &b, NULL) == 0 && st.volatile_why);
	CHECK(!has_run(dir));
}

TEST(git_in_the_workspace_is_not_used)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");
	_cleanup_free_ char *path = xstrdup(getenv("PATH"));
	_cleanup_free_ char *first = xasprintf("%s/bin:.:bin:%s/link:%s", repo, dir, path);

	CHECK(plant_program(dir, repo) && mkdir(in(repo, "bin"), 0755) == 0);
	CHECK(rename(in(repo, "evil"), in(repo, "bin/git")) == 0 && symlink("r/bin", in(dir, "link")) == 0);
	CHECK(setenv("PATH", first, 1) == 0 && chdir(repo) == 0);
	CHECK(reads_well(repo));
	CHECK(chdir("/") == 0 && setenv("PATH", path, 1) == 0);
	CHECK(!has_run(dir));
}

TEST(the_environment_does_not_lead_elsewhere)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");
	_cleanup_free_ char *other = make_repo(dir, "o");

	CHECK(setenv("GIT_DIR", in(other, ".git"), 1) == 0 && setenv("GIT_INDEX_FILE", "/nowhere", 1) == 0);
	CHECK(reads_well(repo));
	CHECK(unsetenv("GIT_DIR") == 0 && unsetenv("GIT_INDEX_FILE") == 0);
}

TEST(another_owner)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");

	if (geteuid() == 0)
		CHECK(RUN("chown", "-R", "12345:12345", repo));
	CHECK(reads_well(repo));
}

TEST(broken_repositories_are_errors)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");
	_cleanup_gitstate_ struct gitstate st = {0};
	_cleanup_indexbuild_ struct indexbuild b = {0};
	_cleanup_err_ struct err *e = NULL;

	CHECK(put(repo, ".git/index", "DIRC garbage"));
	CHECK(read_state(repo, &st, &b, &e) == -EIO);
	CHECK(str_has(err_details(e)));
	err_clear(&e);
	CHECK(unlink(in(repo, ".git/index")) == 0 && mkdir(in(repo, ".git/index"), 0755) == 0);
	CHECK(read_state(repo, &st, &b, NULL) < 0);
	CHECK(rmdir(in(repo, ".git/index")) == 0);
	CHECK(put(repo, ".git/config", "[core\nnonsense"));
	CHECK(read_state(repo, &st, &b, NULL) == -EIO);
}

TEST(a_submodule_cannot_lead_out)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");
	_cleanup_free_ char *other = make_repo(dir, "o");
	_cleanup_gitstate_ struct gitstate st = {0};
	_cleanup_indexbuild_ struct indexbuild b = {0};

	CHECK(GIT(repo, "update-index", "--add", "--cacheinfo", "160000,0123456789012345678901234567890123456789,sub"));
	CHECK(other && symlink("../o", in(repo, "sub")) == 0);
	CHECK(read_state(repo, &st, &b, NULL) == 0);
	for (uint32_t i = 0; i < b.n_entries; i++)
		CHECK(!str_starts(b.blob.p + b.entries[i].path_off, "sub/"));
	/* One that is its own repository again and again. */
	CHECK(unlink(in(repo, "sub")) == 0 && mkdir(in(repo, "sub"), 0755) == 0);
	CHECK(put(repo, "sub/.git", "gitdir: ../.git\n"));
	gitstate_release(&st);
	indexbuild_release(&b);
	CHECK(read_state(repo, &st, &b, NULL) == 0);
}

TEST_MAIN()
