/* The clients of a supervisor's control socket; box/supervise.c explains how they fit in. */
#include "base/clock.h"
#include "base/log.h"
#include "box/output.h"
#include "box/state.h"
#include "box/supervise_impl.h"
#include "net/policy.h"
#include "wire/msg.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void supervise_client_close(struct sup *s, size_t at)
{
	struct client *c = s->clients[at];

	for (size_t i = 0; i < s->n_routes; i++) {
		if (s->routes[i].client != c)
			continue;
		s->routes[i].client = NULL;
		supervise_send_signal(s, s->routes[i].guest_stream, SIGHUP);
		supervise_send_signal(s, s->routes[i].guest_stream, SIGKILL);
	}
	link_release(&c->link);
	free(c);
	s->clients[at] = s->clients[--s->n_clients];
}

static int client_exec(struct sup *s, struct client *c, const struct frame *f)
{
	int fds[EXEC_FDS];
	size_t nfds = 0;

	if (!c->in_exec) {
		uint32_t flags = f->len >= 4 ? frame_get32(f->payload) : 0;

		/* The terminal and the end of a client's command are the client's affair, not the box's. */
		if (flags & (EXEC_MAIN | EXEC_FOREGROUND))
			return -EPROTO;
		if ((flags & EXEC_HAS_FDS) && link_take_fds(&c->link, fds, EXEC_FDS) < 0)
			return -EPROTO;
		nfds = flags & EXEC_HAS_FDS ? EXEC_FDS : 0;
		c->exec_stream = s->next_stream++;
		s->routes = xrealloc_array(s->routes, s->n_routes + 1, sizeof(*s->routes));
		s->routes[s->n_routes++] = (struct route){.guest_stream = c->exec_stream,
							  .client = c,
							  .client_stream = f->stream,
							  .pty = flags & EXEC_PTY};
	}
	c->in_exec = f->flags & FRAME_MORE;
	return link_send(s->guest, c->exec_stream, FRAME_EXEC, f->flags, f->payload, f->len, fds, nfds);
}

/* The error as the user is to read it: errno, message, hint. */
static int client_reply(struct client *c, enum frame_type type, int r, const struct err *e)
{
	const char *message = e && err_message(e) ? err_message(e) : "";
	const char *hint = e && err_hints(e) ? err_hints(e) : "";
	uint8_t answer[FRAME_ANSWER_MAX];
	int n;

	frame_put32(answer, (uint32_t)-r);
	n = snprintf((char *)answer + 4, sizeof(answer) - 4, "%.1500s%c%.500s", message, '\0', hint);
	return link_send(&c->link, 0, type, 0, answer, 4 + (size_t)n + 1, NULL, 0);
}

static int change_network(struct sup *s, char op, const char *entry, struct err **e)
{
	if (s->box->net)
		return boxnet_change(s->box->net, op, entry, e);
	(void)err_set(e, ENETDOWN, "the box was started without a network");
	return err_hint(e, "start it again without --offline");
}

/* A machine has its own routes. It may be told twice. */
static void tell_routes(struct sup *s)
{
	_cleanup_policy_ struct policy *policy = policy_new();
	_cleanup_free_ struct policy_net *nets = NULL;
	size_t n = policy_add_all(policy, &s->box->spec->allow, NULL) < 0 ? 0 : policy_nets(policy, NULL, 0);

	nets = xcalloc(n + 1, sizeof(*nets));
	(void)policy_nets(policy, nets, n);
	for (size_t i = 0; i < n; i++) {
		uint8_t payload[MSG_ROUTE_BYTES];

		if (nets[i].net.family != AF_INET)
			continue;
		memcpy(payload, nets[i].net.bytes, 4);
		payload[4] = (uint8_t)nets[i].bits;
		(void)link_send(s->guest, 0, FRAME_ROUTE, 0, payload, sizeof(payload), NULL, 0);
	}
}

static int client_grant(struct sup *s, struct client *c, const struct frame *f)
{
	_cleanup_free_ char *entry = xstrndup((const char *)f->payload + 1, f->len - 1);
	const char op = (char)f->payload[0];
	_cleanup_err_ struct err *e = NULL;
	int r = strlen(entry) != f->len - 1 || !strchr("+-!", op) ? err_set(&e, EINVAL, "not an entry") : 0;

	if (r == 0)
		r = change_network(s, op, entry, &e);
	if (r == 0 && s->box->kind->machine)
		tell_routes(s);
	return client_reply(c, FRAME_GRANT, r, e);
}

static int client_ports(struct sup *s, struct client *c, const struct frame *f)
{
	_cleanup_free_ char *text = xstrndup((const char *)f->payload + 1, f->len - 1);
	_cleanup_strv_ struct strv specs = STRV_INIT;
	const char op = (char)f->payload[0];
	_cleanup_err_ struct err *e = NULL;
	int r = strlen(text) != f->len - 1 || !strchr("+-", op) ? err_set(&e, EINVAL, "not a port") : 0;

	strv_split(&specs, text, '\n');
	if (r == 0)
		r = op == '+' ? boxports_add(s->box->ports, &specs, &e) : boxports_remove(s->box->ports, &specs, &e);
	if (r == 0)
		r = state_write(s->box, -1, false, &e);
	return client_reply(c, FRAME_PORTS, r, e);
}

