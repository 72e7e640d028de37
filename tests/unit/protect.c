/* What a box cannot change in a workspace, from the host's side and from inside a box (busybox in a sandbox). */
#include "test.h"

#include "gitrepo.h"

#include "box/box.h"
#include "box/capture.h"
#include "box/gitconfig.h"
#include "box/protect.h"
#include "sys/spawn.h"

#include <signal.h>
#include <stdint.h>
#include <unistd.h>

static char *state_dir(const char *dir)
{
	(void)setenv("XDG_STATE_HOME", in(dir, "state"), 1);
	(void)setenv("XDG_RUNTIME_DIR", in(dir, "run"), 1);
	(void)setenv("IGLOO_VIEW_KEEP", "0", 1);
	(void)mkdir(in(dir, "run"), 0700);
	return make_repo(dir, "repo");
}

struct place {
	char *dir;
	char *repo;
	struct source source;
	struct box_spec spec;
	struct protect *p;
	struct err *e;
};

static void place_release(struct place *t)
{
	protect_free(t->p);
	box_spec_release(&t->spec);
	source_release(&t->source);
	err_free(t->e);
	free(t->repo);
	remove_dirp(&t->dir);
}
#define _cleanup_place_ ATTR_CLEANUP(place_release)

static struct place place_make(void)
{
	struct place t = {.dir = make_dir()};

	t.repo = state_dir(t.dir);
	return t;
}

static int start(struct place *t, const char *opened)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	int r;

	if (opened)
		strv_add(&names, opened);
	box_spec_release(&t->spec);
	source_release(&t->source);
	err_clear(&t->e);
	if (source_find(t->repo, &t->source, &t->e) < 0)
		return -EIO;
	t->spec.workspace = xstrdup(t->source.repo_dir);
	r = box_spec_add_share(&t->spec, t->repo, t->repo, false, &t->e);
	if (r == 0)
		r = protect_add_git_shares(&t->source, &t->spec, &t->e);
	if (r == 0)
		r = protect_workspace(&t->source, &names, &t->spec, &t->p, &t->e);
	if (r < 0)
		printf("# %s\n", err_message(t->e));
	return r;
}

static void stop(struct place *t)
{
	protect_free(take_ptr(t->p));
}

/* 1: pinned read-only, 0: pinned writable, -1: not pinned */
static int pinned(const struct place *t, const char *path)
{
	for (size_t i = 0; i < t->spec.npins; i++)
		if (strcmp(t->spec.pins[i].path, path) == 0)
			return t->spec.pins[i].read_only;
	return -1;
}

static bool there(const char *dir, const char *name)
{
	struct stat st;

	return lstat(in(dir, name), &st) == 0;
}

TEST(placeholders_come_and_go)
{
	_cleanup_place_ struct place t = place_make();

	CHECK(start(&t, NULL) == 0);
	CHECK(pinned(&t, in(t.repo, ".git")) == 0);
	CHECK(pinned(&t, in(t.repo, ".git/config")) == 1);
	CHECK(pinned(&t, in(t.repo, ".git/hooks")) == 1);
	CHECK(pinned(&t, in(t.repo, ".git/commondir")) == 1);
	CHECK(pinned(&t, in(t.repo, ".envrc")) == 1);
	CHECK(pinned(&t, in(t.repo, "mise.toml")) == -1);
	CHECK(there(t.repo, ".vscode") && there(t.repo, ".git/config.worktree"));
	for (size_t i = 1; i < t.spec.npins; i++)
		CHECK(strcmp(t.spec.pins[i - 1].path, t.spec.pins[i].path) < 0);
	/* Git sees nothing of it. */
	CHECK(GIT(t.repo, "diff", "--quiet", "HEAD"));
	CHECK(RUN("sh", "-c", "test -z \"$(git -C \"$1\" status --porcelain)\"", "sh", t.repo));
	CHECK(GIT(t.repo, "config", "a.b", "c") && GIT(t.repo, "commit", "-q", "--allow-empty", "-m", "x"));
	stop(&t);
	CHECK(!there(t.repo, ".vscode") && !there(t.repo, ".envrc") && !there(t.repo, ".git/commondir"));
	CHECK(!there(t.repo, ".git/config.worktree") && !there(t.repo, ".git/modules"));
	CHECK(there(t.repo, ".git/hooks"));
}

