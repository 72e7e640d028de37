#include "test.h"

#include "nix/bundlecache.h"
#include "nix/storepath.h"
#include "nix/toolchain.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/spawn.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* The host's own nix and git, made self-contained and run in a root that holds nothing else. */

static char *folder;
static char *cache_path;
static int cache = -1;
static struct toolchain tc;

static int shell(const char *script, struct str *out)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_err_ struct err *e = NULL;
	struct spawn s = {.file = "/bin/sh", .dir = folder, .max_output = 1 << 24, .time_limit_ms = 120000};
	int r;

	strv_add(&argv, "sh");
	strv_add(&argv, "-ec");
	strv_add(&argv, script);
	s.argv = argv.v;
	r = spawn_check(&s, out, &e);
	if (r < 0)
		printf("# %s\n# %s\n", err_message(e), err_details(e));
	return r;
}

static int get(struct toolchain *ret)
{
	_cleanup_err_ struct err *e = NULL;
	int r = toolchain_get(cache, cache_path, NULL, NULL, ret, &e);

	if (r < 0)
		printf("# %s\n# %s\n", err_message(e), err_details(e));
	return r;
}

static double ms_of_get(void)
{
	struct toolchain again = {0};
	struct timespec a;
	struct timespec b;

	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	CHECK(get(&again) == 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	CHECK_STR(again.nix_bin, tc.nix_bin);
	CHECK_STR(again.git_bin, tc.git_bin);
	CHECK_STR(again.version, tc.version);
	CHECK_STR(again.registration.p, tc.registration.p);
	toolchain_release(&again);
	return (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
}

/* Runs `args` (NULL-terminated) in an empty root with the toolchain mounted; -1 and a skip without bubblewrap. */
static int box(struct str *out, struct str *errors, const char *first, ...)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *path = xasprintf("%s:%s", tc.nix_bin, tc.git_bin ? tc.git_bin : "");
	struct spawn s = {.argv = NULL, .max_output = 1 << 24, .time_limit_ms = 60000};
	_cleanup_free_ char *bwrap = spawn_find("bwrap", NULL, NULL);
	static const char *const fixed[] = {"bwrap",  "--unshare-all", "--die-with-parent", "--dev", "/dev",
					    "--proc", "/proc",         "--tmpfs",           "/tmp",  "--dir",
					    "/home",  "--clearenv",    "--setenv",          "HOME",  "/home"};
	int status = -1;
	va_list ap;

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		strv_add(&argv, fixed[i]);
	strv_add(&argv, "--setenv");
	strv_add(&argv, "PATH");
	strv_add(&argv, path);
	/* Nix wants to know its user's name. */
	strv_add(&argv, "--ro-bind");
	strv_addf(&argv, "%s/passwd", folder);
	strv_add(&argv, "/etc/passwd");
	strv_add(&argv, "--bind");
	strv_addf(&argv, "%s/slot", folder);
	strv_add(&argv, "/nix");
	strv_add(&argv, "--bind");
	strv_addf(&argv, "%s/job", folder);
	strv_add(&argv, "/job");
	for (size_t i = 0; i < tc.paths.n; i++) {
		strv_add(&argv, "--ro-bind");
		strv_add(&argv, tc.sources.v[i]);
		strv_add(&argv, tc.paths.v[i]);
	}
	va_start(ap, first);
	for (const char *a = first; a; a = va_arg(ap, const char *))
		strv_add(&argv, a);
	va_end(ap);
	s.file = bwrap ? bwrap : "/usr/bin/bwrap";
	s.argv = argv.v;
	if (spawn_run(&s, out, errors, &status, &e) < 0) {
		printf("# %s\n", err_message(e));
		return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static bool no_box(void)
{
	static int known = -1;

	if (known < 0)
		known = shell("bwrap --unshare-all --ro-bind / / true", NULL) < 0;
	if (known)
		printf("# skipped: bubblewrap does not work here\n");
	return known;
}

TEST(version_words)
{
	static const char *const t[][2] = {{"nix (Nix) 2.8.0\n", "2.8.0"},
					   {"git version 2.39.5 (Apple)\n", "2.39.5"},
					   {"nix (Lix, like Nix) 2.91.1\n", "2.91.1"},
					   {"nix (Nix) 2.34.0pre2025_ab/x", "2.34.0pre2025_ab"}};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		_cleanup_free_ char *v = bundle_version(t[i][0]);

		CHECK_STR(v, t[i][1]);
	}
	CHECK(!bundle_version("nix a2.3"));
}

TEST(made)
{
	CHECK(get(&tc) == 0);
	CHECK(tc.paths.n >= 1 && tc.paths.n == tc.sources.n && tc.roots.n == 0);
	CHECK(storepath_ok(tc.paths.v[0]));
	for (size_t i = 0; i < tc.paths.n; i++)
		printf("# %s\n", tc.paths.v[i]);
}

TEST(warm_is_cheap)
{
	double ms = ms_of_get();

	for (int i = 0; i < 5; i++) {
		double again = ms_of_get();

		ms = again < ms ? again : ms;
	}
	printf("# %.2f ms\n", ms);
	CHECK(ms < 50);
}

TEST(nothing_else_is_left)
{
	_cleanup_str_ struct str out = STR_INIT;

	CHECK(shell("ls -A cache | grep -cv -e '^[0-9a-z]\\{32\\}-igloo-' -e '^index-' -e '^lock$' || true", &out) ==
	      0);
	CHECK_STR(str_text(&out), "0\n");
	out.len = 0;
	CHECK(shell("find cache/*-igloo-* ! -type l ! -perm 0444 ! -perm 0555; find cache/*-igloo-* -newermt @2",
		    &out) == 0);
	CHECK(out.len == 0);
}

TEST(damaged_is_made_anew)
{
	CHECK(shell("cd cache/*-igloo-nix-*/lib; chmod u+w . libc.so.6 libc.musl* 2>/dev/null || true; rm -f libc.so.6 "
		    "libc.musl*",
		    NULL) == 0);
	(void)ms_of_get();
	CHECK(shell("test -e cache/*-igloo-nix-*/lib/libc.so.6 || test -e cache/*-igloo-nix-*/lib/libc.musl*", NULL) ==
	      0);
	CHECK(shell("f=$(echo cache/*-igloo-git-*/bin/git); chmod u+w $f; echo x >>$f", NULL) == 0);
	(void)ms_of_get();
	CHECK(shell("rm cache/index-nix-*; echo garbage >$(ls cache/index-git-*); mkdir -p cache/.tmp-nix/left/over",
		    NULL) == 0);
	(void)ms_of_get();
	CHECK(shell("truncate -s 200 cache/index-git-*", NULL) == 0);
	(void)ms_of_get();
	CHECK(shell("chmod -R u+w cache/*-igloo-nix-*; rm -r cache/*-igloo-nix-*", NULL) == 0);
	(void)ms_of_get();
	(void)ms_of_get();
}

TEST(two_at_once)
{
	pid_t pids[3];

	CHECK(shell("rm cache/index-*", NULL) == 0);
	for (int i = 0; i < 3; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			struct toolchain t = {0};

			_exit(get(&t) == 0 && strcmp(t.nix_bin, tc.nix_bin) == 0 ? 0 : 1);
		}
	}
	for (int i = 0; i < 3; i++) {
		int status = 1;

		CHECK(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
	}
}

TEST(nix_runs)
{
	_cleanup_str_ struct str out = STR_INIT;

	if (no_box())
		return;
	CHECK(box(&out, NULL, "nix", "--version", NULL) == 0);
	CHECK(strstr(out.p, tc.version));
	out.len = 0;
	CHECK(box(&out, NULL, "nix", "eval", "--extra-experimental-features", "nix-command", "--impure", "--expr",
		  "1 + 2", NULL) == 0);
	CHECK_STR(str_text(&out), "3\n");
	out.len = 0;
	CHECK(box(&out, NULL, "nix-instantiate", "--eval", "--expr", "builtins.langVersion", NULL) == 0);
	for (size_t i = 0; i < 2; i++) {
		static const char *const names[] = {"nix-env", "nix-collect-garbage"};

		CHECK(box(NULL, NULL, names[i], "--version", NULL) == 0);
	}
}

TEST(registration_is_right)
{
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_str_ struct str errors = STR_INIT;
	_cleanup_free_ char *file = xasprintf("%s/job/dump", folder);
	_cleanup_close_ int fd = -1;
	int r;

	if (no_box())
		return;
	fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && fd_write_all(fd, tc.registration.p, tc.registration.len) == 0);
	/* --load-db reads its standard input; a Nix expression cannot, so a plain shell hands it over. */
	{
		_cleanup_str_ struct str script = STR_INIT;

		str_addf(&script, "exec bwrap --unshare-all --dev /dev --proc /proc --tmpfs /tmp --ro-bind passwd "
				  "/etc/passwd --clearenv --setenv "
				  "HOME /tmp --bind "
				  "slot /nix");
		for (size_t i = 0; i < tc.paths.n; i++)
			str_addf(&script, " --ro-bind %s %s", tc.sources.v[i], tc.paths.v[i]);
		str_addf(&script, " %s/nix-store --load-db <job/dump", tc.nix_bin);
		CHECK(shell(script.p, NULL) == 0);
	}
	CHECK(box(&out, NULL, "nix-store", "--dump-db", NULL) == 0);
	CHECK(out.len == tc.registration.len);
	for (size_t i = 0; i < tc.paths.n; i++) {
		CHECK(strstr(out.p, tc.paths.v[i]));
		r = box(NULL, &errors, "nix-store", "--verify-path", tc.paths.v[i], NULL);
		if (r != 0)
			printf("# %s\n", str_text(&errors));
		CHECK(r == 0);
	}
	out.len = 0;
	CHECK(box(&out, NULL, "nix-store", "-qR", tc.paths.v[0], NULL) == 0);
	CHECK(str_starts(out.p, tc.paths.v[0]) && out.p[strlen(tc.paths.v[0])] == '\n');
}

TEST(git_flake)
{
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_str_ struct str errors = STR_INIT;
	int r;

	if (no_box() || !tc.git_bin)
		return;
	CHECK(shell("rm -rf job/repo; git init -q job/repo; cd job/repo; echo '{ outputs = _: { answer = "
		    "builtins.readFile ./data; }; }' >flake.nix; printf 42 >data; git add .; git -c user.name=a -c "
		    "user.email=a@b -c commit.gpgsign=false commit -qm x; printf 43 >data; git -c user.name=a -c "
		    "user.email=a@b "
		    "-c commit.gpgsign=false commit -qam y; git rev-parse HEAD~ >../old",
		    NULL) == 0);
	r = box(&out, &errors, "nix", "eval", "--raw", "--extra-experimental-features", "nix-command flakes",
		"git+file:///job/repo#answer", NULL);
	if (r != 0)
		printf("# %s\n", str_text(&errors));
	CHECK(r == 0);
	CHECK_STR(str_text(&out), "43");
	/* With a change that is not committed. */
	out.len = 0;
	CHECK(shell("printf 44 >job/repo/data", NULL) == 0);
	CHECK(box(&out, NULL, "nix", "eval", "--raw", "--extra-experimental-features", "nix-command flakes",
		  "git+file:///job/repo#answer", NULL) == 0);
	CHECK_STR(str_text(&out), "44");
	out.len = 0;
	CHECK(box(&out, NULL, "git", "-C", "/job/repo", "status", "--porcelain", NULL) == 0);
	CHECK_STR(str_text(&out), " M data\n");
	CHECK(box(NULL, NULL, "git", "init", "-q", "/tmp/new", NULL) == 0);
}

TEST(git_helpers)
{
	_cleanup_str_ struct str errors = STR_INIT;
	_cleanup_str_ struct str out = STR_INIT;

	if (no_box() || !tc.git_bin)
		return;
	/* Without a network the failure is the name's, not a missing helper's. */
	CHECK(box(NULL, &errors, "git", "ls-remote", "https://example.invalid/x.git", NULL) == 128);
	printf("# %s", str_text(&errors));
	CHECK(strstr(errors.p, "esolve host"));
	CHECK(box(&out, NULL, "git", "--exec-path", NULL) == 0);
	CHECK(strstr(out.p, "/libexec/git-core\n") && str_starts(out.p, "/nix/store/"));
}

/* A derivation whose builder is in the box: no complaint of a missing build hook. */
TEST(build)
{
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_str_ struct str errors = STR_INIT;
	_cleanup_free_ char *expr = NULL;
	int r;

	if (no_box() || !tc.git_bin)
		return;
	expr = xasprintf("derivation { name = \"x\"; system = builtins.currentSystem; builder = \"%s/git\"; args = [ "
			 "\"init\" \"-q\" (placeholder \"out\") ]; }",
			 tc.git_bin);
	r = box(&out, &errors, "nix-build", "--option", "sandbox", "false", "--option", "build-users-group", "",
		"--option", "substitute", "false", "--no-out-link", "--expr", expr, NULL);
	CHECK(r == 0);
	CHECK(!strstr(str_text(&errors), "hook"));
}

TEST(prune)
{
	struct bundlecache c = {cache, cache_path};
	_cleanup_strv_ struct strv keep = STRV_INIT;

	strv_add(&keep, storepath_base(tc.paths.v[0]));
	CHECK(bundlecache_prune(&c, &keep, NULL) == 0);
	CHECK(shell("test \"$(ls cache | grep -c -e '-igloo-')\" = 1", NULL) == 0);
	(void)ms_of_get();
}

TEST(named)
{
	_cleanup_err_ struct err *e = NULL;
	struct toolchain t = {0};
	_cleanup_free_ char *other = xasprintf("%s/root/usr/bin/nix", folder);

	(void)setenv("IGLOO_NIX", "nix", 1);
	CHECK(toolchain_get(cache, cache_path, NULL, NULL, &t, &e) == -EINVAL);
	err_clear(&e);
	(void)setenv("IGLOO_NIX", "/nonexistent/nix", 1);
	CHECK(toolchain_get(cache, cache_path, NULL, NULL, &t, &e) == -ENOENT);
	err_clear(&e);
	(void)setenv("IGLOO_NIX", "/bin/sh", 1);
	CHECK(toolchain_get(cache, cache_path, NULL, NULL, &t, &e) == -ENOENT);
	err_clear(&e);
	/* A root of its own, whose libraries the system's loader would not find: the same files, so the same path. */
	if (!str_starts(tc.nix_bin, tc.paths.v[0]) || shell("test -e cache/*-igloo-nix-*/lib/ld.so", NULL) < 0)
		return;
	CHECK(shell("mkdir -p root/usr/bin root/usr/lib64; ln -s lib64 root/usr/lib; cd cache/*-igloo-nix-*; cp -P "
		    "lib/* "
		    "../../root/usr/lib64; cp programs/nix ../../root/usr/bin; cp -P bin/nix-* ../../root/usr/bin",
		    NULL) == 0);
	(void)setenv("IGLOO_NIX", other, 1);
	CHECK(get(&t) == 0);
	CHECK_STR(t.nix_bin, tc.nix_bin);
	CHECK(shell("grep -q \"^S .*root/usr/lib64/libc\" cache/index-nix-*", NULL) == 0);
	toolchain_release(&t);
	(void)unsetenv("IGLOO_NIX");
}

TEST(none)
{
	_cleanup_err_ struct err *e = NULL;
	struct toolchain t = {0};
	char *path = xstrdup(getenv("PATH"));
	int r;

	(void)setenv("PATH", "/nonexistent", 1);
	/* Everything is below it, so no program may be used. */
	r = toolchain_get(cache, cache_path, NULL, "/usr", &t, &e);
	(void)setenv("PATH", path, 1);
	free(path);
	if (r == 0) { /* a Nix outside of /usr */
		toolchain_release(&t);
		return;
	}
	CHECK(r == -ENOENT);
	CHECK(strstr(err_hints(e), "apt install nix-bin"));
}

static void remove_all(void)
{
	_cleanup_close_ int parent = -1;
	char *slash = strrchr(folder, '/');

	toolchain_release(&tc);
	*slash = '\0';
	parent = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)file_remove_tree(parent, slash + 1, NULL);
	free(folder);
	free(cache_path);
}

__attribute__((constructor(101))) static void start(void)
{
	_cleanup_free_ char *nix = spawn_find("nix", NULL, NULL);
	const char *tmp = getenv("TMPDIR");

	if (!nix) {
		printf("1..0 # SKIP no Nix on this machine\n");
		exit(0);
	}
	(void)unsetenv("IGLOO_NIX");
	folder = xasprintf("%s/igloo-toolchain-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(folder) ||
	    shell("mkdir -p cache slot/store slot/var job; echo \"root:x:$(id -u):$(id -g)::/home:/bin/sh\" >passwd",
		  NULL) < 0)
		exit(1);
	cache_path = xasprintf("%s/cache", folder);
	cache = open(cache_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)atexit(remove_all);
}

TEST_MAIN()
