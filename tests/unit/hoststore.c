#include "test.h"

#include "nixroot.h"

#include "nix/hoststore.h"
#include "nix/toolchain.h"
#include "sys/fd.h"

#include <sys/stat.h>
#include <time.h>

#define MISSING "/nix/store/00000000000000000000000000000000-missing"

static struct str leaf = STR_INIT;
static struct str top_path = STR_INIT;

TEST(none)
{
	struct hoststore *hs = NULL;
	struct strv paths = STRV_INIT;
	struct strv got = STRV_INIT;

	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && !hs); /* no /nix/store */
	CHECK(mkdir("/nix/store", 0755) == 0);
	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && !hs); /* no database */
	strv_add(&paths, MISSING);
	CHECK(hoststore_valid(NULL, &paths, &got, NULL) == 0 && got.n == 0);
	CHECK(hoststore_closure(NULL, &paths, &got, NULL) == -ENOENT);
	strv_release(&paths);
}

/* Two files, one of which names the other. */
TEST(fill)
{
	CHECK(shell("echo leaf >/nix/leaf; nix-store --add /nix/leaf", &leaf) == 0);
	CHECK(shell("nix-instantiate --read-write-mode --eval --strict --expr 'builtins.toFile \"top\" "
		    "\"${builtins.toFile \"leaf2\" \"x\"}\"' | tr -d '\"'",
		    &top_path) == 0);
}

static void ask(void)
{
	_cleanup_hoststore_ struct hoststore *hs = NULL;
	_cleanup_strv_ struct strv want = STRV_INIT;
	_cleanup_strv_ struct strv valid = STRV_INIT;
	_cleanup_strv_ struct strv closure = STRV_INIT;
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_err_ struct err *e = NULL;

	CHECK(hoststore_open(NULL, &hs, &e) == 0 && hs);
	strv_add(&want, top_path.p);
	strv_add(&want, MISSING);
	strv_add(&want, "/etc/passwd");
	strv_add(&want, "/nix/store/11111111111111111111111111111111-not-registered");
	strv_add(&want, leaf.p);
	strv_add(&want, leaf.p);
	CHECK(hoststore_valid(hs, &want, &valid, &e) == 0);
	CHECK(valid.n == 2 && strv_has(&valid, leaf.p) && strv_has(&valid, top_path.p));
	CHECK(hoststore_closure(hs, &valid, &closure, &e) == 0);
	CHECK(closure.n == 3);
	CHECK(hoststore_registration(hs, &closure, &text, &e) == 0);
	CHECK(strstr(text.p, top_path.p) && strstr(text.p, leaf.p) && strstr(text.p, "-leaf2\n"));
	CHECK(hoststore_closure(hs, &want, &closure, &e) == -EINVAL);
}

TEST(local)
{
	CHECK(close(open("/nix/store/11111111111111111111111111111111-not-registered", O_CREAT | O_WRONLY, 0444)) == 0);
	ask();
}

TEST(registration_loads)
{
	_cleanup_hoststore_ struct hoststore *hs = NULL;
	_cleanup_strv_ struct strv paths = STRV_INIT;
	_cleanup_strv_ struct strv closure = STRV_INIT;
	_cleanup_str_ struct str text = STR_INIT;
	FILE *f;

	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && hs);
	strv_add(&paths, top_path.p);
	CHECK(hoststore_closure(hs, &paths, &closure, NULL) == 0);
	CHECK(hoststore_registration(hs, &closure, &text, NULL) == 0);
	f = fopen("/nix/dump", "we");
	CHECK(f && fwrite(text.p, 1, text.len, f) == text.len && fclose(f) == 0);
	CHECK(shell("export NIX_STATE_DIR=/nix/other; nix-store --load-db </nix/dump; "
		    "nix-store --check-validity $(sed -n 1p /nix/dump); nix-store --dump-db >/nix/again; "
		    "sort /nix/dump >/nix/a; sort /nix/again >/nix/b; cmp /nix/a /nix/b",
		    NULL) == 0);
	/* Another store's variables are no way to the host's. */
	(void)setenv("NIX_STATE_DIR", "/nix/other", 1);
	hoststore_free(take_ptr(hs));
	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && !hs);
	(void)unsetenv("NIX_STATE_DIR");
	(void)setenv("NIX_REMOTE", "ssh://elsewhere", 1);
	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && !hs);
	(void)unsetenv("NIX_REMOTE");
}

