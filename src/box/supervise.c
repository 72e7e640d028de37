/* Theory of operation
 *
 * The guest knows streams; so does each client of the control socket, which speaks the same frames. The
 * supervisor stands between: stream 1 is the box's main command, and each EXEC of a client gets a guest
 * stream of its own. A `route` says whose it is, and every frame about it goes the same way back with the
 * client's own number. Nothing of a frame's content is looked at but the flags of an EXEC's first piece, which say
 * whether descriptors come along.
 *
 * A client whose connection ends loses its commands: they are killed. When the guest's connection ends, the
 * box has ended. */
#include "box/supervise.h"

#include "base/clock.h"
#include "base/log.h"
#include "box/output.h"
#include "box/protect.h"
#include "box/secrets.h"
#include "box/state.h"
#include "box/supervise_impl.h"
#include "sys/fd.h"
#include "sys/tty.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* --- the guest --------------------------------------------------------------------------------------------------- */

static struct route *route_of(struct sup *s, uint32_t guest_stream)
{
	for (size_t i = 0; i < s->n_routes; i++)
		if (s->routes[i].guest_stream == guest_stream)
			return &s->routes[i];
	return NULL;
}

static void route_end(struct sup *s, struct route *route)
{
	*route = s->routes[--s->n_routes];
}

static int main_failed(struct sup *s, const struct frame *f, struct err **e)
{
	struct msg_err m;
	const char *what = s->box->command;

	if (msg_get_err(f, &m) < 0)
		return err_set(e, EPROTO, "the guest sent an error that means nothing");
	if (m.stage == MSG_STAGE_EXEC && m.errnum == ENOENT) {
		(void)err_set(e, ENOENT, "command not found in the environment: %s", what);
		(void)err_hint(e, "add its package to the flake's dev shell; `igloo env` shows what the shell has");
		return err_exit_code(e, 127);
	}
	(void)err_errno(e, (int)m.errnum, "cannot run %s (%s)", what, msg_stage_name(m.stage));
	return err_exit_code(e, m.stage == MSG_STAGE_EXEC ? 126 : 125);
}

static int on_main_frame(struct sup *s, const struct frame *f, struct err **e)
{
	struct msg_exit m;
	int master = -1;

	switch (f->type) {
	case FRAME_STARTED:
		if (s->main_pty && link_take_fds(s->guest, &master, 1) < 0)
			return err_set(e, EPROTO, "the guest sent no terminal");
		if (s->output && master >= 0)
			output_set_master(s->output, master);
		else if (master >= 0)
			terminal_begin(&s->terminal, master, &s->tty);
		if (s->on_started)
			s->on_started(s->user);
		return 0;
	case FRAME_EXIT:
		if (msg_get_exit(f, &m) < 0)
			return err_set(e, EPROTO, "the guest sent an exit that means nothing");
		s->result.value = (int)m.value;
		s->result.how = m.kind == MSG_EXIT_SIGNAL ? SUPERVISE_SIGNALLED : SUPERVISE_EXITED;
		if (s->timed_out)
			s->result.how = SUPERVISE_TIMED_OUT;
		s->done = true;
		return 0;
	case FRAME_ERR:
		return main_failed(s, f, e);
	default:
		return err_set(e, EPROTO, "the guest sent what is not due");
	}
}

/* The guest's last words. */
static int guest_refused(const struct frame *f, struct err **e)
{
	_cleanup_str_ struct str words = STR_INIT;
	struct msg_err m;

	if (f->type != FRAME_ERR || msg_get_err(f, &m) < 0 || m.stage != MSG_STAGE_MACHINE)
		return err_set(e, EPROTO, "the guest refused a frame");
	str_add_printable(&words, (const char *)f->payload + MSG_ERR_BYTES, f->len - MSG_ERR_BYTES, true);
	if (m.errnum == ETIMEDOUT)
		return err_set(e, ETIMEDOUT, "the box's machine does not start%s%s", words.len > 0 ? ": " : "",
			       str_text(&words));
	return err_set(e, (int)m.errnum, "the box's machine: %s",
		       words.len > 0 ? str_text(&words) : strerror((int)m.errnum));
}