/* Of one of the client's commands, or of the box's own; there the terminal may be the guest's to resize, too. */
static int client_resize(struct sup *s, struct client *c, const struct frame *f)
{
	int r;

	if (f->stream == 0) {
		r = output_resize(s->output, f->payload);
		return r > 0 ? link_send(s->guest, MAIN_STREAM, FRAME_RESIZE, 0, f->payload, f->len, NULL, 0) : r;
	}
	for (size_t i = 0; i < s->n_routes; i++)
		if (s->routes[i].client == c && s->routes[i].client_stream == f->stream && s->routes[i].pty)
			return link_send(s->guest, s->routes[i].guest_stream, FRAME_RESIZE, 0, f->payload, f->len, NULL,
					 0);
	return 0;
}

static int client_attach(struct sup *s, struct client *c, const struct frame *f)
{
	int r = output_attach(s->output, &c->link, f);

	if (r == 0 && output_resize(s->output, f->payload) > 0)
		r = link_send(s->guest, MAIN_STREAM, FRAME_RESIZE, 0, f->payload, f->len, NULL, 0);
	return r;
}

static int client_frame(struct sup *s, struct client *c, const struct frame *f)
{
	switch (f->type) {
	case FRAME_EXEC:
		return client_exec(s, c, f);
	case FRAME_SIGNAL:
		for (size_t i = 0; i < s->n_routes; i++)
			if (s->routes[i].client == c && s->routes[i].client_stream == f->stream)
				return link_send(s->guest, s->routes[i].guest_stream, FRAME_SIGNAL, 0, f->payload,
						 f->len, NULL, 0);
		return 0;
	case FRAME_SHUTDOWN:
		c->asked = true;
		s->asked_ms = s->asked_ms ? s->asked_ms : clock_ms(CLOCK_BOOTTIME);
		s->stopping = true;
		supervise_set_timer(s, (uint64_t)msg_get_grace(f) + KILL_AFTER_MS);
		return link_send(s->guest, 0, FRAME_SHUTDOWN, 0, f->payload, f->len, NULL, 0);
	case FRAME_ATTACH:
		return client_attach(s, c, f);
	case FRAME_GRANT:
		return client_grant(s, c, f);
	case FRAME_PORTS:
		return client_ports(s, c, f);
	case FRAME_RESIZE:
		return client_resize(s, c, f);
	default:
		return -EPROTO;
	}
}

int supervise_on_client(struct sup *s, struct client *c)
{
	struct frame f;
	int r = link_receive(&c->link);

	if (r == -EAGAIN || r == -EINTR)
		return 0;
	while (r > 0) {
		int k = link_next(&c->link, c->in_exec, &f);

		if (k == 0)
			return 0;
		if (k > 0)
			k = client_frame(s, c, &f);
		if (k < 0)
			return k;
	}
	return r < 0 ? r : -EPIPE;
}

static void tell_asking(struct sup *s, const uint8_t payload[MSG_STOPPED_BYTES])
{
	s->told = true;
	for (size_t i = 0; i < s->n_clients; i++)
		if (s->clients[i]->asked)
			(void)link_send(&s->clients[i]->link, 0, FRAME_STOPPED, 0, payload, MSG_STOPPED_BYTES, NULL, 0);
}

int supervise_tell_stopped(struct sup *s, const struct frame *f)
{
	static const char told[] = "the machine did not switch itself off, so QEMU was told to end";
	static const char killed[] = "the machine did not switch itself off and QEMU did not end, so that was killed";
	struct msg_stopped m;

	if (!s->stopping || !s->box->kind->machine || msg_get_stopped(f, &m) < 0 || m.how == MSG_STOPPED_COMMAND)
		return -EPROTO;
	if (m.how != MSG_STOPPED_ITSELF)
		log_note("%s, after %u s", m.how == MSG_STOPPED_TOLD ? told : killed, m.ms / 1000);
	tell_asking(s, f->payload);
	return 0;
}

void supervise_tell_ended(struct sup *s)
{
	const struct msg_stopped m = {
		.how = s->result.how == SUPERVISE_STOPPED ? MSG_STOPPED_KILLED : MSG_STOPPED_COMMAND,
		.ms = (uint32_t)(clock_ms(CLOCK_BOOTTIME) - s->asked_ms),
	};
	uint8_t payload[MSG_STOPPED_BYTES];

	if (s->told || !s->asked_ms || !s->box->kind->machine)
		return;
	msg_put_stopped(payload, &m);
	tell_asking(s, payload);
}

void supervise_on_listener(struct sup *s)
{
	struct client *c;
	struct ucred who;
	socklen_t n = sizeof(who);
	int fd = accept4(s->box->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (s->n_clients == CLIENTS_MAX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 ||
	    (who.uid != geteuid() && who.uid != 0)) {
		(void)close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	link_init(&c->link, fd, CLIENT_OUT_MAX);
	s->clients[s->n_clients++] = c;
}
