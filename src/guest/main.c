/* The guest: PID 1 of every box.
 *
 * Theory of operation. `igloo-guest FD` is executed with everything that seals the box already in
 * place; FD is a connected unix stream socket to igloo. One loop without threads: ppoll() on the
 * socket, on the pipes of commands that are being started and on sockets that are being connected, with SIGCHLD let in
 * only while it waits. The guest parses nothing but frames, and the only memory that grows is bounded: one EXEC being
 * received (8 MiB), the table of commands, the unsent frames.
 *
 * A command is a fork and an execve. A CLOEXEC pipe between them tells what became of the execve without the
 * guest waiting for it: its end alone means STARTED, anything in it is an ERR. EXIT comes from
 * waitpid(). What is reaped and in no table is an orphan of the box: PID 1 reaps it and says nothing.
 *
 * A main command that ended takes the box with it: everything is killed, and its EXIT is held back
 * until waitpid() says ECHILD. As PID 1 the guest is sooner or later the parent of every process of
 * the box, so ECHILD means that nothing runs. kill(-1) cannot miss a process that is just being
 * forked: fork() fails under a pending SIGKILL. Should a process be beyond the guest's permission
 * or stuck in the kernel, EXIT does not come; the host has its own deadline and kills the guest.
 *
 * The end of the connection, for whatever reason, is the end of the box: the guest kills everything
 * and leaves, and when PID 1 leaves the kernel kills what there still is. Exit codes: 0 after
 * SHUTDOWN or when the host closed the connection, 1 after a protocol error or a host that does not
 * read, 125 when it could not start.
 *
 * The same program has two more parts to play in a box that is a machine: vmhost.c, as PID 1 of the box around it, and
 * vminit.c, as /init in it, which starts a guest of this kind as PID 1 of a namespace there. And one in every box: a
 * command that copies files (copy.h).
 *
 * The starter sets PR_SET_PDEATHSIG; that the starter may have died before that needs no check here
 * (getppid() is 0 in a new PID namespace anyway): the socket then is at its end. */
#include "guest/copy.h"
#include "guest/guest.h"
#include "guest/vm.h"

#include "base/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { LAST_WORDS_MS = 1000, EXIT_BROKEN = 1, EXIT_START = 125 };

static struct guest guest;
static volatile sig_atomic_t child_ended;

/* The kernel's own call: a C library refuses its internal signals (32 and up), which a caller that was started by
 * posix_spawn has ignored. struct sigaction of the kernel: handler, flags, restorer, mask; all zero is the default. */
static void set_default(int signo)
{
	const unsigned long act[4] = {0, 0, 0, 0};

	(void)syscall(SYS_rt_sigaction, signo, act, NULL, 8);
}

static void on_sigchld(int signo)
{
	child_ended = 1;
}

void guest_die(const char *what)
{
	struct str s = STR_INIT;

	str_adds(&s, "igloo-guest: ");
	str_adds(&s, what);
	str_addc(&s, '\n');
	(void)fd_write_all(STDERR_FILENO, s.p, s.len);
	_exit(EXIT_START);
}

void guest_send(struct guest *g, uint32_t stream, enum frame_type type, const void *payload, size_t n, int master)
{
	if (link_send(&g->link, stream, type, 0, payload, n, &master, master >= 0) < 0)
		g->broken = true;
}

void guest_send_err(struct guest *g, uint32_t stream, int errnum, enum msg_stage stage)
{
	struct msg_err m = {.errnum = (uint32_t)errnum, .stage = stage};
	uint8_t p[MSG_ERR_BYTES];

	msg_put_err(p, &m);
	guest_send(g, stream, FRAME_ERR, p, sizeof(p), -1);
}

void guest_kill_all(int signo)
{
	(void)kill(-1, signo);
}

static void ATTR_NORETURN leave(int code)
{
	guest_kill_all(SIGKILL);
	_exit(code);
}

/* A frame that makes no sense: say so, then as if the connection had ended. */
static void ATTR_NORETURN protocol_error(struct guest *g)
{
	guest_kill_all(SIGKILL);
	guest_send_err(g, 0, EPROTO, MSG_STAGE_PROTOCOL);
	(void)link_drain(&g->link, LAST_WORDS_MS);
	leave(EXIT_BROKEN);
}

int64_t guest_now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

