#include "place.h"
#include "test.h"

#include <sched.h>
#include <sys/mount.h>

static bool says(const struct place *p, const char *line)
{
	return strv_has(&p->now.changed, line);
}

TEST(warm)
{
	_cleanup_place_ struct place p = place_make(true);

	CHECK(check(&p));
	CHECK(p.now.looked && p.now.changed.n == 1 && strlen(p.now.head) == 40 && !p.now.volatile_why);
	CHECK(is_warm(&p));
	CHECK(p.now.changed.n == 0 && strlen(p.now.head) == 40 && !p.now.flake_untracked);
}

static bool same_size_again_and_again(void)
{
	_cleanup_place_ struct place p = place_make(true);

	if (!check(&p))
		return false;
	for (int i = 0; i < 300; i++) {
		_cleanup_free_ char *text = xasprintf("int %06d;", i);

		if (!put(p.repo, "src/a.c", text) || !is_changed(&p))
			return false;
	}
	return is_warm(&p);
}

TEST(same_size_within_the_same_tick)
{
	CHECK(same_size_again_and_again());
}

/* ext4, xfs, btrfs and tmpfs of Linux 6.13 give each change seen its own time stamp; ramfs gives all
 * changes of a tick the same, as every file system did before. */
static bool mount_ramfs(const char *dir)
{
	_cleanup_free_ char *uid = xasprintf("0 %u 1", (unsigned)getuid());
	_cleanup_free_ char *gid = xasprintf("0 %u 1", (unsigned)getgid());

	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && put("/proc/self", "setgroups", "deny") &&
	       put("/proc/self", "uid_map", uid) && put("/proc/self", "gid_map", gid) &&
	       mount("none", dir, "ramfs", 0, NULL) == 0 && setenv("TMPDIR", dir, 1) == 0;
}

TEST(same_size_where_time_stamps_are_coarse)
{
	enum { CANNOT_MOUNT = 77 };
	_cleanup_dir_ char *dir = make_dir();
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(!mount_ramfs(dir) ? CANNOT_MOUNT : !same_size_again_and_again());
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_MOUNT)
		printf("# no user namespace here: not tested\n");
	else
		CHECK(status == 0);
}

TEST(same_size_in_place_with_its_old_mtime)
{
	_cleanup_place_ struct place p = place_make(true);
	struct stat st;

	CHECK(check(&p) && is_warm(&p));
	CHECK(stat(in(p.repo, "src/a.c"), &st) == 0);
	CHECK(put(p.repo, "src/a.c", "int b;\n"));
	CHECK(utimensat(AT_FDCWD, in(p.repo, "src/a.c"), (struct timespec[]){st.st_atim, st.st_mtim}, 0) == 0);
	CHECK(is_changed(&p));
	CHECK(says(&p, "src/a.c: content changed"));
}

TEST(touched_but_the_same)
{
	_cleanup_place_ struct place p = place_make(true);

	CHECK(check(&p) && is_warm(&p));
	CHECK(RUN("touch", in(p.repo, "src/a.c")));
	CHECK(is_same(&p) && p.now.looked && p.now.changed.n == 0);
	CHECK(put(p.repo, "src/a.c", "int b;\n"));
	CHECK(is_changed(&p));
	CHECK(put(p.repo, "src/a.c", "int a;\n"));
	CHECK(is_changed(&p));
	CHECK(is_warm(&p));
}