TEST(roots_and_collection)
{
	_cleanup_hoststore_ struct hoststore *hs = NULL;
	_cleanup_strv_ struct strv paths = STRV_INIT;
	_cleanup_strv_ struct strv valid = STRV_INIT;
	_cleanup_err_ struct err *e = NULL;

	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && hs);
	strv_add(&paths, leaf.p);
	strv_add(&paths, top_path.p);
	CHECK(mkdir("/nix/links", 0755) == 0);
	CHECK(hoststore_root(hs, &paths, "/nix/links/r", &e) == 0);
	CHECK(hoststore_root(hs, &paths, "/nix/links/r", &e) == 0);
	CHECK(shell("nix-store --gc; ls -l /nix/links; nix-store --check-validity $(readlink /nix/links/r) "
		    "$(readlink /nix/links/r-2)",
		    NULL) == 0);
	CHECK(hoststore_valid(hs, &paths, &valid, NULL) == 0 && valid.n == 2);
}

TEST(many)
{
	_cleanup_hoststore_ struct hoststore *hs = NULL;
	_cleanup_strv_ struct strv paths = STRV_INIT;
	_cleanup_strv_ struct strv valid = STRV_INIT;

	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && hs);
	for (int i = 0; i < 20000; i++) {
		_cleanup_free_ char *p = xasprintf("/nix/store/2222222222222222222222222%07d-a-path-with-a-name", i);

		CHECK(close(open(p, O_CREAT | O_WRONLY | O_CLOEXEC, 0444)) == 0);
		strv_add(&paths, p);
	}
	strv_add(&paths, leaf.p);
	CHECK(hoststore_valid(hs, &paths, &valid, NULL) == 0);
	CHECK(valid.n == 1);
	CHECK(shell("rm -f /nix/store/2222222222222222222222222*", NULL) == 0);
}

/* A Nix that lies in the store (here a self-contained one that was added to it) is used with its closure. */
TEST(nix_of_the_store)
{
	_cleanup_hoststore_ struct hoststore *hs = NULL;
	_cleanup_toolchain_ struct toolchain made = {0};
	_cleanup_toolchain_ struct toolchain t = {0};
	_cleanup_close_ int cache = -1;
	_cleanup_str_ struct str added = STR_INIT;
	_cleanup_free_ char *script = NULL;
	_cleanup_free_ char *named = NULL;
	_cleanup_free_ char *bin = NULL;
	_cleanup_err_ struct err *e = NULL;

	CHECK(mkdir("/nix/cache", 0755) == 0);
	cache = open("/nix/cache", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(toolchain_get(cache, "/nix/cache", NULL, NULL, &made, &e) == 0);
	script = xasprintf("nix-store --add-fixed --recursive sha256 %s", made.sources.v[0]);
	CHECK(shell(script, &added) == 0);
	named = xasprintf("%s/bin/nix", added.p);
	bin = xasprintf("%s/bin", added.p);
	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && hs);
	(void)setenv("IGLOO_NIX", named, 1);
	CHECK(toolchain_get(cache, "/nix/cache", hs, NULL, &t, &e) == 0);
	(void)unsetenv("IGLOO_NIX");
	CHECK_STR(t.nix_bin, bin);
	CHECK_STR(t.version, made.version);
	CHECK(t.roots.n == 1 && strcmp(t.roots.v[0], added.p) == 0);
	CHECK(t.paths.n == made.paths.n && strcmp(t.sources.v[0], t.paths.v[0]) == 0);
	CHECK(str_starts(t.registration.p, added.p));
	if (made.git_bin)
		CHECK_STR(t.git_bin, made.git_bin);
}

