#include "guest/child.h"
#include "guest/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REAP_MAX = 256 };

struct command *command_find(struct guest *g, uint32_t stream)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->commands[i].stream == stream)
			return &g->commands[i];
	return NULL;
}

static struct command *find_pid(struct guest *g, pid_t pid)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->commands[i].pid == pid)
			return &g->commands[i];
	return NULL;
}

static void remove_command(struct guest *g, struct command *c)
{
	*c = g->commands[--g->n];
}

/* A pty of the box's own devpts, the size set, its slave opened without looking up a path (TIOCGPTPEER, Linux 4.13)
 * and given to the command's user. Returns 0 or -errno. */
static int open_pty(const struct exec *x, bool chown_it, int *ret_master, int *ret_slave)
{
	struct winsize size = {.ws_row = x->rows, .ws_col = x->cols};
	_cleanup_close_ int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	_cleanup_close_ int slave = -1;
	int locked = 0;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &locked) < 0 || ioctl(master, TIOCSWINSZ, &size) < 0)
		return -errno;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || (chown_it && fchown(slave, x->uid, (gid_t)-1) < 0))
		return -errno;
	*ret_master = take_fd(&master);
	*ret_slave = take_fd(&slave);
	return 0;
}

/* Forks the command and puts it into the table. Takes nothing over but `master`, and that only on
 * success. Returns 0 or -errno. */
static int fork_command(struct guest *g, uint32_t stream, struct child *child, int master)
{
	struct command *c;
	int p[2];
	pid_t pid;

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	child->report = p[1];
	pid = fork();
	if (pid == 0)
		child_run(child);
	if (pid < 0) {
		int r = -errno;

		(void)close(p[0]);
		(void)close(p[1]);
		return r;
	}
	(void)close(p[1]);
	c = &g->commands[g->n++];
	*c = (struct command){.stream = stream, .pid = pid, .state = COMMAND_STARTING, .pipe = p[0], .master = master};
	c->foreground = child->x->flags & EXEC_FOREGROUND;
	c->main = child->x->flags & EXEC_MAIN;
	g->starting++;
	return 0;
}

static int start(struct guest *g, uint32_t stream, struct child *child)
{
	_cleanup_close_ int master = -1;
	_cleanup_close_ int slave = -1;
	int r;

	if (g->closing || g->n == COMMANDS_MAX) {
		guest_send_err(g, stream, g->closing ? ESHUTDOWN : EAGAIN, MSG_STAGE_START);
		return 0;
	}
	if (child->x->flags & EXEC_PTY) {
		r = open_pty(child->x, child->set_user, &master, &slave);
		if (r < 0) {
			guest_send_err(g, stream, -r, MSG_STAGE_PTY);
			return 0;
		}
		child->stdio[0] = child->stdio[1] = child->stdio[2] = slave;
	}
	r = fork_command(g, stream, child, master);
	if (r < 0)
		guest_send_err(g, stream, -r, MSG_STAGE_START);
	else
		(void)take_fd(&master);
	return 0;
}

int command_start(struct guest *g, uint32_t stream, const struct exec *x)
{
	struct child child = {.x = x, .stdio = {-1, -1, -1}, .report = -1, .set_user = g->root};
	int fds[EXEC_FDS] = {-1, -1, -1};
	int r;

	if (command_find(g, stream) || dial_has(g, stream))
		return -EPROTO;
	if (x->flags & EXEC_HAS_FDS) {
		r = link_take_fds(&g->link, fds, EXEC_FDS);
		if (r < 0)
			return r;
		memcpy(child.stdio, fds, sizeof(fds));
	}
	r = start(g, stream, &child);
	for (int i = 0; i < EXEC_FDS; i++)
		(void)close_fd(fds[i]);
	return r;
}

bool command_resolve(struct guest *g, struct command *c)
{
	struct child_report report;
	uint8_t pid[MSG_NUMBER_BYTES];
	ssize_t n = read(c->pipe, &report, sizeof(report));

	if (n < 0)
		return false;
	c->pipe = close_fd(c->pipe);
	g->starting--;
	if (n == sizeof(report)) {
		(void)close_fd(c->master);
		guest_send_err(g, c->stream, (int)report.errnum, report.stage);
		remove_command(g, c);
		return true;
	}
	c->state = COMMAND_RUNNING;
	msg_put_number(pid, (uint32_t)c->pid);
	guest_send(g, c->stream, FRAME_STARTED, pid, sizeof(pid), take_fd(&c->master));
	return true;
}

void command_signal(struct command *c, int signo)
{
	if (c->state == COMMAND_ENDED)
		return;
	/* A child that has not made its session yet is alone, and keeps the signal until execve. */
	if (c->foreground || kill(-c->pid, signo) < 0)
		(void)kill(c->pid, signo);
}

static void send_exit(struct guest *g, const struct command *c)
{
	uint8_t p[MSG_EXIT_BYTES];

	msg_put_exit(p, &c->end);
	guest_send(g, c->stream, FRAME_EXIT, p, sizeof(p), -1);
}

static void ended(struct guest *g, pid_t pid, int status)
{
	struct command *c = find_pid(g, pid);

	/* The child is gone, so its pipe has an end; ERR removes the command. */
	if (c && c->state == COMMAND_STARTING) {
		(void)command_resolve(g, c);
		c = find_pid(g, pid);
	}
	if (!c || c->state != COMMAND_RUNNING)
		return;
	if (WIFSIGNALED(status))
		c->end = (struct msg_exit){MSG_EXIT_SIGNAL, (uint32_t)WTERMSIG(status)};
	else
		c->end = (struct msg_exit){MSG_EXIT_CODE, (uint32_t)WEXITSTATUS(status)};
	if (c->main) {
		c->state = COMMAND_ENDED;
		g->closing = g->draining = true;
		guest_kill_all(SIGKILL);
		return;
	}
	send_exit(g, c);
	remove_command(g, c);
}

/* Nothing runs any more: now the ends of main commands may be told. */
static void drained(struct guest *g)
{
	g->draining = false;
	while (g->n > 0) {
		send_exit(g, &g->commands[0]);
		remove_command(g, &g->commands[0]);
	}
}

enum reaped command_reap(struct guest *g)
{
	for (int i = 0; i < REAP_MAX; i++) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid == 0)
			return REAPED_SOME;
		if (pid < 0) {
			if (g->draining)
				drained(g);
			return REAPED_ALL;
		}
		ended(g, pid, status);
	}
	return REAPED_MORE;
}