static void on_shutdown(struct guest *g, uint32_t grace_ms)
{
	int64_t at = guest_now_ms() + grace_ms + 1; /* the clock is cut to whole ms; grace is not to be shorter */

	if (!g->shutdown || at < g->kill_at)
		g->kill_at = at;
	g->closing = g->shutdown = true;
	guest_kill_all(SIGTERM);
	guest_kill_all(SIGCONT);
	child_ended = 1; /* there may be nobody to wait for */
}

static int on_exec(struct guest *g, const struct frame *f)
{
	struct exec x;
	int r = exec_feed(&g->parts, f, &x);

	if (r <= 0)
		return r;
	r = command_start(g, f->stream, &x);
	exec_release(&x);
	return r;
}

static int on_frame(struct guest *g, const struct frame *f)
{
	struct command *c;
	uint16_t port;
	int r, signo;

	switch (f->type) {
	case FRAME_EXEC:
		return on_exec(g, f);
	case FRAME_SIGNAL:
		r = msg_get_signal(f, &signo);
		c = command_find(g, f->stream);
		if (r == 0 && c)
			command_signal(c, signo);
		return r;
	case FRAME_DIAL:
		r = msg_get_port(f, &port);
		return r < 0 ? r : dial_start(g, f->stream, port);
	case FRAME_ACCEPT:
		return accept_start(g, f->stream);
	case FRAME_SHUTDOWN:
		on_shutdown(g, msg_get_grace(f));
		return 0;
	case FRAME_RESIZE: /* the host has the terminal itself */
		return f->stream ? 0 : -EPROTO;
	case FRAME_PING:
		guest_send(g, 0, FRAME_PONG, f->payload, f->len, -1);
		return 0;
	default:
		return -EPROTO;
	}
}

/* Handles the frames that were received, as long as commands may be started. Returns true when
 * there are no more of them, so that it is time to receive. */
static bool handle_frames(struct guest *g)
{
	while (g->starting < STARTING_MAX) {
		struct frame f;
		int r = link_next(&g->link, g->parts.stream != 0, &f);

		if (r == 0)
			return true;
		if (r < 0 || on_frame(g, &f) < 0)
			protocol_error(g);
	}
	return false;
}

static void handle_children(struct guest *g)
{
	enum reaped r;

	if (g->kill_at > 0 && guest_now_ms() >= g->kill_at) {
		guest_kill_all(SIGKILL);
		g->kill_at = 0;
	}
	if (!child_ended)
		return;
	child_ended = 0;
	r = command_reap(g);
	if (r == REAPED_MORE)
		child_ended = 1;
	if (r == REAPED_ALL && g->shutdown) {
		(void)link_drain(&g->link, LAST_WORDS_MS);
		leave(0);
	}
}

/* When something is to be done that nobody tells; 0: never. */
static int64_t next_time(const struct guest *g)
{
	int64_t dial = dial_next_time(g);

	return g->kill_at > 0 && (dial == 0 || g->kill_at < dial) ? g->kill_at : dial;
}

static void wait_for_something(struct guest *g, bool receive)
{
	struct pollfd p[1 + STARTING_MAX + DIALS_MAX + 1] = {{.fd = g->link.fd}};
	uint32_t streams[1 + STARTING_MAX];
	struct timespec timeout = {0};
	nfds_t n = 1, n_commands, n_dials;
	int64_t at = child_ended ? guest_now_ms() : next_time(g);
	int64_t left = at - guest_now_ms();
	sigset_t mask;

	p[0].events = (short)((receive ? POLLIN : 0) | (link_pending(&g->link) ? POLLOUT : 0));
	for (size_t i = 0; i < g->n && g->starting > 0; i++) {
		if (g->commands[i].state != COMMAND_STARTING)
			continue;
		streams[n] = g->commands[i].stream;
		p[n++] = (struct pollfd){.fd = g->commands[i].pipe, .events = POLLIN};
	}
	n_commands = n;
	for (size_t i = 0; i < g->n_dials; i++)
		p[n++] = (struct pollfd){.fd = g->dials[i].fd, .events = POLLOUT};
	n_dials = n;
	if (g->accepts)
		p[n++] = (struct pollfd){.fd = g->listener, .events = POLLIN};
	if (left > 0)
		timeout = (struct timespec){.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
	(void)sigfillset(&mask);
	(void)sigdelset(&mask, SIGCHLD);
	if (ppoll(p, n, at > 0 ? &timeout : NULL, &mask) <= 0)
		return;
	if (n > n_dials && p[n_dials].revents)
		accept_resolve(g);
	/* From the last, because the last takes the place of one that is removed. */
	for (nfds_t i = n_dials; i-- > n_commands;)
		if (p[i].revents)
			dial_resolve(g, i - n_commands);
	for (nfds_t i = 1; i < n_commands; i++)
		if (p[i].revents)
			(void)command_resolve(g, command_find(g, streams[i]));
	if (p[0].revents & POLLIN) {
		int r = link_receive(&g->link);

		if (r <= 0 && r != -EAGAIN)
			leave(0);
	} else if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL)) {
		leave(0);
	}
}

