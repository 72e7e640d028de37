#include "net/agentproxy.h"

#include "base/clock.h"
#include "net_agent_program.h" /* made by seccomp/filter_gen.c: agent_program[] */
#include "sys/confined.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REPORT_MS = 1000, PIECE = 4096 };

enum phase { ASKED, PASS_ON, ANSWERED, ANSWER }; /* read from the box, write to the agent, read from it, write back */

struct connection {
	int box;
	int agent; /* -1: there is none, or no more */
	enum phase phase;
	enum agentmsg_verdict verdict;
	size_t key;
	struct str buf; /* a message, and how much of it is written */
	size_t at;
};

struct proxy {
	const struct agentmsg_keys *keys;
	int control;
	struct connection v[AGENTPROXY_CONNECTIONS_MAX];
	size_t n;
	struct agentproxy_totals totals;
	bool untold;
	int64_t told_at; /* ms */
};

/* --- one connection ----------------------------------------------------------------------------------------------- */

static void go_to(struct connection *c, enum phase phase)
{
	c->phase = phase;
	c->at = 0;
}

static void fail(struct connection *c)
{
	str_clear(&c->buf);
	agentmsg_add_failure(&c->buf);
	go_to(c, ANSWER);
}

static void lose_agent(struct connection *c)
{
	c->agent = close_fd(c->agent);
	fail(c);
}

/* Reads what is missing of one message, never a byte of the next: 1 when it is there, 0 when more must come, -errno. */
static int read_message(int fd, struct str *buf)
{
	for (;;) {
		ssize_t whole = agentmsg_length((const uint8_t *)str_text(buf), buf->len);
		size_t want = (size_t)whole - buf->len;
		ssize_t n;

		if (whole < 0)
			return (int)whole;
		if (whole > 0 && want == 0)
			return 1;
		if (whole == 0)
			want = 4 - buf->len;
		/* A length alone takes no memory. */
		want = want < PIECE ? want : PIECE;
		n = read(fd, str_room(buf, want), want);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0)
			return -EPIPE;
		str_grew(buf, (size_t)n);
	}
}

