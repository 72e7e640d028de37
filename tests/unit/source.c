#include "nix/source.h"

#include "gitrepo.h"
#include "test.h"

TEST(from_a_folder_below)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "a b\n'\"\xff");
	_cleanup_source_ struct source s = {0};

	CHECK(source_find(in(repo, "src"), &s, NULL) == 0);
	CHECK(s.is_git);
	CHECK_STR(s.flake_dir, repo);
	CHECK_STR(s.repo_dir, repo);
	CHECK_STR(s.subdir, "");
	CHECK_STR(s.git_dir, in(repo, ".git"));
	CHECK_STR(s.common_dir, s.git_dir);
}

TEST(the_flake_in_a_subfolder)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");
	_cleanup_source_ struct source s = {0};

	CHECK(RUN("mkdir", "-p", in(repo, "x/y/z")));
	CHECK(put(repo, "x/y/flake.nix", "{ }"));
	CHECK(source_find(in(repo, "x/y/z"), &s, NULL) == 0);
	CHECK_STR(s.flake_dir, in(repo, "x/y"));
	CHECK_STR(s.repo_dir, repo);
	CHECK_STR(s.subdir, "x/y");
}

TEST(relative_and_through_a_link)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");
	_cleanup_source_ struct source s = {0};
	_cleanup_source_ struct source t = {0};

	CHECK(symlink("r/src", in(dir, "link")) == 0);
	CHECK(source_find(in(dir, "link"), &s, NULL) == 0);
	CHECK_STR(s.flake_dir, repo);
	CHECK(chdir(in(repo, "src")) == 0);
	CHECK(source_find(".", &t, NULL) == 0);
	CHECK(chdir("/") == 0);
	CHECK_STR(t.flake_dir, repo);
}

TEST(without_git)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_source_ struct source s = {0};

	CHECK(RUN("mkdir", "-p", in(dir, "p/q")));
	CHECK(put(dir, "p/flake.nix", "{ }"));
	CHECK(source_find(in(dir, "p/q"), &s, NULL) == 0);
	CHECK(!s.is_git && !s.git_dir && !s.common_dir);
	CHECK_STR(s.repo_dir, in(dir, "p"));
	CHECK_STR(s.subdir, "");
}

TEST(no_flake)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");
	_cleanup_source_ struct source s = {0};
	_cleanup_err_ struct err *e = NULL;

	CHECK(put(dir, "flake.nix", "{ }"));
	CHECK(unlink(in(repo, "flake.nix")) == 0);
	/* Does not look beyond the top of the repository. */
	CHECK(source_find(in(repo, "src"), &s, &e) == -ENOENT);
	CHECK(strstr(err_message(e), in(repo, "src")));
	CHECK(strstr(err_hints(e), "devShells"));
	err_clear(&e);
	CHECK(source_find(in(dir, "nowhere"), &s, &e) == -ENOENT);
	err_clear(&e);
	CHECK(source_find(in(dir, "flake.nix"), &s, &e) == -ENOTDIR);
}

TEST(worktree)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");
	_cleanup_source_ struct source s = {0};

	CHECK(GIT(repo, "worktree", "add", "-q", "-b", "b", in(dir, "w t")));
	CHECK(source_find(in(dir, "w t/src"), &s, NULL) == 0);
	CHECK_STR(s.repo_dir, in(dir, "w t"));
	CHECK_STR(s.git_dir, in(repo, ".git/worktrees/w-t"));
	CHECK_STR(s.common_dir, in(repo, ".git"));
}

TEST(submodule_and_linked_git_folder)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_free_ char *repo = make_repo(dir, "r");
	_cleanup_free_ char *other = make_repo(dir, "o");
	_cleanup_source_ struct source s = {0};
	_cleanup_source_ struct source t = {0};

	CHECK(GIT(repo, "submodule", "--quiet", "add", other, "sub"));
	CHECK(source_find(in(repo, "sub/src"), &s, NULL) == 0);
	CHECK_STR(s.repo_dir, in(repo, "sub"));
	CHECK_STR(s.git_dir, in(repo, ".git/modules/sub"));
	CHECK(rename(in(other, ".git"), in(dir, "elsewhere")) == 0);
	CHECK(symlink("../elsewhere", in(other, ".git")) == 0);
	/* A link may lead into another project as well: it is not believed. */
	CHECK(source_find(other, &t, NULL) == -EPERM);
}

static int find_with_git_file(const char *repo, const char *text, struct err **e)
{
	_cleanup_source_ struct source s = {0};

	return put(repo, ".git", text) ? source_find(repo, &s, e) : 1;
}

TEST(nonsense_for_git)
{
	_cleanup_dir_ char *dir = make_dir();
	_cleanup_source_ struct source s = {0};
	_cleanup_err_ struct err *e = NULL;

	CHECK(put(dir, "flake.nix", "{ }"));
	CHECK(find_with_git_file(dir, "", &e) == -EINVAL);
	CHECK(find_with_git_file(dir, "hello\n", NULL) == -EINVAL);
	CHECK(find_with_git_file(dir, "gitdir: \n", NULL) == -EINVAL);
	CHECK(find_with_git_file(dir, "gitdir: nowhere\n", NULL) == -EINVAL);
	CHECK(find_with_git_file(dir, "gitdir: .\n", NULL) == -EINVAL);
	CHECK(unlink(in(dir, ".git")) == 0);
	CHECK(symlink("nowhere", in(dir, ".git")) == 0);
	CHECK(source_find(dir, &s, NULL) == -EINVAL);
	CHECK(unlink(in(dir, ".git")) == 0);
	CHECK(mkfifo(in(dir, ".git"), 0600) == 0);
	CHECK(source_find(dir, &s, NULL) == -EINVAL);
	CHECK(unlink(in(dir, ".git")) == 0);
	CHECK(mkdir(in(dir, ".git"), 0700) == 0);
	CHECK(source_find(dir, &s, NULL) == -EINVAL);
	CHECK(put(dir, ".git/HEAD", "ref: refs/heads/main\n"));
	CHECK(mkfifo(in(dir, ".git/commondir"), 0600) == 0);
	CHECK(source_find(dir, &s, NULL) == -EINVAL);
}

TEST_MAIN()
