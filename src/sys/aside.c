#include "sys/aside.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What stands before the texts, which follow in the order of their lengths. */
struct head {
	int32_t result;
	int32_t errnum; /* 0: no error object */
	int32_t exit_code;
	uint32_t message, hints, details, answer;
};

static uint32_t length(const char *text)
{
	size_t n = strlen(text);

	return n > ASIDE_ANSWER_MAX ? ASIDE_ANSWER_MAX : (uint32_t)n;
}

static void ATTR_NORETURN child(int fd, int (*work)(void *, struct str *, struct err **), void *arg)
{
	struct str answer = STR_INIT;
	struct str report = STR_INIT;
	struct err *e = NULL;
	struct head head = {.result = work(arg, &answer, &e)};

	if (head.result < 0 && e) {
		head.errnum = err_number(e);
		head.exit_code = err_exit(e);
		head.message = length(err_message(e));
		head.hints = length(err_hints(e));
		head.details = length(err_details(e));
	}
	head.answer = answer.len > ASIDE_ANSWER_MAX ? ASIDE_ANSWER_MAX : (uint32_t)answer.len;
	str_add(&report, &head, sizeof(head));
	if (head.errnum) {
		str_add(&report, err_message(e), head.message);
		str_add(&report, err_hints(e), head.hints);
		str_add(&report, err_details(e), head.details);
	}
	str_add(&report, str_text(&answer), head.answer);
	(void)fd_write_all(fd, report.p, report.len);
	(void)fflush(NULL);
	_exit(0);
}

static int take(const struct str *report, struct str *answer, struct err **e)
{
	struct head head;
	const char *text = report->p + sizeof(head);
	uint64_t want;

	if (report->len < sizeof(head))
		return err_set(e, EIO, "a process of igloo's own ended without an answer");
	memcpy(&head, report->p, sizeof(head));
	want = (uint64_t)head.message + head.hints + head.details + head.answer;
	if (report->len - sizeof(head) != want)
		return err_set(e, EIO, "a process of igloo's own ended within its answer");
	if (head.errnum > 0) {
		(void)err_set(e, head.errnum, "%.*s", (int)head.message, text);
		(void)err_exit_code(e, head.exit_code);
		if (head.hints > 0)
			(void)err_hint(e, "%.*s", (int)head.hints, text + head.message);
		if (head.details > 0) {
			_cleanup_free_ char *details = xstrndup(text + head.message + head.hints, head.details);

			(void)err_detail(e, details);
		}
	}
	if (answer)
		str_add(answer, text + want - head.answer, head.answer);
	return head.result;
}

int aside_run(int (*work)(void *arg, struct str *answer, struct err **e), void *arg, struct str *answer, struct err **e)
{
	_cleanup_str_ struct str report = STR_INIT;
	_cleanup_close_ int from = -1;
	_cleanup_close_ int to = -1;
	const pid_t parent = getpid();
	int fds[2];
	int status = 0;
	pid_t pid;
	int r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	from = fds[0];
	to = fds[1];
	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		return err_errno(e, errno, "fork");
	if (pid == 0) {
		(void)close(take_fd(&from));
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
		child(to, work, arg);
	}
	(void)close(take_fd(&to));
	r = fd_read_all(from, (size_t)5 * ASIDE_ANSWER_MAX, &report, e);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return r;
	if (report.len == 0 && WIFSIGNALED(status))
		return err_set(e, EIO, "a process of igloo's own was killed by signal %d", WTERMSIG(status));
	return take(&report, answer, e);
}