static void ATTR_NORETURN loop(struct guest *g)
{
	for (;;) {
		bool receive = handle_frames(g);

		handle_children(g);
		dial_again(g);
		if (g->broken || link_flush(&g->link) < 0)
			leave(EXIT_BROKEN);
		wait_for_something(g, receive);
	}
}

/* Execve keeps ignored signals, so a starter that ignores SIGPIPE or SIGHUP would hand that down to every command. */
void guest_set_signals(void)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 1; i < NSIG; i++)
		set_default(i);
}

void guest_set_descriptors(const char *arg, int first)
{
	int fd = 0, null;

	for (; *arg >= '0' && *arg <= '9' && fd < 100000; arg++)
		fd = fd * 10 + (*arg - '0');
	fd = *arg ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, GUEST_LINK_FD);
	if (fd < 0 || (fd != GUEST_LINK_FD && dup3(fd, GUEST_LINK_FD, O_CLOEXEC) < 0))
		guest_die("not a descriptor");
	fd_close_from(first);
	null = open("/dev/null", O_RDWR);
	if (null < 0)
		guest_die("cannot open /dev/null");
	for (int i = 0; i < GUEST_LINK_FD; i++)
		if (null != i)
			(void)dup2(null, i);
	if (null > STDERR_FILENO)
		(void)close(null);
}

static void say_hello(struct guest *g)
{
	struct msg_hello m = {.version = MSG_VERSION, .caps = MSG_CAP_FDS};
	uint8_t p[MSG_HELLO_BYTES];

	if (getrandom(m.nonce, sizeof(m.nonce), 0) != sizeof(m.nonce))
		guest_die("no random bytes");
	msg_put_hello(p, &m);
	guest_send(g, 0, FRAME_HELLO, p, sizeof(p), -1);
}

void guest_run(const char *fd, const char *agent)
{
	struct sigaction act = {.sa_handler = on_sigchld, .sa_flags = SA_NOCLDSTOP};

	guest_set_signals();
	(void)sigaction(SIGCHLD, &act, NULL); /* ppoll() lets it in */
	guest_set_descriptors(fd, GUEST_LINK_FD + 1);
	if (chdir("/") < 0)
		guest_die("cannot enter /");
	guest.listener = agent ? accept_listen(agent) : -1;
	if (agent && guest.listener < 0)
		guest_die("cannot make the socket of the SSH agent");
	link_init(&guest.link, GUEST_LINK_FD, OUT_MAX);
	guest.root = geteuid() == 0;
	say_hello(&guest);
	loop(&guest);
}

int main(int argc, char **argv)
{
	int code = argc == 3 && getpid() != 1 ? copy_run(argv[1], argv[2]) : -1;

	if (code >= 0)
		return code;
	/* What it starts is PID 1 of a namespace of its own. */
	if (argc == 4 && strcmp(argv[1], "--service") == 0)
		vminit_serve(argv[2], argv[3]);
	/* kill(-1) from anywhere else would reach past the box. */
	if (getpid() != 1)
		guest_die("runs only as PID 1 of a box");
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_NAME, "igloo-guest");
	if (argc >= 1 && strcmp(argv[0], "/init") == 0)
		vminit_run();
	if (argc > 3 && strcmp(argv[2], "--vm") == 0)
		vmhost_run(argv[1], argv + 3);
	if (argc != 2)
		guest_die(
			"usage: igloo-guest FD [--vm [--disk] [--hello-ms MS] [--tap] [--virtiofsd N WORD...] PROGRAM "
			"ARGUMENT...]");
	guest_run(argv[1], NULL);
}
