/* Limits. Most tests use the kernel's own cgroups, whichever version this machine has, and need the right
 * to make them (root); without it they say so and pass. Those named fake_* stand in for the kernel with
 * plain files in a temporary folder: they check what is written where, and nothing that the kernel does. */
#include "test.h"

#include "sys/cgroup.h"
#include "sys/cgroup_impl.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const struct cgroup_limits all = {.cpu_milli = 1500, .memory = 64 << 20, .pids = 20};

static bool can_limit(void)
{
	_cleanup_err_ struct err *e = NULL;

	if (cgroup_check(&all, &e) == 0)
		return true;
	printf("# skipped: %s\n", err_message(e));
	return false;
}

static char *test_name(const char *what)
{
	return xasprintf("test-%s-%d", what, (int)getpid());
}

/* Runs f in a child that is moved into the cgroup first; returns its wait status. */
static int run_in(struct cgroup *cg, int (*f)(void))
{
	int go[2];
	int status = -1;
	pid_t pid;
	char c = 0;

	if (pipe2(go, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		(void)close(go[1]);
		_exit(read(go[0], &c, 1) == 1 ? f() : 99);
	}
	if (cgroup_add(cg, pid, NULL) == 0)
		(void)!write(go[1], &c, 1);
	(void)close(go[0]);
	(void)close(go[1]);
	(void)waitpid(pid, &status, 0);
	return status;
}

static int hog(void)
{
	for (size_t i = 0; i < 256; i++) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return 1;
		memset(p, 1, 1 << 20);
	}
	return 0;
}

static int nap(void)
{
	while (pause() < 0)
		continue;
	return 0;
}

static int bomb(void)
{
	int made = 0;

	(void)signal(SIGCHLD, SIG_IGN);
	while (made < 200) {
		pid_t pid = fork();

		if (pid == 0)
			return nap();
		if (pid < 0)
			break;
		made++;
	}
	return errno == EAGAIN ? made : 255;
}

TEST(memory_hog_is_killed)
{
	_cleanup_free_ char *name = test_name("hog");
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	struct cgroup_event_counts n;
	int status;

	if (!can_limit())
		return;
	CHECK(cgroup_create(name, &all, &cg, NULL) == 0);
	CHECK(cgroup_events(cg, &n, NULL) == 0 && n.oom_kills == 0);
	status = run_in(cg, hog);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(cgroup_events(cg, &n, NULL) == 0 && n.oom_kills >= 1);
	CHECK(cgroup_remove(cg, NULL) == 0);
	CHECK(cgroup_remove(cg, NULL) == 0);
}

TEST(fork_bomb_is_stopped_and_killed)
{
	_cleanup_free_ char *name = test_name("bomb");
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	struct cgroup_event_counts n;
	pid_t *pids = NULL;
	size_t left = 0;
	int status;

	if (!can_limit())
		return;
	CHECK(cgroup_create(name, &all, &cg, NULL) == 0);
	status = run_in(cg, bomb);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 19);
	CHECK(cgroup_events(cg, &n, NULL) == 0 && n.pids_refused >= 1);
	CHECK(cgroup_pids(cg->dirs[cg->at[CG_PIDS]].dir, &pids, &left) == 0 && left == 19);
	free(pids);
	CHECK(cgroup_kill(cg, NULL) == 0);
	CHECK(cgroup_remove(cg, NULL) == 0);
}

static bool holds(struct cgroup *cg, enum cgroup_controller c, const char *file, const char *want)
{
	_cleanup_str_ struct str text = STR_INIT;

	if (cgroup_get(cg->dirs[cg->at[c]].dir, file, &text) < 0)
		return false;
	printf("# %s: %s", file, str_text(&text));
	return str_starts(str_text(&text), want);
}