static pid_t start_daemon(void)
{
	pid_t pid = fork();
	struct stat st;

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)unsetenv("NIX_REMOTE"); /* else it calls itself without end */
		(void)execlp("nix-daemon", "nix-daemon", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 200 && stat("/nix/var/nix/daemon-socket/socket", &st) < 0; i++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	(void)nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	return pid;
}

TEST(daemon)
{
	struct hoststore *hs = NULL;
	pid_t pid;

	(void)setenv("NIX_REMOTE", "daemon", 1);
	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && !hs);
	pid = start_daemon();
	ask();
	(void)unsetenv("NIX_REMOTE");
	if (geteuid() == 0) {
		/* An ordinary user whose host has a root-owned store. */
		pid_t user = fork();
		int status = 1;

		if (user == 0) {
			if (setgid(65534) < 0 || setuid(65534) < 0)
				_exit(2);
			(void)setenv("HOME", "/nonexistent", 1);
			if (setjmp(test_failed) == 0) {
				struct strv p = STRV_INIT;

				ask();
				CHECK(shell("mkdir -p /tmp/igloo-hoststore-roots", NULL) == 0);
				CHECK(hoststore_open(NULL, &hs, NULL) == 0 && hs);
				strv_add(&p, leaf.p);
				CHECK(hoststore_root(hs, &p, "/tmp/igloo-hoststore-roots/r", NULL) == 0);
				(void)fflush(stdout);
				_exit(0);
			}
			(void)fflush(stdout);
			_exit(1);
		}
		CHECK(waitpid(user, &status, 0) == user && status == 0);
		CHECK(shell("nix-store --gc --print-roots | grep -F igloo-hoststore-roots/r; rm -r "
			    "/tmp/igloo-hoststore-roots",
			    NULL) == 0);
	}
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

TEST(no_daemon_for_a_user)
{
	pid_t user;
	int status = 1;

	if (geteuid() != 0)
		return;
	user = fork();
	if (user == 0) {
		struct hoststore *hs = NULL;
		struct strv paths = STRV_INIT;
		struct strv valid = STRV_INIT;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		/* Its socket was left, which only asking shows. */
		strv_add(&paths, leaf.p);
		if (hoststore_open(NULL, &hs, NULL) < 0 || hoststore_valid(hs, &paths, &valid, NULL) < 0 || valid.n > 0)
			_exit(1);
		_exit(0);
	}
	CHECK(waitpid(user, &status, 0) == user && status == 0);
	CHECK(shell("rm /nix/var/nix/daemon-socket/socket", NULL) == 0);
	status = 1;
	user = fork();
	if (user == 0) {
		struct hoststore *hs = NULL;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		_exit(hoststore_open(NULL, &hs, NULL) == 0 && !hs ? 0 : 1);
	}
	CHECK(waitpid(user, &status, 0) == user && status == 0);
}

TEST(corrupt_database)
{
	_cleanup_hoststore_ struct hoststore *hs = NULL;
	_cleanup_strv_ struct strv paths = STRV_INIT;
	_cleanup_strv_ struct strv valid = STRV_INIT;
	_cleanup_err_ struct err *e = NULL;

	CHECK(shell("echo garbage >/nix/var/nix/db/schema", NULL) == 0);
	CHECK(hoststore_open(NULL, &hs, NULL) == 0 && hs);
	strv_add(&paths, leaf.p);
	CHECK(hoststore_valid(hs, &paths, &valid, &e) == 0 && valid.n == 0 && !e);
	CHECK(hoststore_closure(hs, &paths, &valid, &e) == -EIO);
	CHECK(str_has(err_details(e)));
}

TEST_MAIN()
