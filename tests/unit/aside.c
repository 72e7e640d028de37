#include "test.h"

#include "sys/aside.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int touched;

static int answers(void *arg, struct str *answer, struct err **e)
{
	(void)e;
	touched = 1;
	str_addf(answer, "%s\n%d", (const char *)arg, (int)(getpid() != getppid()));
	return 7;
}

TEST(gives_the_answer_and_nothing_else)
{
	_cleanup_str_ struct str answer = STR_INIT;
	_cleanup_err_ struct err *e = NULL;
	char word[] = "word";

	CHECK(aside_run(answers, word, &answer, &e) == 7);
	CHECK_STR(str_text(&answer), "word\n1");
	CHECK(e == NULL);
	CHECK(touched == 0);
	CHECK(aside_run(answers, word, NULL, NULL) == 7);
}

static int fails(void *arg, struct str *answer, struct err **e)
{
	_cleanup_free_ char *details = xcalloc(100001, 1);

	(void)arg;
	memset(details, 'x', 100000);
	str_adds(answer, "so far");
	(void)err_set(e, ENOENT, "no 100%% of it");
	(void)err_hint(e, "do this");
	(void)err_hint(e, "or that");
	(void)err_detail(e, details);
	return err_exit_code(e, 127);
}

TEST(the_error_comes_whole)
{
	_cleanup_str_ struct str answer = STR_INIT;
	_cleanup_err_ struct err *e = NULL;

	CHECK(aside_run(fails, NULL, &answer, &e) == -ENOENT);
	CHECK(e && err_number(e) == ENOENT && err_exit(e) == 127);
	CHECK_STR(err_message(e), "no 100% of it");
	CHECK_STR(err_hints(e), "do this\nor that");
	CHECK(strlen(err_details(e)) == 100000);
	CHECK_STR(str_text(&answer), "so far");
	CHECK(aside_run(fails, NULL, NULL, NULL) == -ENOENT);
}

static int dies(void *arg, struct str *answer, struct err **e)
{
	(void)arg;
	(void)answer;
	(void)e;
	(void)raise(SIGKILL);
	return 0;
}

static int too_much(void *arg, struct str *answer, struct err **e)
{
	_cleanup_free_ char *text = xcalloc(3 * (size_t)ASIDE_ANSWER_MAX, 1);

	(void)arg;
	(void)e;
	str_add(answer, text, 3 * (size_t)ASIDE_ANSWER_MAX);
	return 0;
}

TEST(a_killed_child_is_an_error)
{
	_cleanup_str_ struct str answer = STR_INIT;
	_cleanup_err_ struct err *e = NULL;

	CHECK(aside_run(dies, NULL, NULL, &e) == -EIO);
	CHECK(e && strstr(err_message(e), "killed by signal 9"));
	CHECK(aside_run(too_much, NULL, &answer, NULL) == 0);
	CHECK(answer.len == ASIDE_ANSWER_MAX);
}

static int waits(void *arg, struct str *answer, struct err **e)
{
	const int *to = arg;
	const pid_t self = getpid();

	(void)answer;
	(void)e;
	if (write(*to, &self, sizeof(self)) != (ssize_t)sizeof(self))
		_exit(1);
	for (;;)
		(void)pause();
}

TEST(the_child_dies_with_its_parent)
{
	int fds[2];
	int status;
	pid_t worker = 0;
	pid_t parent;
	char byte;

	CHECK(pipe(fds) == 0);
	parent = fork();
	if (parent == 0) {
		(void)close(fds[0]);
		_exit(aside_run(waits, &fds[1], NULL, NULL) != 0);
	}
	(void)close(fds[1]);
	CHECK(read(fds[0], &worker, sizeof(worker)) == (ssize_t)sizeof(worker));
	CHECK(worker > 0 && kill(parent, SIGKILL) == 0);
	CHECK(waitpid(parent, &status, 0) == parent);
	/* The pipe ends when the last process that has it does. */
	CHECK(read(fds[0], &byte, 1) == 0);
	(void)close(fds[0]);
}

TEST_MAIN()