TEST(files_say_what_was_asked)
{
	_cleanup_free_ char *name = test_name("files");
	_cleanup_cgroup_ struct cgroup *cg = NULL;

	if (!can_limit())
		return;
	CHECK(cgroup_create(name, &all, &cg, NULL) == 0);
	if (cg->ops == &cgroup_v1) {
		CHECK(holds(cg, CG_CPU, "cpu.cfs_quota_us", "150000\n"));
		CHECK(holds(cg, CG_CPU, "cpu.cfs_period_us", "100000\n"));
		CHECK(holds(cg, CG_MEMORY, "memory.limit_in_bytes", "67108864\n"));
		CHECK(cgroup_fd(cg) == -1);
	} else {
		CHECK(holds(cg, CG_CPU, "cpu.max", "150000 100000\n"));
		CHECK(holds(cg, CG_MEMORY, "memory.max", "67108864\n"));
		CHECK(cgroup_fd(cg) >= 0);
	}
	CHECK(holds(cg, CG_PIDS, "pids.max", "20\n"));
	CHECK(cgroup_remove(cg, NULL) == 0);
}

TEST(a_thousandth_of_a_processor)
{
	const struct cgroup_limits least = {.cpu_milli = 1};
	_cleanup_free_ char *name = test_name("least");
	_cleanup_cgroup_ struct cgroup *cg = NULL;

	if (!can_limit())
		return;
	CHECK(cgroup_create(name, &least, &cg, NULL) == 0);
	if (cg->ops == &cgroup_v1)
		CHECK(holds(cg, CG_CPU, "cpu.cfs_quota_us", "1000\n"));
	else
		CHECK(holds(cg, CG_CPU, "cpu.max", "1000 1000000\n"));
	CHECK(cgroup_remove(cg, NULL) == 0);
}

TEST(nothing_asked_needs_nothing)
{
	const struct cgroup_limits none = {0, 0, 0};
	int other;
	struct cgroup *cg = (struct cgroup *)(void *)&other;
	struct cgroup_event_counts n;

	CHECK(cgroup_create("x", &none, &cg, NULL) == 0 && !cg);
	CHECK(cgroup_add(cg, 0, NULL) == 0 && cgroup_kill(cg, NULL) == 0 && cgroup_remove(cg, NULL) == 0);
	CHECK(cgroup_events(cg, &n, NULL) == 0 && n.oom_kills == 0 && cgroup_fd(cg) == -1);
}

TEST(bad_limits_and_names_are_refused)
{
	const struct cgroup_limits bad[] = {
		{.cpu_milli = 8192001}, {.memory = 65535}, {.memory = UINT64_MAX}, {.pids = 4194305}};
	const char *names[] = {"", "a/b", "..\n", "x y"};
	struct cgroup *cg = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(cgroup_check(&bad[i], NULL) == -EINVAL);
		CHECK(cgroup_create("x", &bad[i], &cg, NULL) == -EINVAL);
	}
	if (!can_limit())
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		CHECK(cgroup_create(names[i], &all, &cg, NULL) == -EINVAL);
}

TEST(a_cgroup_in_use_is_not_taken_and_a_left_one_is)
{
	_cleanup_free_ char *name = test_name("twice");
	_cleanup_cgroup_ struct cgroup *first = NULL;
	_cleanup_cgroup_ struct cgroup *second = NULL;

	if (!can_limit())
		return;
	CHECK(cgroup_create(name, &all, &first, NULL) == 0);
	CHECK(cgroup_create(name, &all, &second, NULL) == -EEXIST);
	cgroup_close(first); /* as if its igloo was killed */
	first = NULL;
	CHECK(cgroup_create(name, &all, &second, NULL) == 0);
	CHECK(cgroup_remove(second, NULL) == 0);
}