/* A machine that was asked to end may say what went wrong with that. */
static void say_stopped(const struct frame *f)
{
	_cleanup_err_ struct err *e = NULL;

	if (guest_refused(f, &e) < 0)
		log_note("%s", err_message(e));
}

static void on_stage(struct sup *s, const struct frame *f)
{
	_cleanup_str_ struct str words = STR_INIT;

	str_add_printable(&words, (const char *)f->payload + 1, f->len - 1, false);
	starting_stage(&s->starting, f->payload[0], str_text(&words));
	if (f->payload[0] == STARTING_AGAIN && s->box->kind->progress)
		s->box->kind->progress(&s->box->running, KIND_RESTARTS, str_text(&words));
}

static int on_guest_frame(struct sup *s, const struct frame *f, struct err **e)
{
	struct route *route;
	int master = -1;
	size_t nfds = 0;
	int r;

	if (f->type == FRAME_HELLO) {
		struct msg_hello hello;

		if (msg_get_hello(f, &hello) < 0 || hello.version != MSG_VERSION)
			return err_set(e, EPROTO, "the guest speaks another version of the protocol");
		starting_end(&s->starting, true);
		s->greeted = true;
		if (s->box->kind->progress)
			s->box->kind->progress(&s->box->running, KIND_GREETED, NULL);
		if (s->idle && s->on_started && !s->stopping)
			s->on_started(s->user);
		return 0;
	}
	if (f->type == FRAME_STAGE && s->box->kind->machine) {
		on_stage(s, f);
		return 0;
	}
	if (f->stream == 0 && s->stopping && f->type == FRAME_ERR) {
		say_stopped(f);
		return 0;
	}
	if (f->type == FRAME_LIMITS && s->box->kind->machine) {
		struct msg_limits limits;

		msg_get_limits(f, &limits);
		s->result.oom_kills = limits.oom_kills;
		s->result.forks_refused = limits.forks_refused;
		return 0;
	}
	if (f->type == FRAME_STOPPED)
		return supervise_tell_stopped(s, f) < 0 ? err_set(e, EPROTO, "the guest sent what is not due") : 0;
	if (f->stream == 0)
		return f->type == FRAME_PONG ? 0 : guest_refused(f, e);
	if (f->stream == MAIN_STREAM)
		return on_main_frame(s, f, e);
	r = boxports_frame(s->box->ports, f, s->guest);
	if (r != 0)
		return r > 0 ? 0 : err_set(e, EPROTO, "the guest sent what is no connection");
	route = route_of(s, f->stream);
	if (!route)
		return 0;
	if (f->type != FRAME_STARTED && f->type != FRAME_EXIT && f->type != FRAME_ERR)
		return err_set(e, EPROTO, "the guest sent what is not due");
	if (f->type == FRAME_STARTED && route->pty) {
		if (link_take_fds(s->guest, &master, 1) < 0)
			return err_set(e, EPROTO, "the guest sent no terminal");
		nfds = 1;
	}
	if (route->client)
		(void)link_send(&route->client->link, route->client_stream, (enum frame_type)f->type, 0, f->payload,
				f->len, &master, nfds);
	else
		(void)close_fd(master);
	if (f->type == FRAME_EXIT || f->type == FRAME_ERR)
		route_end(s, route);
	return 0;
}

static int on_guest(struct sup *s, struct err **e)
{
	struct frame f;
	int r = link_receive(s->guest);

	if (r == -EAGAIN || r == -EINTR)
		return 0;
	while (r > 0 && !s->done) {
		int k = link_next(s->guest, false, &f);

		if (k == 0)
			return 0;
		if (k < 0)
			return err_set(e, EPROTO, "the guest sent what is no frame");
		k = on_guest_frame(s, &f, e);
		if (k < 0)
			return k;
	}
	if (s->done)
		return 0;
	/* The end: asked for, or somebody killed the guest. */
	s->done = true;
	s->result.how = s->timed_out ? SUPERVISE_TIMED_OUT : SUPERVISE_STOPPED;
	s->result.value = SIGKILL;
	return s->stopping ? 0 : err_set(e, EPIPE, "the box's guest was killed");
}