/* A folder around the workspace that is shared at another place is the workspace by another name. */
TEST(a_share_elsewhere)
{
	_cleanup_place_ struct place t = place_make();

	CHECK(start(&t, NULL) == 0);
	stop(&t);
	for (size_t i = 0; i < t.spec.npins; i++)
		free(t.spec.pins[i].path);
	t.spec.npins = 0;
	CHECK(box_spec_add_share(&t.spec, t.dir, "/mnt/around", false, &t.e) == 0);
	CHECK(box_spec_add_share(&t.spec, t.dir, "/mnt/read", true, &t.e) == 0);
	CHECK(protect_workspace(&t.source, NULL, &t.spec, &t.p, &t.e) == 0);
	CHECK(pinned(&t, in(t.repo, ".git/config")) == 1);
	CHECK(pinned(&t, "/mnt/around/repo/.git/config") == 1);
	CHECK(pinned(&t, "/mnt/around/repo/.envrc") == 1);
	/* Else the workspace could be moved away, and another put there. */
	CHECK(pinned(&t, "/mnt/around/repo") == 0);
	CHECK(pinned(&t, "/mnt/around/repo/.git") == 0);
	CHECK(pinned(&t, "/mnt/read/repo/.git/config") == -1);
	CHECK(pinned(&t, t.repo) == -1);
	stop(&t);
}

/* A file of git's that lies outside the workspace, in a share elsewhere. */
TEST(what_is_run_lies_in_a_share_elsewhere)
{
	_cleanup_place_ struct place t = place_make();

	CHECK(mkdir(in(t.dir, "tools"), 0755) == 0 && mkdir(in(t.dir, "tools/hooks"), 0755) == 0);
	CHECK(GIT(t.repo, "config", "core.hooksPath", in(t.dir, "tools/hooks")));
	CHECK(start(&t, NULL) == 0);
	stop(&t);
	CHECK(box_spec_add_share(&t.spec, in(t.dir, "tools"), "/mnt/tools", false, &t.e) == 0);
	CHECK(protect_workspace(&t.source, NULL, &t.spec, &t.p, &t.e) == 0);
	CHECK(pinned(&t, "/mnt/tools/hooks") == 1);
	CHECK(pinned(&t, in(t.dir, "tools/hooks")) == -1);
	stop(&t);
}

TEST(what_is_the_users_stays)
{
	_cleanup_place_ struct place t = place_make();

	CHECK(mkdir(in(t.repo, ".idea"), 0755) == 0);
	CHECK(start(&t, NULL) == 0);
	CHECK(put(t.repo, ".vscode/settings.json", "{}"));
	CHECK(rmdir(in(t.repo, ".zed")) == 0 && put(t.repo, ".zed", "x"));
	stop(&t);
	CHECK(there(t.repo, ".idea") && there(t.repo, ".vscode/settings.json") && there(t.repo, ".zed"));
	CHECK(!there(t.repo, ".claude"));
}

TEST(rules_can_be_opened)
{
	_cleanup_place_ struct place t = place_make();

	CHECK(start(&t, "envrc") == 0);
	CHECK(pinned(&t, in(t.repo, ".envrc")) == -1 && !there(t.repo, ".envrc"));
	CHECK(pinned(&t, in(t.repo, ".vscode")) == 1);
	stop(&t);
	CHECK(start(&t, "git") == -EINVAL);
	CHECK(strstr(err_message(t.e), "git-config"));
}

TEST(two_boxes_and_a_killed_one)
{
	_cleanup_place_ struct place t = place_make();
	struct protect *first;
	pid_t pid;

	CHECK(start(&t, NULL) == 0);
	first = take_ptr(t.p);
	CHECK(start(&t, NULL) == 0);
	protect_free(first);
	CHECK(there(t.repo, ".vscode"));
	protect_sweep(&t.source);
	CHECK(there(t.repo, ".vscode"));
	stop(&t);
	CHECK(!there(t.repo, ".vscode"));
	pid = fork();
	if (pid == 0) {
		(void)start(&t, NULL);
		(void)kill(getpid(), SIGKILL);
	}
	CHECK(waitpid(pid, NULL, 0) == pid && there(t.repo, ".vscode"));
	CHECK(start(&t, NULL) == 0);
	stop(&t);
	CHECK(!there(t.repo, ".vscode") && !there(t.repo, ".git/commondir"));
	pid = fork();
	if (pid == 0) {
		(void)start(&t, NULL);
		(void)kill(getpid(), SIGKILL);
	}
	CHECK(waitpid(pid, NULL, 0) == pid && there(t.repo, ".vscode"));
	protect_sweep(&t.source);
	CHECK(!there(t.repo, ".vscode") && !there(t.repo, ".git/commondir"));
}