TEST(sweep_takes_the_left_ones_only)
{
	_cleanup_free_ char *dead = test_name("dead");
	_cleanup_free_ char *empty = test_name("empty");
	_cleanup_free_ char *busy = test_name("busy");
	_cleanup_cgroup_ struct cgroup *held = NULL;
	_cleanup_cgroup_ struct cgroup *other = NULL;
	_cleanup_cgroup_ struct cgroup *full = NULL;
	pid_t pid;

	if (!can_limit())
		return;
	(void)cgroup_sweep(NULL);
	pid = fork(); /* first: a child would inherit the locks of what is made before it */
	if (pid == 0)
		_exit(nap());
	CHECK(cgroup_create(empty, &all, &held, NULL) == 0);
	CHECK(cgroup_create(busy, &all, &full, NULL) == 0);
	CHECK(cgroup_create(dead, &all, &other, NULL) == 0);
	CHECK(cgroup_add(full, pid, NULL) == 0);
	cgroup_close(take_ptr(other));
	cgroup_close(take_ptr(full)); /* its process lives on */
	CHECK(cgroup_sweep(NULL) >= 1);
	CHECK(cgroup_sweep(NULL) == 0);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	CHECK(cgroup_sweep(NULL) >= 1);
	CHECK(cgroup_sweep(NULL) == 0);
	CHECK(cgroup_add(held, 0, NULL) == 0);
	CHECK(cgroup_remove(held, NULL) == -EBUSY);
	/* Back to where this process was: the parent of the parent. */
	for (size_t i = 0; i < held->n; i++) {
		_cleanup_close_ int up = openat(held->dirs[i].parent, "..", O_RDONLY | O_CLOEXEC);
		bool leaf = faccessat(up, CGROUP_LEAF "/cgroup.procs", F_OK, 0) == 0;

		CHECK(cgroup_putu(up, leaf ? CGROUP_LEAF "/cgroup.procs" : "cgroup.procs", (uint64_t)getpid(), 0) == 0);
	}
	CHECK(cgroup_remove(held, NULL) == 0);
}

static bool become_nobody(void)
{
	return setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0;
}

static int as_nobody(void)
{
	_cleanup_err_ struct err *e = NULL;
	struct cgroup *cg = NULL;

	if (!become_nobody())
		return 98;
	if (cgroup_create("x", &all, &cg, &e) != -ENOTSUP || !str_has(err_hints(e)))
		return 1;
	printf("# as user 65534: %s\n# %s\n", err_message(e), err_hints(e));
	(void)fflush(stdout);
	return 0;
}

