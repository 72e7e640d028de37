#include "box/capture.h"

#include "base/log.h"
#include "box/box.h"
#include "box/supervise.h"
#include "sys/childreport.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IN, OUT, ERRORS, REPORT, PIPES, TICK_MS = 250 };

static void say_denied(const struct boxnet *net)
{
	_cleanup_strv_ struct strv notes = STRV_INIT;

	boxnet_notes(net, &notes);
	for (size_t i = 0; i < notes.n; i++)
		log_note("while the environment is resolved: %s", notes.v[i]);
}

/* The box's supervisor, in a fork: exits or dies as the program did. */
static void ATTR_NORETURN supervise_child(const struct capture *c, const int fds[3], int report, pid_t parent)
{
	_cleanup_err_ struct err *e = NULL;
	struct exec x = {
		.flags = EXEC_HAS_FDS, .uid = BOX_UID, .gid = BOX_GID, .cwd = c->cwd, .argv = c->argv, .env = c->env};
	struct supervise_result result = {0};
	struct box *box = NULL;
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	if (getppid() != parent)
		_exit(1); /* killed before that */
	supervise_signals_block();
	r = box_make(c->kind, c->spec, c->slot, c->argv, &box, &e);
	if (r == 0)
		r = box_start(box, &e);
	if (r == 0)
		r = supervise_run(box, &x, fds, NULL, NULL, &result, &e);
	/* Once each time the environment is resolved, and it names the way out. */
	if (box && box->net && r == 0 && (result.how != SUPERVISE_EXITED || result.value != 0))
		say_denied(box->net);
	box_free(box);
	if (r < 0)
		childreport_fail(report, e);
	if (result.how == SUPERVISE_EXITED)
		_exit(result.value);
	supervise_signals_restore();
	(void)signal(result.value, SIG_DFL);
	(void)kill(getpid(), result.value);
	_exit(128 + result.value);
}

/* Writes what stdin takes now; closes it at the end or when nobody reads. */
static void feed(int *fd, const struct str *input, size_t *at)
{
	ssize_t n = input && *at < input->len ? write(*fd, input->p + *at, input->len - *at) : 0;

	if (n > 0)
		*at += (size_t)n;
	if ((n < 0 && errno != EAGAIN && errno != EINTR) || !input || *at == input->len)
		*fd = close_fd(*fd);
}

static int take_output(const struct capture *c, int *fd, struct str *output, size_t *taken, struct err **e)
{
	ssize_t n = read(*fd, str_room(output, 65536), 65536);

	int r;

	if (n > 0) {
		str_grew(output, (size_t)n);
		*taken += (size_t)n;
	} else if (n == 0) {
		*fd = close_fd(*fd);
	}
	if (n > 0 && c->output_fd > 0 && *taken <= c->max_output) {
		r = fd_write_all(c->output_fd, output->p, output->len);
		str_clear(output);
		if (r < 0)
			return err_errno(e, -r, "cannot keep what %s printed", c->argv[0]);
	}
	if (*taken > c->max_output)
		return err_set(e, EFBIG, "%s printed more than %zu bytes", c->argv[0], c->max_output);
	return 0;
}

static void take_errors(const struct capture *c, int *fd)
{
	char bytes[16384];
	ssize_t n = read(*fd, bytes, sizeof(bytes));

	if (n > 0 && c->on_stderr)
		c->on_stderr(c->arg, bytes, (size_t)n);
	else if (n == 0)
		*fd = close_fd(*fd);
}

static int pump(const struct capture *c, int in, int out, int errors, struct str *output, struct err **e)
{
	size_t at = 0;
	size_t taken = 0;
	int r = 0;

	(void)fd_set_nonblock(in, true);
	while (r == 0 && (out >= 0 || errors >= 0)) {
		struct pollfd fds[] = {
			{.fd = in, .events = POLLOUT}, {.fd = out, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
		int n = poll(fds, 3, TICK_MS);

		if (n == 0 && c->on_stderr)
			c->on_stderr(c->arg, "", 0);
		if (n <= 0)
			continue;
		if (fds[0].revents)
			feed(&in, c->input, &at);
		if (fds[1].revents)
			r = take_output(c, &out, output, &taken, e);
		if (fds[2].revents)
			take_errors(c, &errors);
	}
	(void)close_fd(in);
	(void)close_fd(out);
	(void)close_fd(errors);
	return r;
}

int capture_run(const struct capture *c, int *ret_status, struct str *output, struct err **e)
{
	int pipes[PIPES][2] = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	void (*old_pipe)(int);
	const pid_t parent = getpid();
	pid_t pid = -1;
	int status = 0;
	int r = 0;

	for (int i = 0; i < PIPES && r == 0; i++)
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			r = err_errno(e, errno, "cannot make a pipe");
	old_pipe = signal(SIGPIPE, SIG_IGN);
	if (r == 0 && (pid = fork()) < 0)
		r = err_errno(e, errno, "cannot fork");
	if (pid == 0) {
		const int fds[3] = {pipes[IN][0], pipes[OUT][1], pipes[ERRORS][1]};

		(void)signal(SIGPIPE, SIG_DFL);
		/* The caller's ends: the program must see the end of its stdin, the caller that of its output. */
		(void)close(pipes[IN][1]);
		(void)close(pipes[OUT][0]);
		(void)close(pipes[ERRORS][0]);
		supervise_child(c, fds, pipes[REPORT][1], parent);
	}
	for (int i = 0; i < PIPES; i++)
		pipes[i][i != IN] = close_fd(pipes[i][i != IN]);
	if (r == 0)
		r = pump(c, take_fd(&pipes[IN][1]), take_fd(&pipes[OUT][0]), take_fd(&pipes[ERRORS][0]), output, e);
	if (pid > 0 && r < 0)
		(void)kill(pid, SIGTERM);
	if (pid > 0) {
		int k = childreport_wait(pipes[REPORT][0], NULL, r == 0 ? e : NULL);

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		r = r == 0 ? k : r;
	}
	(void)signal(SIGPIPE, old_pipe);
	for (int i = 0; i < PIPES; i++) {
		(void)close_fd(pipes[i][0]);
		(void)close_fd(pipes[i][1]);
	}
	if (r == 0)
		*ret_status = status;
	return r;
}