/* --- what is protected in the workspace ------------------------------------------------------------------------- */

static int watch_timeout(const struct sup *s)
{
	int64_t left = s->watch_at_ms - clock_ms(CLOCK_BOOTTIME);

	return s->watch_at_ms == 0 ? -1 : left > 0 ? (int)left : 0;
}

/* A box whose pins cannot be put back is not what its spec says any more: it ends. */
static void repin(struct sup *s)
{
	_cleanup_err_ struct err *e = NULL;

	if (s->box->kind->repin(s->box->running.pid, s->box->spec, &e) == 0)
		return;
	log_note("cannot protect the workspace any more, so the box ends: %s", e ? err_message(e) : "unknown failure");
	s->result.how = SUPERVISE_STOPPED;
	s->result.value = SIGKILL;
	s->done = true;
}

static void watch_begin(struct sup *s)
{
	if (s->watch_at_ms == 0 || clock_ms(CLOCK_BOOTTIME) < s->watch_at_ms)
		return;
	s->watch_at_ms = 0;
	s->watch = protect_watch(s->box->protect);
	if (s->watch >= 0)
		repin(s); /* for what happened before */
}

/* --- the loop ---------------------------------------------------------------------------------------------------- */

static short wanted(const struct link *l)
{
	return (short)(POLLIN | (link_pending(l) ? POLLOUT : 0));
}

static int step(struct sup *s, struct err **e)
{
	enum { GUEST, LISTENER, SIGNALS, TIMER, WATCH, TERMINAL, NET = TERMINAL + TERMINAL_POLLS };
	enum { AGENT = NET + BOXNET_POLLS, FIXED = AGENT + BOXAGENT_POLLS };
	struct pollfd fds[FIXED + CLIENTS_MAX + OUTPUT_POLLS + BOXPORTS_POLLS];
	size_t n_clients = s->n_clients;
	size_t n = FIXED + n_clients;
	size_t ports;
	int r;

	fds[GUEST] = (struct pollfd){.fd = s->guest->fd, .events = wanted(s->guest)};
	fds[LISTENER] = (struct pollfd){.fd = s->box->listener, .events = POLLIN};
	fds[SIGNALS] = (struct pollfd){.fd = s->signals, .events = POLLIN};
	fds[TIMER] = (struct pollfd){.fd = s->timer, .events = POLLIN};
	fds[WATCH] = (struct pollfd){.fd = s->watch, .events = POLLIN};
	terminal_poll(&s->terminal, fds + TERMINAL);
	boxnet_poll(s->box->net, fds + NET);
	boxagent_poll(s->box->agent, fds + AGENT);
	for (size_t i = 0; i < n_clients; i++)
		fds[FIXED + i] = (struct pollfd){.fd = s->clients[i]->link.fd, .events = wanted(&s->clients[i]->link)};
	n += output_poll(s->output, fds + n);
	ports = n;
	n += boxports_poll(s->box->ports, fds + n);
	if (poll(fds, (nfds_t)n, watch_timeout(s)) < 0)
		return errno == EINTR ? 0 : err_errno(e, errno, "poll");
	watch_begin(s);
	if (fds[WATCH].revents && protect_reapply(s->box->protect))
		repin(s);
	terminal_work(&s->terminal, fds + TERMINAL);
	supervise_check_terminal(s);
	output_work(s->output, fds + FIXED + n_clients);
	boxnet_work(s->box->net, fds + NET);
	if (boxagent_work(s->box->agent, fds + AGENT))
		(void)state_write(s->box, -1, false, NULL);
	boxports_work(s->box->ports, fds + ports, s->guest, &s->next_stream);
	if (fds[SIGNALS].revents)
		supervise_on_signal(s);
	if (fds[TIMER].revents)
		supervise_on_timer(s);
	for (size_t i = n_clients; i-- > 0;) {
		struct client *c = s->clients[i];

		r = fds[FIXED + i].revents & (POLLIN | POLLHUP | POLLERR) ? supervise_on_client(s, c) : 0;
		if (r == 0 && link_pending(&c->link))
			r = link_flush(&c->link);
		if (r < 0 && r != -EAGAIN)
			supervise_client_close(s, i);
	}
	if (fds[LISTENER].revents)
		supervise_on_listener(s);
	r = fds[GUEST].revents & (POLLIN | POLLHUP | POLLERR) ? on_guest(s, e) : 0;
	/* What this round queued for clients (a STARTED with its terminal) goes out before anything ends. */
	for (size_t i = 0; i < s->n_clients; i++)
		if (link_pending(&s->clients[i]->link))
			(void)link_flush(&s->clients[i]->link);
	if (r == 0 && !s->done && link_pending(s->guest))
		(void)link_flush(s->guest);
	return r;
}