TEST(times_in_past_and_future)
{
	_cleanup_place_ struct place p = place_make(true);
	struct timespec t[2];

	CHECK(check(&p) && is_warm(&p));
	(void)clock_gettime(CLOCK_REALTIME, &t[0]);
	t[0].tv_sec += 100000;
	t[1] = t[0];
	CHECK(utimensat(AT_FDCWD, in(p.repo, "src/a.c"), t, 0) == 0);
	CHECK(is_same(&p));
	wait_ms(30);
	CHECK(is_same(&p) && p.now.looked); /* never trusted */
	CHECK(put(p.repo, "src/a.c", "int b;\n"));
	CHECK(utimensat(AT_FDCWD, in(p.repo, "src/a.c"), t, 0) == 0);
	CHECK(is_changed(&p));
	t[0] = t[1] = (struct timespec){-5, 0};
	CHECK(utimensat(AT_FDCWD, in(p.repo, "src/a.c"), t, 0) == 0);
	CHECK(is_same(&p) && is_warm(&p));
	CHECK(put(p.repo, "src/a.c", "int c;\n"));
	CHECK(utimensat(AT_FDCWD, in(p.repo, "src/a.c"), t, 0) == 0);
	CHECK(is_changed(&p));
}

TEST(modes)
{
	_cleanup_place_ struct place p = place_make(true);

	CHECK(check(&p) && is_warm(&p));
	CHECK(chmod(in(p.repo, "src/a.c"), 0755) == 0);
	CHECK(is_changed(&p) && says(&p, "src/a.c: now executable"));
	CHECK(chmod(in(p.repo, "src/a.c"), 0700) == 0);
	CHECK(is_same(&p));
	CHECK(chmod(in(p.repo, "src/a.c"), 0644) == 0);
	CHECK(is_changed(&p));
}