TEST(links_and_strange_things)
{
	_cleanup_place_ struct place t = place_make();

	CHECK(mkdir(in(t.repo, "cfg"), 0755) == 0 && put(t.repo, "cfg/rc", "x") &&
	      mkdir(in(t.repo, "x\ny"), 0755) == 0);
	CHECK(symlink("cfg/rc", in(t.repo, ".envrc")) == 0 && symlink("cfg/none", in(t.repo, ".exrc")) == 0);
	CHECK(symlink("/etc/hostname", in(t.repo, ".nvimrc")) == 0);
	CHECK(symlink("../../cfg/rc", in(t.repo, ".git/hooks/pre-commit")) == 0);
	CHECK(start(&t, NULL) == 0);
	CHECK(pinned(&t, in(t.repo, ".envrc")) == 1 && pinned(&t, in(t.repo, "cfg/rc")) == 1);
	CHECK(pinned(&t, in(t.repo, "cfg")) == 0 && pinned(&t, in(t.repo, "cfg/none")) == 1);
	CHECK(pinned(&t, in(t.repo, ".nvimrc")) == 1 && pinned(&t, "/etc/hostname") == -1);
	stop(&t);
	CHECK(!there(t.repo, "cfg/none") && there(t.repo, "cfg/rc"));
	CHECK(unlink(in(t.repo, ".nvimrc")) == 0 && mkfifo(in(t.repo, ".nvimrc"), 0644) == 0);
	CHECK(start(&t, NULL) == -EINVAL && strstr(err_hints(t.e), "--unprotect editor"));
	CHECK(!there(t.repo, ".vscode"));
	CHECK(start(&t, "editor") == 0);
}

TEST(what_the_configuration_names)
{
	_cleanup_place_ struct place t = place_make();

	CHECK(mkdir(in(t.repo, "tools"), 0755) == 0);
	CHECK(GIT(t.repo, "config", "include.path", "../tools/gitconfig"));
	CHECK(put(t.repo, "tools/gitconfig", "[core]\n hooksPath = \"tools/hooks\"\n"));
	CHECK(mkdir(in(t.repo, "tools/hooks"), 0755) == 0 &&
	      symlink("../../src/a.c", in(t.repo, "tools/hooks/x")) == 0);
	CHECK(start(&t, NULL) == 0);
	CHECK(pinned(&t, in(t.repo, "tools")) == 0 && pinned(&t, in(t.repo, "tools/gitconfig")) == 1);
	CHECK(pinned(&t, in(t.repo, "tools/hooks")) == 1 && pinned(&t, in(t.repo, "src/a.c")) == 1);
}

TEST(a_worktree)
{
	_cleanup_place_ struct place t = place_make();
	char *main_repo = t.repo;

	CHECK(GIT(t.repo, "worktree", "add", "-q", in(t.dir, "wt"), "-b", "other"));
	CHECK(GIT(t.repo, "worktree", "add", "-q", in(t.dir, "third"), "-b", "third"));
	t.repo = xasprintf("%s/wt", t.dir);
	CHECK(start(&t, NULL) == 0);
	CHECK(t.spec.nshares == 2);
	CHECK_STR(t.spec.shares[1].source, in(main_repo, ".git"));
	CHECK(pinned(&t, in(t.repo, ".git")) == 1);
	CHECK(pinned(&t, in(main_repo, ".git/config")) == 1 && pinned(&t, in(main_repo, ".git/hooks")) == 1);
	CHECK(pinned(&t, in(main_repo, ".git/worktrees/wt")) == 0);
	CHECK(pinned(&t, in(main_repo, ".git/worktrees/wt/commondir")) == 1);
	CHECK(pinned(&t, in(main_repo, ".git/worktrees/third")) == 1);
	CHECK(pinned(&t, in(main_repo, ".git/index")) == 1);
	free(main_repo);
}