TEST(an_ordinary_user_is_refused_with_the_way_out)
{
	int status = -1;
	pid_t pid;

	if (geteuid() != 0)
		return;
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(as_nobody());
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int use_handed_over(void)
{
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	struct cgroup_event_counts n;
	int status;

	if (!become_nobody())
		return 98;
	if (cgroup_create("handed", &all, &cg, NULL) < 0)
		return 1;
	status = run_in(cg, hog);
	if (!WIFSIGNALED(status) || cgroup_events(cg, &n, NULL) < 0 || n.oom_kills == 0)
		return 2;
	return cgroup_remove(cg, NULL) == 0 ? 0 : 3;
}

/* What the refusal on v1 tells the user to have done by root. */
TEST(a_v1_folder_handed_over_by_root_works)
{
	_cleanup_cgroup_host_ struct cgroup_host host = {.fake = 0};
	int status = -1;
	pid_t pid;

	CHECK(cgroup_host_read(&host, NULL) == 0);
	if (geteuid() != 0 || !can_limit() || cgroup_choose(&host, &all, NULL) != &cgroup_v1)
		return;
	for (int c = CG_CPU; c <= CG_PIDS; c++) {
		_cleanup_close_ int own = cgroup_open(&host, &host.v1[c], host.v1[c].own);
		_cleanup_close_ int parent = cgroup_make_parent(own);

		CHECK(parent >= 0 && fchown(parent, 65534, 65534) == 0);
	}
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(use_handed_over());
	status = waitpid(pid, &status, 0) == pid ? status : -1;
	for (int c = CG_CPU; c <= CG_PIDS; c++) {
		_cleanup_close_ int own = cgroup_open(&host, &host.v1[c], host.v1[c].own);
		_cleanup_close_ int parent = cgroup_make_parent(own);

		CHECK(fchown(parent, 0, 0) == 0);
	}
	CHECK(WIFEXITED(status));
	printf("# exit %d\n", WEXITSTATUS(status));
	CHECK(WEXITSTATUS(status) == 0);
}

/* The kernel's cgroup2, controllers or not: membership, clone3, kill and removal. */
TEST(v2_membership)
{
	const struct cgroup_limits none = {0, 0, 0};
	_cleanup_cgroup_host_ struct cgroup_host host = {.fake = 0};
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	_cleanup_free_ char *name = test_name("member");
	struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD};
	pid_t *pids = NULL;
	size_t n = 0;
	int status = 0;
	pid_t pid;

	CHECK(cgroup_host_read(&host, NULL) == 0);
	if (!host.v2.dir || cgroup_v2.check(&host, &none, NULL) < 0)
		return;
	CHECK(cgroup_create_on(&host, &cgroup_v2, name, &none, &cg, NULL) == 0);
	args.cgroup = (uint64_t)cgroup_fd(cg);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		_exit(nap());
	CHECK(pid > 0);
	CHECK(cgroup_pids(cgroup_fd(cg), &pids, &n) == 0 && n == 1 && pids[0] == pid);
	free(pids);
	CHECK(mkdirat(cgroup_fd(cg), "made-inside", 0755) == 0);
	CHECK(cgroup_kill(cg, NULL) == 0);
	CHECK(cgroup_remove(cg, NULL) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The fallback of v1 and of kernels without cgroup.kill, on more processes than one batch. */
TEST(kill_rounds)
{
	const struct cgroup_limits none = {0, 0, 0};
	_cleanup_cgroup_host_ struct cgroup_host host = {.fake = 0};
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	_cleanup_free_ char *name = test_name("rounds");
	pid_t pids[300];

	CHECK(cgroup_host_read(&host, NULL) == 0);
	if (!host.v2.dir || cgroup_v2.check(&host, &none, NULL) < 0)
		return;
	CHECK(cgroup_create_on(&host, &cgroup_v2, name, &none, &cg, NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(nap());
		CHECK(pids[i] > 0 && cgroup_add(cg, pids[i], NULL) == 0);
	}
	CHECK(cgroup_kill_rounds(cgroup_fd(cg), cgroup_now_ms() + 10000) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		int status = 0;

		CHECK(waitpid(pids[i], &status, 0) == pids[i] && WIFSIGNALED(status));
	}
	CHECK(cgroup_remove(cg, NULL) == 0);
}

TEST(host_is_parsed)
{
	struct cgroup_host h;

	cgroup_host_parse("12:cpu,cpuacct:/docker/abc\n5:memory:/docker/abc/sub:x\n4:pids:/other\n0::/user.slice/a b\n",
			  "30 23 0:26 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
			  "31 23 0:27 /docker/abc /sys/fs/cgroup/cpu\\040x rw master:1 - cgroup cgroup rw,cpu,cpuacct\n"
			  "32 23 0:28 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
			  "33 23 0:29 /docker/abc /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n"
			  "34 23 0:30 / /x rw - tmpfs cgroup rw,freezer\nbroken line\n\n",
			  &h);
	CHECK_STR(h.v2.dir, "/sys/fs/cgroup/unified");
	CHECK_STR(h.v2.own, "user.slice/a b");
	CHECK_STR(h.v1[CG_CPU].dir, "/sys/fs/cgroup/cpu x");
	CHECK_STR(h.v1[CG_CPU].own, "");
	CHECK_STR(h.v1[CG_MEMORY].own, "sub:x");
	CHECK(h.v1[CG_PIDS].dir && !h.v1[CG_PIDS].own);
	CHECK(!h.v1[CG_FREEZER].dir);
	cgroup_host_release(&h);
}

/* A stand-in for a delegated cgroup v2 scope, of plain files. */
static char *fake_tree(struct cgroup_host *host, const char *own, const char *controllers)
{
	char *root = xstrdup("/tmp/igloo-cgroup-XXXXXX");
	_cleanup_free_ char *cgroup = xasprintf("0::/%s\n", own);
	_cleanup_free_ char *mountinfo = NULL;
	_cleanup_close_ int top = -1;
	_cleanup_close_ int dir = -1;

	CHECK(mkdtemp(root) == root);
	mountinfo = xasprintf("30 23 0:26 / %s rw - cgroup2 cgroup2 rw\n", root);
	cgroup_host_parse(cgroup, mountinfo, host);
	host->fake = O_CREAT;
	top = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = file_make_dirs(top, own, 0755, NULL);
	CHECK(dir >= 0);
	for (int i = 0; i < 2; i++) {
		int at = i ? dir : top;

		CHECK(cgroup_put(at, "cgroup.controllers", controllers, O_CREAT) == 0);
		CHECK(cgroup_put(at, "cgroup.subtree_control", "", O_CREAT) == 0);
		CHECK(cgroup_put(at, "cgroup.events", "populated 0\n", O_CREAT) == 0);
		CHECK(cgroup_put(at, "cgroup.procs", i ? "4242\n" : "", O_CREAT) == 0);
	}
	return root;
}

static void fake_remove(const char *root)
{
	_cleanup_close_ int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(file_remove_tree(tmp, strrchr(root, '/') + 1, NULL) == 0);
}

static bool fake_holds(const char *root, const char *path, const char *want)
{
	_cleanup_free_ char *full = xasprintf("%s/%s", root, path);
	_cleanup_str_ struct str text = STR_INIT;

	if (cgroup_get(AT_FDCWD, full, &text) == 0 && strcmp(str_text(&text), want) == 0)
		return true;
	printf("# %s holds '%s', not '%s'\n", path, str_text(&text), want);
	return false;
}

TEST(fake_v2_divides_a_delegated_scope)
{
	_cleanup_cgroup_host_ struct cgroup_host host = {.fake = 0};
	_cleanup_cgroup_ struct cgroup *cg = NULL;
	_cleanup_free_ char *root = fake_tree(&host, "a/igloo-7-1.scope", "cpu memory pids\n");

	CHECK(cgroup_check_on(&host, &all, NULL) == 0);
	CHECK(cgroup_create_on(&host, &cgroup_v2, "one", &all, &cg, NULL) == 0);
	CHECK(fake_holds(root, "a/igloo-7-1.scope/igloo-supervisor/cgroup.procs", "4242"));
	CHECK(fake_holds(root, "a/igloo-7-1.scope/cgroup.subtree_control", "+cpu +memory +pids"));
	CHECK(fake_holds(root, "a/igloo-7-1.scope/igloo/cgroup.subtree_control", "+cpu +memory +pids"));
	CHECK(fake_holds(root, "a/igloo-7-1.scope/igloo/box-one/cpu.max", "150000 100000"));
	CHECK(fake_holds(root, "a/igloo-7-1.scope/igloo/box-one/memory.max", "67108864"));
	CHECK(fake_holds(root, "a/igloo-7-1.scope/igloo/box-one/memory.swap.max", "0"));
	CHECK(fake_holds(root, "a/igloo-7-1.scope/igloo/box-one/pids.max", "20"));
	CHECK(cgroup_add(cg, 77, NULL) == 0);
	CHECK(fake_holds(root, "a/igloo-7-1.scope/igloo/box-one/cgroup.procs", "77"));
	CHECK(cgroup_remove(cg, NULL) == 0);
	fake_remove(root);
}

TEST(fake_v2_says_which_controller_is_missing)
{
	_cleanup_cgroup_host_ struct cgroup_host host = {.fake = 0};
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *root = fake_tree(&host, "user@1000.service/igloo-7-1.scope", "cpu memory pids\n");
	_cleanup_free_ char *file = xasprintf("%s/user@1000.service/igloo-7-1.scope/cgroup.controllers", root);
	struct cgroup *cg = NULL;

	CHECK(truncate(file, 0) == 0 && cgroup_put(AT_FDCWD, file, "memory pids\n", 0) == 0);
	CHECK(cgroup_create_on(&host, &cgroup_v2, "one", &all, &cg, &e) == -ENOTSUP);
	printf("# %s\n# %s\n", err_message(e), err_hints(e));
	CHECK(str_starts(err_message(e), "cpu limit: the controller was not delegated"));
	CHECK(strstr(err_hints(e), "Delegate=cpu memory pids"));
	fake_remove(root);
}

TEST(fake_split_and_missing_controllers)
{
	struct cgroup_host none = {.fake = 0};
	struct cgroup_host split = {.fake = O_CREAT};
	_cleanup_err_ struct err *e = NULL;

	CHECK(cgroup_check_on(&none, &all, &e) == -ENOTSUP);
	CHECK(strstr(err_message(e), "no cgroup file system is mounted"));
	err_clear(&e);
	split.v1[CG_CPU].dir = xstrdup("/nonexistent");
	CHECK(cgroup_check_on(&split, &all, &e) == -ENOTSUP);
	printf("# %s\n# %s\n", err_message(e), err_hints(e));
	cgroup_host_release(&split);
}

TEST_MAIN()