TEST(what_git_tracks)
{
	_cleanup_place_ struct place p = place_make(true);

	CHECK(check(&p) && is_warm(&p));
	CHECK(put(p.repo, "new.nix", "1"));
	CHECK(is_same(&p) && !p.now.looked); /* untracked: Nix does not see it */
	CHECK(GIT(p.repo, "add", "-N", "new.nix"));
	CHECK(is_changed(&p) && says(&p, "new.nix: added"));
	CHECK(put(p.repo, "new.nix", "2"));
	CHECK(is_changed(&p));
	CHECK(is_warm(&p));
	CHECK(GIT(p.repo, "add", "new.nix"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(unlink(in(p.repo, "new.nix")) == 0);
	CHECK(is_changed(&p) && says(&p, "new.nix: deleted"));
	CHECK(GIT(p.repo, "rm", "-q", "--cached", "new.nix"));
	CHECK(is_changed(&p));
	CHECK(GIT(p.repo, "mv", "src/a.c", "src/b.c"));
	CHECK(is_changed(&p) && says(&p, "src/a.c: removed") && says(&p, "src/b.c: added"));
	CHECK(is_warm(&p));
	CHECK(GIT(p.repo, "status"));
	CHECK(is_same(&p));
	CHECK(GIT(p.repo, "rm", "-q", "--cached", "flake.nix"));
	CHECK(is_changed(&p) && p.now.flake_untracked);
	CHECK(is_warm(&p) && p.now.flake_untracked);
}

TEST(head)
{
	_cleanup_place_ struct place p = place_make(true);
	uint8_t first[32];

	CHECK(check(&p) && is_warm(&p));
	memcpy(first, p.now.key, 32);
	CHECK(GIT(p.repo, "commit", "-q", "--allow-empty", "-m", "two"));
	CHECK(is_changed(&p) && says(&p, "HEAD: another commit"));
	CHECK(GIT(p.repo, "checkout", "-q", "-b", "same"));
	CHECK(is_same(&p)); /* a branch's name is visible to nothing */
	CHECK(GIT(p.repo, "pack-refs", "--all"));
	CHECK(is_same(&p) && is_warm(&p));
	CHECK(GIT(p.repo, "commit", "-q", "--allow-empty", "-m", "three"));
	CHECK(is_changed(&p));
	CHECK(GIT(p.repo, "update-ref", "refs/heads/same", "main"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(GIT(p.repo, "checkout", "-q", "--detach", "HEAD~1"));
	CHECK(is_changed(&p));
	CHECK(memcmp(first, p.now.key, 32) == 0);
	CHECK(is_warm(&p));
	CHECK(GIT(p.repo, "checkout", "-q", "--orphan", "unborn"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK_STR(p.now.head, "");
	CHECK(GIT(p.repo, "commit", "-q", "-m", "root"));
	CHECK(is_changed(&p) && strlen(p.now.head) == 40);
	CHECK(GIT(p.repo, "symbolic-ref", "refs/heads/alias", "refs/heads/main"));
	CHECK(GIT(p.repo, "symbolic-ref", "HEAD", "refs/heads/alias"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(GIT(p.repo, "update-ref", "refs/heads/main", "main~1"));
	CHECK(is_changed(&p));
}

TEST(kinds_of_file)
{
	_cleanup_place_ struct place p = place_make(true);

	CHECK(symlink("a.c", in(p.repo, "src/link")) == 0);
	CHECK(GIT(p.repo, "add", "-A"));
	CHECK(check(&p) && is_warm(&p));
	CHECK(unlink(in(p.repo, "src/link")) == 0);
	CHECK(symlink("b.c", in(p.repo, "src/link")) == 0);
	CHECK(is_changed(&p) && says(&p, "src/link: link target changed"));
	CHECK(unlink(in(p.repo, "src/link")) == 0);
	CHECK(put(p.repo, "src/link", "b.c"));
	CHECK(is_changed(&p) && says(&p, "src/link: now a file"));
	CHECK(unlink(in(p.repo, "src/link")) == 0);
	CHECK(mkdir(in(p.repo, "src/link"), 0755) == 0);
	CHECK(is_changed(&p) && says(&p, "src/link: now a folder"));
	CHECK(put(p.repo, "src/link/x", "untracked"));
	CHECK(is_same(&p) && is_warm(&p));
	CHECK(RUN("rm", "-r", in(p.repo, "src/link")));
	CHECK(mkfifo(in(p.repo, "src/link"), 0600) == 0);
	CHECK(is_changed(&p) && says(&p, "src/link: now a special file"));
	CHECK(unlink(in(p.repo, "src/link")) == 0);
	CHECK(is_changed(&p) && is_warm(&p));
	/* The same files behind a link are not the same: git and Nix see them deleted. */
	CHECK(rename(in(p.repo, "src"), in(p.repo, "moved")) == 0);
	CHECK(symlink("moved", in(p.repo, "src")) == 0);
	CHECK(is_changed(&p) && says(&p, "src/a.c: deleted") && is_warm(&p));
	CHECK(put(p.repo, "moved/a.c", "int c;\n"));
	CHECK(is_same(&p) && !p.now.looked);
	CHECK(unlink(in(p.repo, "src")) == 0 && rename(in(p.repo, "moved"), in(p.repo, "src")) == 0);
	CHECK(is_changed(&p));
	CHECK(rename(in(p.repo, "src"), in(p.repo, "moved")) == 0 && put(p.repo, "src", "a file"));
	CHECK(is_changed(&p) && is_warm(&p));
}

TEST(settings_and_attributes)
{
	_cleanup_place_ struct place p = place_make(true);

	CHECK(check(&p) && is_warm(&p));
	CHECK(GIT(p.repo, "config", "core.autocrlf", "input"));
	CHECK(is_changed(&p) && says(&p, "config: git's file changed") && is_warm(&p));
	CHECK(put(p.repo, ".git/info/attributes", "*.c export-ignore\n"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(put(p.repo, "src/.gitattributes", "*.c eol=crlf\n")); /* not tracked, still heeded by git diff */
	CHECK(is_changed(&p) && says(&p, "src/.gitattributes: now there") && is_warm(&p));
	CHECK(GIT(p.repo, "config", "include.path", "../shared.conf"));
	CHECK(is_changed(&p) && !p.now.volatile_why && is_warm(&p));
	CHECK(put(p.repo, "shared.conf", "[core]\n\tattributesFile = /nowhere\n[include]\n\tpath = more.conf\n"));
	CHECK(is_changed(&p) && !p.now.volatile_why && is_warm(&p));
	CHECK(put(p.repo, "more.conf", "[core]\n\teol = lf\n"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(put(p.repo, "more.conf", "[core]\n\teol = crlf\n"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(put(p.repo, "more.conf", "[filter \"x\"]\n\tsmudge = date\n"));
	CHECK(is_changed(&p) && p.now.volatile_why);
	CHECK(is_changed(&p) && p.now.volatile_why); /* a key that never comes again */
	CHECK(put(p.repo, "more.conf", "[filter \"lfs\"]\n\tsmudge = git-lfs smudge -- %f\n"));
	CHECK(is_changed(&p) && !p.now.volatile_why && is_warm(&p));
	CHECK(GIT(p.repo, "config", "include.path", "~/x"));
	CHECK(is_changed(&p) && p.now.volatile_why);
	CHECK(GIT(p.repo, "config", "--unset", "include.path"));
	CHECK(is_changed(&p) && !p.now.volatile_why);
	CHECK(GIT(p.repo, "config", "core.worktree", ".."));
	CHECK(check(&p) && !p.now.volatile_why);
	CHECK(GIT(p.repo, "config", "core.worktree", "/usr"));
	CHECK(check(&p) && p.now.volatile_why);
}

TEST(rewritten_history)
{
	_cleanup_place_ struct place p = place_make(true);

	CHECK(GIT(p.repo, "commit", "-q", "--allow-empty", "-m", "two"));
	CHECK(check(&p) && is_warm(&p));
	CHECK(put(p.repo, ".git/info/grafts", "\n"));
	CHECK(is_changed(&p));
	CHECK(GIT(p.repo, "replace", "HEAD", "HEAD~1"));
	CHECK(is_changed(&p) && p.now.volatile_why);
	CHECK(GIT(p.repo, "pack-refs", "--all"));
	CHECK(is_changed(&p) && p.now.volatile_why);
	CHECK(GIT(p.repo, "replace", "-d", p.now.head));
	CHECK(is_changed(&p) && !p.now.volatile_why && is_warm(&p));
}

TEST(hidden_changes)
{
	_cleanup_place_ struct place p = place_make(true);

	CHECK(check(&p) && is_warm(&p));
	CHECK(GIT(p.repo, "update-index", "--assume-unchanged", "src/a.c"));
	CHECK(is_changed(&p) && is_warm(&p)); /* decides whether the tree counts as dirty */
	CHECK(put(p.repo, "src/a.c", "int b;\n"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(GIT(p.repo, "update-index", "--no-assume-unchanged", "src/a.c"));
	CHECK(is_changed(&p));
	CHECK(GIT(p.repo, "update-index", "--skip-worktree", "src/a.c"));
	CHECK(is_changed(&p));
	CHECK(GIT(p.repo, "update-index", "--no-skip-worktree", "src/a.c"));
	CHECK(GIT(p.repo, "reset", "-q", "--hard"));
	CHECK(GIT(p.repo, "sparse-checkout", "set", "--cone", "--sparse-index", "other"));
	CHECK(check(&p) && is_warm(&p));
	CHECK(access(in(p.repo, "src/a.c"), F_OK) < 0);
	CHECK(GIT(p.repo, "sparse-checkout", "disable"));
	CHECK(is_changed(&p) && is_warm(&p));
}

TEST(conflict)
{
	_cleanup_place_ struct place p = place_make(true);

	CHECK(GIT(p.repo, "checkout", "-q", "-b", "other"));
	CHECK(put(p.repo, "src/a.c", "other\n") && GIT(p.repo, "commit", "-q", "-a", "-m", "o"));
	CHECK(GIT(p.repo, "checkout", "-q", "main"));
	CHECK(put(p.repo, "src/a.c", "main\n") && GIT(p.repo, "commit", "-q", "-a", "-m", "m"));
	CHECK(check(&p) && is_warm(&p));
	CHECK(!GIT(p.repo, "merge", "-q", "other"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(GIT(p.repo, "merge", "--abort"));
	CHECK(is_changed(&p));
}

TEST(worktree_has_the_same_key)
{
	_cleanup_place_ struct place p = place_make(true);
	_cleanup_free_ char *wt = xasprintf("%s/wt", p.dir);
	uint8_t first[32];

	CHECK(check(&p));
	memcpy(first, p.now.key, 32);
	CHECK(GIT(p.repo, "worktree", "add", "-q", "-b", "b", wt));
	p.start = wt;
	CHECK(check(&p) && is_warm(&p));
	CHECK(memcmp(first, p.now.key, 32) == 0);
	CHECK(put(wt, "src/a.c", "int b;\n"));
	CHECK(is_changed(&p));
	CHECK(GIT(wt, "commit", "-q", "-a", "-m", "b"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(GIT(p.repo, "config", "extensions.worktreeConfig", "true"));
	CHECK(GIT(wt, "config", "--worktree", "core.eol", "crlf"));
	CHECK(is_changed(&p) && is_warm(&p));
}

TEST(submodule)
{
	_cleanup_place_ struct place p = place_make(true);
	_cleanup_free_ char *other = make_repo(p.dir, "other");
	_cleanup_free_ char *sub = xasprintf("%s/sub dir", p.repo);

	CHECK(check(&p));
	CHECK(GIT(p.repo, "submodule", "--quiet", "add", other, "sub dir"));
	CHECK(is_changed(&p) && !p.now.volatile_why && is_warm(&p));
	CHECK(GIT(p.repo, "commit", "-q", "-m", "sub"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(put(sub, "src/a.c", "int b;\n"));
	CHECK(is_changed(&p) && says(&p, "sub dir/src/a.c: content changed"));
	CHECK(put(sub, "new", "1"));
	CHECK(is_same(&p) && is_warm(&p));
	CHECK(GIT(sub, "add", "-N", "new"));
	CHECK(is_changed(&p) && says(&p, "sub dir/new: added") && is_warm(&p));
	CHECK(GIT(sub, "commit", "-q", "--allow-empty", "-m", "x"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(GIT(p.repo, "submodule", "--quiet", "deinit", "-f", "sub dir"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(GIT(p.repo, "submodule", "--quiet", "update", "--init"));
	CHECK(is_changed(&p) && is_warm(&p));
}

TEST(flake_in_a_subfolder_sees_all)
{
	_cleanup_place_ struct place p = place_make(true);
	_cleanup_free_ char *below = xasprintf("%s/deep/er", p.repo);

	CHECK(RUN("mkdir", "-p", below) && put(below, "flake.nix", "{ }"));
	p.start = below;
	CHECK(check(&p) && p.now.flake_untracked);
	CHECK(GIT(p.repo, "add", "-A"));
	CHECK(is_changed(&p) && !p.now.flake_untracked && is_warm(&p));
	CHECK(put(p.repo, "src/a.c", "int b;\n"));
	CHECK(is_changed(&p));
	p.start = NULL; /* the other flake of the repository is another source */
	CHECK(is_changed(&p) && p.now.looked);
}

TEST(odd_names)
{
	_cleanup_place_ struct place p = place_make(true);
	static const char *const names[] = {"a\nb", "\xff\xfe", "with \"quotes'", "-n", "tab\t", ":(glob)*",
					    "\\",   "x;rm"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		CHECK(put(p.repo, names[i], "1"));
	CHECK(GIT(p.repo, "add", "-A"));
	CHECK(check(&p) && is_warm(&p));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CHECK(put(p.repo, names[i], "2"));
		CHECK(is_changed(&p) && p.now.changed.n == 1 && !strchr(p.now.changed.v[0], '\n'));
	}
	CHECK(is_warm(&p));
}

TEST(damaged_index)
{
	_cleanup_place_ struct place p = place_make(true);
	_cleanup_str_ struct str whole = STR_INIT;
	static const size_t places[] = {0, 9, 17, 30, 40, 200, 500};

	CHECK(check(&p) && is_warm(&p));
	CHECK(file_read(p.cache, "index", 1 << 20, &whole, NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		CHECK(places[i] < whole.len);
		whole.p[places[i]] ^= 0x20;
		CHECK(file_replace(p.cache, "index", whole.p, whole.len, 0600, false, NULL) == 0);
		CHECK(is_same(&p) && p.now.looked);
		CHECK(file_replace(p.cache, "index", whole.p, places[i], 0600, false, NULL) == 0);
		CHECK(is_same(&p) && p.now.looked);
		whole.p[places[i]] ^= 0x20;
	}
	CHECK(file_replace(p.cache, "index", whole.p, whole.len, 0600, false, NULL) == 0);
	CHECK(is_same(&p) && !p.now.looked);
	CHECK(unlinkat(p.cache, "index", 0) == 0 && mkdirat(p.cache, "index", 0700) == 0);
	CHECK(is_same(&p) && p.now.looked); /* cannot be written: slow, not wrong */
}

TEST(huge_file)
{
	_cleanup_place_ struct place p = place_make(true);
	_cleanup_close_ int fd = open(in(p.repo, "big"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)64 << 20) == 0);
	CHECK(GIT(p.repo, "add", "-N", "big"));
	CHECK(check(&p) && is_warm(&p));
	CHECK(pwrite(fd, "x", 1, (off_t)63 << 20) == 1);
	CHECK(is_changed(&p) && is_warm(&p));
}

TEST(plain_folder)
{
	_cleanup_place_ struct place p = place_make(false);
	struct stat st;

	CHECK(check(&p) && !p.src.is_git && is_warm(&p));
	CHECK_STR(p.now.head, "");
	CHECK(put(p.repo, "src/new", "1"));
	CHECK(is_changed(&p) && says(&p, "src/new: added") && is_warm(&p));
	CHECK(put(p.repo, "src/new", "2"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(rename(in(p.repo, "src/new"), in(p.repo, "src/old")) == 0);
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(mkdir(in(p.repo, "src/empty"), 0755) == 0);
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(symlink("x", in(p.repo, "l")) == 0);
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(unlink(in(p.repo, "l")) == 0 && symlink("y", in(p.repo, "l")) == 0);
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(chmod(in(p.repo, "src/old"), 0755) == 0);
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(mkfifo(in(p.repo, "fifo"), 0600) == 0);
	CHECK(is_changed(&p) && is_warm(&p));
	/* Nix shows the newest time as lastModified; older ones do not matter. */
	CHECK(utimensat(AT_FDCWD, in(p.repo, "src/a.c"), (struct timespec[]){{5, 0}, {5, 0}}, 0) == 0);
	CHECK(stat(in(p.repo, "."), &st) == 0);
	CHECK(is_same(&p) && is_warm(&p));
	st.st_mtim.tv_sec -= 2;
	CHECK(RUN("find", p.repo, "-exec", "touch", "-h", "-d", "@1000000000", "{}", "+"));
	CHECK(is_changed(&p) && is_warm(&p));
	CHECK(RUN("touch", "-d", "@1000000001", in(p.repo, "flake.nix")));
	CHECK(is_changed(&p));
}

TEST(names_come_and_go_in_a_plain_folder)
{
	_cleanup_place_ struct place p = place_make(false);

	CHECK(check(&p));
	for (int i = 0; i < 100; i++) {
		CHECK(put(p.repo, "src/x", "1"));
		CHECK(is_changed(&p));
		CHECK(unlink(in(p.repo, "src/x")) == 0);
		CHECK(is_changed(&p));
	}
}

TEST_MAIN()
