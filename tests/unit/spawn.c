#include "test.h"

#include "base/mem.h"
#include "sys/fd.h"
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static int sh(const char *script, struct spawn *s, struct str *out, struct str *errors, int *status, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct spawn none = {.max_output = 1 << 20};

	if (!s)
		s = &none;
	strv_add(&argv, "sh");
	strv_add(&argv, "-c");
	strv_add(&argv, script);
	s->file = "/bin/sh";
	s->argv = argv.v;
	return spawn_run(s, out, errors, status, e);
}

TEST(output_status_errors)
{
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_str_ struct str errors = STR_INIT;
	int status = -1;

	CHECK(sh("echo a; echo b >&2; read x && echo got; exit 7", NULL, &out, &errors, &status, NULL) == 0);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	CHECK_STR(str_text(&out), "a\n");
	CHECK_STR(str_text(&errors), "b\n");
	CHECK(sh("kill -9 $$", NULL, NULL, NULL, &status, NULL) == 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(input_environment_folder)
{
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_free_ char *big = xcalloc(1, 300000);
	static char a[] = "A=1 2";
	char *envp[] = {a, NULL};
	struct spawn s = {.envp = envp, .dir = "/proc", .input = big, .input_bytes = 300000, .max_output = 1 << 20};
	int status = -1;

	memset(big, 'x', 300000);
	CHECK(sh("echo \"$A,$HOME,$PWD\"; cat", &s, &out, NULL, &status, NULL) == 0);
	CHECK(status == 0);
	CHECK(out.len == 300000 + 11);
	CHECK(str_starts(out.p, "1 2,,/proc\n"));
	/* Not reading it is no error. */
	CHECK(sh("exit 0", &s, NULL, NULL, &status, NULL) == 0 && status == 0);
}

TEST(limits)
{
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_str_ struct str errors = STR_INIT;
	_cleanup_err_ struct err *e = NULL;
	struct spawn s = {.max_output = 100000, .name = "yes"};
	struct timespec a;
	struct timespec b;
	int status = -1;

	CHECK(sh("while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done", &s, &out, NULL, &status, &e) ==
	      -EFBIG);
	CHECK_STR(err_message(e), "yes: printed more than 100000 bytes");
	CHECK(out.len <= 100000);
	err_clear(&e);
	s.time_limit_ms = 300;
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	CHECK(sh("sleep 20 & sleep 20", &s, NULL, NULL, &status, &e) == -ETIMEDOUT);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	CHECK(b.tv_sec - a.tv_sec < 5);
	err_clear(&e);
	/* Only the tail of a long standard error. */
	s.time_limit_ms = 0;
	CHECK(sh("i=0; while [ $i -lt 30000 ]; do echo line-$i; i=$((i+1)); done >&2", &s, NULL, &errors, &status,
		 &e) == 0);
	CHECK(errors.len == SPAWN_STDERR_MAX);
	CHECK(str_ends(errors.p, "\nline-29999\n"));
}

TEST(left_behind)
{
	struct spawn s = {.max_output = 100, .time_limit_ms = 10000};
	_cleanup_str_ struct str out = STR_INIT;
	int status = -1;

	CHECK(sh("sleep 3 & echo done", &s, &out, NULL, &status, NULL) == 0);
	CHECK_STR(str_text(&out), "done\n");
}

TEST(cancel)
{
	int fds[2];
	struct spawn s = {.max_output = 100};
	int status = -1;

	CHECK(pipe2(fds, O_CLOEXEC) == 0);
	CHECK(write(fds[1], "x", 1) == 1);
	s.cancel_fd = fds[0];
	CHECK(sh("sleep 20", &s, NULL, NULL, &status, NULL) == -ECANCELED);
	(void)close_fd(fds[0]);
	(void)close_fd(fds[1]);
}

TEST(clean_child)
{
	_cleanup_str_ struct str out = STR_INIT;
	int leak = dup2(2, 50); /* not CLOEXEC, as an inherited one */
	sigset_t all;
	sigset_t old;
	int status = -1;
	int r;

	CHECK(leak == 50);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &old);
	r = sh("grep -E '^Sig(Blk|Ign)' /proc/self/status; [ -e /proc/$$/fd/50 ] || echo closed; "
	       "read a b c d group rest </proc/$$/stat; [ $group = $$ ] && echo group",
	       NULL, &out, NULL, &status, NULL);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)close_fd(leak);
	CHECK(r == 0);
	/* glibc leaves its two own signals, 32 and 33, ignored. */
	CHECK(strstr(out.p, "SigBlk:\t0000000000000000\nSigIgn:\t00000000") ||
	      strstr(out.p, "SigBlk:\t0000000000000000\nSigIgn:\t0000000180000000\n"));
	CHECK(strstr(out.p, "80000000\n") || strstr(out.p, "SigIgn:\t0000000000000000\n"));
	CHECK(strstr(out.p, "\nclosed\ngroup\n"));
}

TEST(failures)
{
	_cleanup_err_ struct err *e = NULL;
	static char words[3][40] = {"sh", "-c", "printf 'bad\033[1m' >&2; exit 3"};
	char *argv[] = {words[0], words[1], words[2], NULL};
	struct spawn s = {.file = "/nonexistent/x", .argv = argv, .max_output = 10};
	int status = -1;

	CHECK(spawn_run(&s, NULL, NULL, &status, &e) == -ENOENT);
	err_clear(&e);
	s.file = "/etc/passwd";
	CHECK(spawn_run(&s, NULL, NULL, &status, &e) == -EACCES);
	err_clear(&e);
	s.file = "/bin/sh";
	s.dir = "/nonexistent";
	CHECK(spawn_run(&s, NULL, NULL, &status, &e) == -ENOENT);
	err_clear(&e);
	s.dir = NULL;
	s.name = "the test";
	CHECK(spawn_check(&s, NULL, &e) == -EIO);
	CHECK_STR(err_message(e), "the test failed with exit code 3");
	CHECK(strstr(err_details(e), "bad\\x1b[1m"));
}

TEST(find)
{
	static const char *const more[] = {"/bin", NULL};
	const char *old = getenv("PATH");
	_cleanup_free_ char *path = xstrdup(old ? old : "");
	_cleanup_free_ char *a = NULL;
	_cleanup_free_ char *b = NULL;
	_cleanup_free_ char *c = NULL;

	(void)setenv("PATH", ".:bin:/nonexistent", 1);
	a = spawn_find("sh", NULL, NULL);
	b = spawn_find("sh", more, NULL);
	c = spawn_find("sh", more, "/bin");
	(void)setenv("PATH", path, 1);
	CHECK(!a && !c);
	CHECK_STR(b, "/bin/sh");
}

TEST_MAIN()