TEST(a_submodule_that_came_with_the_box)
{
	_cleanup_place_ struct place t = place_make();
	_cleanup_strv_ struct strv notes = STRV_INIT;

	CHECK(start(&t, NULL) == 0);
	protect_add_notes(t.p, &notes);
	CHECK(notes.n == 0);
	CHECK(GIT(t.repo, "init", "-q", "evil") && GIT(in(t.repo, "evil"), "commit", "-q", "--allow-empty", "-m", "x"));
	CHECK(GIT(t.repo, "add", "evil"));
	protect_add_notes(t.p, &notes);
	CHECK(notes.n == 1 && strstr(notes.v[0], "evil"));
}

TEST(it_is_quick)
{
	_cleanup_place_ struct place t = place_make();
	double best[3] = {1e9, 1e9, 1e9};

	for (int i = 0; i < 200; i++) {
		struct timespec a;
		struct timespec b;
		struct timespec c;

		(void)clock_gettime(CLOCK_MONOTONIC, &a);
		CHECK(start(&t, NULL) == 0);
		(void)clock_gettime(CLOCK_MONOTONIC, &b);
		stop(&t);
		(void)clock_gettime(CLOCK_MONOTONIC, &c);
		double made = (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
		double ended = (double)(c.tv_sec - b.tv_sec) * 1e3 + (double)(c.tv_nsec - b.tv_nsec) / 1e6;

		best[0] = made < best[0] ? made : best[0];
		best[1] = ended < best[1] ? ended : best[1];
		(void)setenv("IGLOO_VIEW_KEEP", "60", 1);
	}
	(void)setenv("IGLOO_VIEW_KEEP", "0", 1);
	(void)waitpid(-1, NULL, WNOHANG);
	printf("# start with source_find: %.3f ms, end: %.3f ms, %zu pins\n", best[0], best[1], t.spec.npins);
}

/* --- in a box ---------------------------------------------------------------------------------------------------- */

static int in_box(struct place *t, const char *name, const char *script, struct str *out)
{
	_cleanup_free_ char *busybox = spawn_find("busybox", NULL, NULL);
	_cleanup_slot_ struct slot *slot = NULL;
	const struct kind *kind;
	const char *argv[] = {"/tools/busybox", "sh", "-c", script, NULL};
	const char *env[] = {"PATH=/tools", NULL};
	struct capture c = {.spec = &t->spec,
			    .cwd = t->repo,
			    .argv = (char *const *)(uintptr_t)argv,
			    .env = (char *const *)(uintptr_t)env,
			    .max_output = 65536};
	_cleanup_strv_ struct strv vanished = STRV_INIT;
	int status = -1;
	int r;

	if (!busybox)
		return -ENOENT;
	if (slot_open(t->repo, NULL, &slot, &t->e) < 0 || kind_find("sandbox", &kind, &t->e) < 0)
		return -EIO;
	r = box_spec_add_share(&t->spec, busybox, "/tools/busybox", true, &t->e);
	t->spec.name = xstrdup(name);
	t->spec.slot = xstrdup(slot->id);
	t->spec.ephemeral = true;
	c.kind = kind;
	c.slot = slot;
	if (r == 0)
		r = kind->prepare(slot, &vanished, &t->e);
	if (r == 0)
		r = capture_run(&c, &status, out, &t->e);
	if (r < 0)
		printf("# %s\n", err_message(t->e));
	return r < 0 ? r : status;
}

static const char attempts[] =
	"b=/tools/busybox\n"
	"try() { \"$@\" >/dev/null 2>&1 && $b echo \"done: $*\"; }\n"
	"w() { echo x >>\"$1\"; }\n"
	"for f in .git/config .git/config.worktree .git/commondir .git/hooks/pre-commit.sample .envrc "
	".vscode/tasks.json \\\n"
	"	.git/modules/x .idea/y .direnv/z; do try w $f; [ -e $f ] && try $b rm -rf $f; try $b mv $f $f.away;\n"
	"	try $b ln $f alias; try $b mkdir $f; done\n"
	"try $b mv .git g; try $b mv .git/hooks .git/h; try $b rmdir .vscode; try $b mv .vscode v; try $b rm -rf "
	".envrc\n"
	"try $b ln -s /etc .envrc; echo y >.git/config.lock; try $b mv .git/config.lock .git/config; $b rm "
	".git/config.lock\n"
	"$b mount -o remount,rw,bind $PWD/.git/config 2>/dev/null && echo remounted\n"
	"$b umount .git/config 2>/dev/null && echo unmounted\n"
	"echo fine >src/new && echo ok\n";

TEST(escapes_from_inside)
{
	_cleanup_place_ struct place t = place_make();
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_strv_ struct strv notes = STRV_INIT;
	int r;

	CHECK(start(&t, NULL) == 0 && protect_watch(t.p) >= 0);
	r = in_box(&t, "escapes", attempts, &out);
	if (r == -ENOENT) {
		printf("# no busybox\n");
		return;
	}
	CHECK(r == 0);
	CHECK_STR(str_text(&out), "ok\n");
	(void)protect_reapply(t.p);
	protect_add_notes(t.p, &notes);
	for (size_t i = 0; i < notes.n; i++)
		printf("# note: %s\n", notes.v[i]);
	CHECK(notes.n == 1 && strstr(notes.v[0], "--unprotect git-config"));
	stop(&t);
	CHECK(there(t.repo, "src/new") && !there(t.repo, ".vscode"));
}

static pid_t guest_of(const char *name)
{
	for (int i = 0; i < 200; i++) {
		struct box_info info = {0};
		pid_t pid = 0;

		if (box_look(name, &info, NULL) == 0 && info.running)
			pid = info.guest;
		box_info_release(&info);
		if (pid > 0)
			return pid;
		wait_ms(20);
	}
	return 0;
}

TEST(a_rename_from_outside)
{
	_cleanup_place_ struct place t = place_make();
	_cleanup_free_ char *busybox = spawn_find("busybox", NULL, NULL);
	const struct kind *kind;
	pid_t guest;
	pid_t pid;
	int status;

	CHECK(kind_find("sandbox", &kind, NULL) == 0);
	CHECK(start(&t, NULL) == 0 && protect_watch(t.p) >= 0);
	pid = fork();
	if (pid == 0) {
		_cleanup_str_ struct str out = STR_INIT;
		int r = in_box(
			&t, "renamed",
			"until [ -e go ]; do /tools/busybox sleep 0.05; done; echo x >>.git/config && echo wrote;"
			"/tools/busybox mv .vscode v && echo moved; echo end",
			&out);

		printf("# %s\n", str_text(&out));
		_exit(r == -ENOENT ? 77 : r == 0 && strcmp(str_text(&out), "end\n") == 0 ? 0 : 1);
	}
	guest = busybox ? guest_of("renamed") : 0;
	if (guest > 0) {
		CHECK(!protect_reapply(t.p));
		CHECK(GIT(t.repo, "config", "host.was", "here"));
		CHECK(rmdir(in(t.repo, ".vscode")) == 0);
		CHECK(protect_reapply(t.p));
		CHECK(there(t.repo, ".vscode"));
		CHECK(kind->repin(guest, &t.spec, &t.e) == 0);
		CHECK(put(t.repo, "go", ""));
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0 || WEXITSTATUS(status) == 77);
}

TEST(configuration_is_read_as_git_reads_it)
{
	static const char text[] =
		"[core] hooksPath = \"a b\"c ; x\n\tHOOKSPATH=~/h\\\ni \t # no\n[include]path=x\n"
		"[includeIf \"gitdir:a]\"]\r\n path = y\\\\z\r\n[user]path=no\n[submodule \"s\"] path = s";
	_cleanup_gitconfig_ struct gitconfig c = {0};

	gitconfig_read(text, sizeof(text) - 1, &c);
	CHECK(c.hooks.n == 2 && c.includes.n == 2 && c.submodules.n == 1);
	CHECK_STR(c.hooks.v[0], "a bc");
	CHECK_STR(c.hooks.v[1], "~/hi");
	CHECK_STR(c.includes.v[1], "y\\z");
	CHECK_STR(c.submodules.v[0], "s");
}

TEST_MAIN()