/* 1 when all is written. */
static int write_message(int fd, const struct str *buf, size_t *at)
{
	ssize_t n = send(fd, buf->p + *at, buf->len - *at, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	*at += (size_t)n;
	return *at == buf->len;
}

static const uint8_t *body(const struct connection *c, size_t *ret_n)
{
	*ret_n = c->buf.len - 4;
	return (const uint8_t *)c->buf.p + 4;
}

static int ask(struct proxy *p, struct connection *c)
{
	size_t n;
	const uint8_t *message;
	int r = read_message(c->box, &c->buf);

	if (r <= 0)
		return r;
	message = body(c, &n);
	c->verdict = agentmsg_request(p->keys, message, n, &c->key);
	if (c->verdict == AGENTMSG_REFUSED || c->agent < 0)
		fail(c);
	else
		go_to(c, PASS_ON);
	return 1;
}

static int pass_on(struct connection *c)
{
	int r = write_message(c->agent, &c->buf, &c->at);

	if (r < 0)
		lose_agent(c);
	if (r <= 0)
		return r < 0;
	str_clear(&c->buf);
	go_to(c, ANSWERED);
	return 1;
}

static int take_answer(struct proxy *p, struct connection *c)
{
	_cleanup_str_ struct str to = STR_INIT;
	size_t n;
	const uint8_t *message;
	int r = read_message(c->agent, &c->buf);

	if (r < 0)
		lose_agent(c);
	if (r <= 0)
		return r < 0;
	message = body(c, &n);
	if (agentmsg_add_answer(p->keys, c->verdict, message, n, &to) && c->verdict == AGENTMSG_SIGN) {
		p->totals.signatures[c->key]++;
		p->untold = true;
	}
	str_release(&c->buf);
	c->buf = to;
	to = (struct str)STR_INIT;
	go_to(c, ANSWER);
	return 1;
}

static int answer(struct connection *c)
{
	int r = write_message(c->box, &c->buf, &c->at);

	if (r <= 0)
		return r;
	str_release(&c->buf);
	go_to(c, ASKED);
	return 0; /* others come first */
}

/* 1: there may be more to do, 0: it waits, -errno: it is over. */
static int step(struct proxy *p, struct connection *c)
{
	switch (c->phase) {
	case ASKED:
		return ask(p, c);
	case PASS_ON:
		return pass_on(c);
	case ANSWERED:
		return take_answer(p, c);
	default:
		return answer(c);
	}
}

static void end(struct proxy *p, size_t at)
{
	struct connection *c = &p->v[at];

	(void)close_fd(c->box);
	(void)close_fd(c->agent);
	str_release(&c->buf);
	*c = p->v[--p->n];
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

/* The first at once, then as often as is of use: each makes the supervisor write a file. */
static void tell(struct proxy *p, bool now)
{
	if (!p->untold || (!now && clock_ms(CLOCK_MONOTONIC) - p->told_at < REPORT_MS))
		return;
	if (send(p->control, &p->totals, sizeof(p->totals), MSG_NOSIGNAL) == (ssize_t)sizeof(p->totals))
		p->untold = false;
	p->told_at = clock_ms(CLOCK_MONOTONIC);
}

/* False at the end of the supervisor, or of the box. */
static bool take_connection(struct proxy *p)
{
	int fds[2] = {-1, -1};
	size_t n = 2;
	char byte;
	ssize_t k = fd_recv(p->control, &byte, 1, fds, &n, MSG_DONTWAIT);

	if (k == -EAGAIN || k == -EINTR)
		return true;
	if (k <= 0)
		return false;
	if (n > 0)
		p->v[p->n++] = (struct connection){.box = fds[0], .agent = n == 2 ? fds[1] : -1};
	return true;
}

/* Which end a connection waits for. The end of the box's is noticed in any phase (POLLHUP, whatever is asked for); the
 * agent's when it is wanted. */
static void poll_connection(const struct connection *c, struct pollfd fds[2])
{
	static const short box_events[] = {[ASKED] = POLLIN, [ANSWER] = POLLOUT};
	static const short agent_events[] = {[PASS_ON] = POLLOUT, [ANSWERED] = POLLIN};
	bool agent = c->phase == PASS_ON || c->phase == ANSWERED;

	fds[0] = (struct pollfd){.fd = c->box, .events = (short)(agent ? 0 : box_events[c->phase])};
	fds[1] = (struct pollfd){.fd = agent ? c->agent : -1, .events = (short)(agent ? agent_events[c->phase] : 0)};
}

static void work(struct proxy *p, size_t at, const struct pollfd fds[2])
{
	struct connection *c = &p->v[at];
	bool gone = (fds[0].revents & (POLLHUP | POLLERR)) && !(fds[0].revents & POLLIN);
	int r = 0;

	if (gone) {
		end(p, at);
		return;
	}
	if (fds[0].revents || fds[1].revents)
		do
			r = step(p, c);
		while (r > 0);
	if (r < 0)
		end(p, at);
}

static bool turn(struct proxy *p)
{
	struct pollfd fds[1 + 2 * AGENTPROXY_CONNECTIONS_MAX];
	bool room = p->n < AGENTPROXY_CONNECTIONS_MAX;
	size_t n = p->n;
	int k;

	fds[0] = (struct pollfd){.fd = p->control, .events = room ? POLLIN : POLLRDHUP};
	for (size_t i = 0; i < n; i++)
		poll_connection(&p->v[i], fds + 1 + 2 * i);
	k = poll(fds, (nfds_t)(1 + 2 * n), p->untold ? REPORT_MS : -1);
	if (k < 0)
		return errno == EINTR;
	for (size_t i = n; i-- > 0;)
		work(p, i, fds + 1 + 2 * i);
	tell(p, false);
	return !fds[0].revents || (room && take_connection(p));
}

/* --- the process -------------------------------------------------------------------------------------------------- */

const struct confine agentproxy_walls = {
	.who = "ssh agent: the process for it",
	.filter = agent_program,
	.n_filter = ARRAY_SIZE(agent_program),
};

static int prepare(void *arg, int control, struct err **e)
{
	struct proxy *p = arg;

	(void)e;
	p->control = control;
	p->told_at = clock_ms(CLOCK_MONOTONIC) - REPORT_MS;
	return 0;
}

static void serve(void *arg)
{
	struct proxy *p = arg;

	while (turn(p))
		;
	tell(p, true);
}

int agentproxy_start(const struct agentmsg_keys *keys, pid_t *ret_pid, int *ret_control, struct err **e)
{
	static const struct confined what = {.name = "igloo-ssh-agent",
					     .what = "ssh agent",
					     .prepare = prepare,
					     .walls = &agentproxy_walls,
					     .serve = serve};
	/* The kernel's least: a few connections on their way, not hundreds. */
	const int few = 1;
	_cleanup_free_ struct proxy *p = xcalloc(1, sizeof(*p));
	int r;

	p->keys = keys;
	r = confined_start(&what, p, ret_pid, ret_control, e);
	if (r == 0)
		(void)setsockopt(*ret_control, SOL_SOCKET, SO_SNDBUF, &few, sizeof(few));
	return r;
}

int agentproxy_serve(int control, int box_fd, int agent_fd)
{
	const int fds[2] = {box_fd, agent_fd};
	int r = fd_send(control, "c", 1, fds, agent_fd < 0 ? 1 : 2);

	if (r == -EAGAIN)
		return r;
	(void)close_fd(box_fd);
	(void)close_fd(agent_fd);
	return r;
}

int agentproxy_totals(int control, struct agentproxy_totals *ret)
{
	struct agentproxy_totals totals;
	bool any = false;
	ssize_t n;

	while ((n = recv(control, &totals, sizeof(totals), MSG_DONTWAIT)) == (ssize_t)sizeof(totals)) {
		*ret = totals;
		any = true;
	}
	if (any)
		return 1;
	return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EPIPE;
}

void agentproxy_finish(int control, int timeout_ms)
{
	struct pollfd p = {.fd = control, .events = POLLRDHUP};

	(void)shutdown(control, SHUT_WR);
	(void)poll(&p, 1, timeout_ms);
}