static void sup_release(struct sup *s)
{
	supervise_tell_ended(s);
	/* Clients whose command the box's end took along are told so. */
	for (size_t i = 0; i < s->n_routes; i++) {
		uint8_t payload[MSG_EXIT_BYTES];
		const struct msg_exit m = {.kind = MSG_EXIT_SIGNAL, .value = SIGKILL};

		msg_put_exit(payload, &m);
		if (s->routes[i].client)
			(void)link_send(&s->routes[i].client->link, s->routes[i].client_stream, FRAME_EXIT, 0, payload,
					sizeof(payload), NULL, 0);
	}
	for (size_t i = 0; i < s->n_clients; i++) {
		(void)link_flush(&s->clients[i]->link);
		link_release(&s->clients[i]->link);
		free(s->clients[i]);
	}
	output_free(s->output);
	link_release(s->guest);
	free(s->guest);
	free(s->routes);
	(void)close_fd(s->signals);
	(void)close_fd(s->timer);
}

int supervise_run(struct box *box, struct exec *main, const int *fds, void (*on_started)(void *), void *user,
		  struct supervise_result *ret, struct err **e)
{
	struct sup s = {.box = box, .next_stream = MAIN_STREAM + 1, .on_started = on_started, .user = user};
	int handed[EXEC_FDS];
	sigset_t set;
	int r;

	s.terminal = TERMINAL_INIT;
	starting_begin(&s.starting);
	supervise_signal_set(&set);
	s.idle = !main;
	if (main && (main->flags & EXEC_PTY) && !box->spec->detached) {
		(void)sigaddset(&set, SIGWINCH);
		(void)sigprocmask(SIG_BLOCK, &set, NULL);
	}
	s.foreground = main && (main->flags & EXEC_FOREGROUND);
	s.main_pty = main && (main->flags & EXEC_PTY);
	s.watch = -1;
	s.watch_at_ms = box->protect ? clock_ms(CLOCK_BOOTTIME) + PROTECT_WATCH_AFTER_MS : 0;
	s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s.timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	s.guest = xcalloc(1, sizeof(*s.guest));
	link_init(s.guest, take_fd(&box->running.link), GUEST_OUT_MAX);
	tty_save(&s.tty);
	r = s.signals < 0 || s.timer < 0 ? err_errno(e, errno, "cannot make the supervisor's descriptors") : 0;
	if (r == 0 && main && box->spec->detached)
		r = output_new(box->dir, box->running.secrets, main, handed, &s.output, e);
	else if (r == 0 && fds)
		for (int i = 0; i < EXEC_FDS; i++)
			handed[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
	if (r == 0 && box->net)
		boxnet_conceal(box->net, box->running.secrets);
	if (r == 0 && main) {
		main->flags |= EXEC_MAIN;
		r = secrets_send_exec(box->running.secrets, s.guest, MAIN_STREAM, main,
				      main->flags & EXEC_HAS_FDS ? handed : NULL);
		if (r < 0)
			(void)err_errno(e, -r, "cannot pass the command to the box: its arguments and environment");
	}
	/* No process that is started later shall have them. */
	secrets_close(box->running.secrets);
	if (r == 0 && box->spec->limits.timeout_ms > 0)
		supervise_set_timer(&s, box->spec->limits.timeout_ms);
	while (r == 0 && !s.done)
		r = step(&s, e);
	starting_end(&s.starting, false);
	terminal_end(&s.terminal);
	tty_restore(&s.tty);
	s.result.stopped = s.stopping && !s.timed_out;
	if (r == 0)
		*ret = s.result;
	sup_release(&s);
	return r;
}
