#include "net/relay.h"

#include "net/bound.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT_HTTP = 80, PORT_HTTPS = 443, BOX_EVENTS = EPOLLIN | EPOLLOUT | EPOLLRDHUP };

/* Seconds between looks at a relay, and without a sign of life after which it ends. */
static const uint32_t wait_periods[WAITS] = {10, 10, 60, 60, 60, 3600};
static const uint32_t wait_limits[WAITS] = {10, 10, 3600, 3600, 600, UINT32_MAX};

static void unlink_wait(struct relay *c)
{
	struct engine *g = c->g;

	if (c->previous)
		c->previous->next = c->next;
	else
		g->waits[c->wait].first = c->next;
	if (c->next)
		c->next->previous = c->previous;
	else
		g->waits[c->wait].last = c->previous;
}

static void link_wait(struct relay *c, enum wait w)
{
	struct engine *g = c->g;

	c->wait = (uint8_t)w;
	c->queued = g->now;
	c->next = NULL;
	c->previous = g->waits[w].last;
	if (c->previous)
		c->previous->next = c;
	else
		g->waits[w].first = c;
	g->waits[w].last = c;
}

void relay_wait(struct relay *c, enum wait w)
{
	unlink_wait(c);
	c->since = c->g->now;
	link_wait(c, w);
}

static void reset(int fd)
{
	const struct linger now = {.l_onoff = 1};

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

void relay_end(struct relay *c, bool with_reset)
{
	struct engine *g = c->g;

	if (c->phase == PHASE_DEAD)
		return;
	unlink_wait(c);
	dial_free(c);
	gate_free(c);
	bound_end(c);
	c->phase = PHASE_DEAD;
	c->gate = GATE_NONE;
	for (int i = 0; i < 2; i++) {
		if (with_reset)
			reset(c->fd[i]);
		c->fd[i] = close_fd(c->fd[i]);
		pipes_give(&g->pipes, c->flow[i].pipe);
		c->flow[i].pipe = NULL;
		free(c->flow[i].chunk);
		c->flow[i].chunk = NULL;
	}
	c->next = g->dead;
	g->dead = c;
}

void relay_bury(struct engine *g)
{
	struct relay **keep = &g->runnable;

	if (!g->dead)
		return;
	while (*keep) {
		if ((*keep)->phase == PHASE_DEAD)
			*keep = (*keep)->next_runnable;
		else
			keep = &(*keep)->next_runnable;
	}
	while (g->dead) {
		struct relay *c = g->dead;

		g->dead = c->next;
		g->relays[c->index] = NULL;
		g->free_index[g->n_free++] = c->index;
		free(c);
	}
}

/* Where the box wanted to go: the accepted socket's own address. *port is set if it is 0. */
static bool target(int fd, struct address *ret, uint16_t *port)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	struct sockaddr_storage ss = {0};
	socklen_t n = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &n) < 0)
		return false;
	address_from_sockaddr(&ss, ret);
	if (*port == 0) {
		/* Of both families at the same place. */
		memcpy(port, (const char *)&ss + offsetof(struct sockaddr_in, sin_port), sizeof(*port));
		*port = ntohs(*port);
	}
	if (ret->family == AF_INET6 && memcmp(ret->bytes, mapped, sizeof(mapped)) == 0) {
		ret->family = AF_INET;
		memmove(ret->bytes, ret->bytes + 12, 4);
		memset(ret->bytes + 4, 0, 12);
	}
	return true;
}

static const char *name_of(const struct engine *g, const struct address *a)
{
	uint32_t v4;

	if (a->family != AF_INET)
		return NULL;
	memcpy(&v4, a->bytes, sizeof(v4));
	return synth_name(g->synth, ntohl(v4));
}

static void host_text(struct relay *c, char ret[HOSTNAME_MAX + 1])
{
	struct address a;

	ret[0] = '\0';
	if (c->name)
		(void)snprintf(ret, HOSTNAME_MAX + 1, "%s", c->name);
	else if (target(c->fd[BOX], &a, &c->port))
		address_format(&a, ret);
}

void relay_deny(struct relay *c, enum engine_reason reason, const char *detail)
{
	char host[HOSTNAME_MAX + 1];

	if (c->phase == PHASE_DEAD)
		return;
	host_text(c, host);
	notes_add(&c->g->notes, reason, host, c->port, detail);
	relay_end(c, true);
}

/* Is it one that the policy allows at all? */
static bool refuse(struct engine *g, const struct address *a, const char *name, uint16_t port)
{
	char text[ADDRESS_TEXT_MAX];

	if (name ? policy_allows_name(g->policy, name, port) : policy_allows_address(g->policy, a, port))
		return false;
	if (name) {
		notes_add(&g->notes, ENGINE_DENIED_PORT, name, port, NULL);
	} else {
		address_format(a, text);
		notes_add(&g->notes, ENGINE_DENIED_LITERAL, text, port, NULL);
	}
	return true;
}

static struct relay *new_relay(struct engine *g, int box_fd, enum wait w)
{
	struct relay *c = xcalloc(1, sizeof(*c));

	c->g = g;
	c->fd[BOX] = box_fd;
	c->fd[HOST] = -1;
	c->since = g->now;
	c->index = g->free_index[--g->n_free];
	g->relays[c->index] = c;
	link_wait(c, w);
	return c;
}

void relay_adopt(struct engine *g, int host_fd, int box_fd)
{
	struct relay *c;

	if (g->n_free == 0) {
		reset(host_fd);
		(void)close_fd(host_fd);
		(void)close_fd(box_fd);
		return;
	}
	c = new_relay(g, box_fd, WAIT_FRESH);
	c->fd[HOST] = host_fd;
	c->forwarded = true;
	c->phase = PHASE_FLOW;
	if (engine_watch(g, box_fd, BOX_EVENTS | EPOLLET, TAG_BOX, c->index) < 0 ||
	    engine_watch(g, host_fd, BOX_EVENTS | EPOLLET, TAG_HOST, c->index) < 0)
		relay_end(c, true);
}

bool relay_all_sent(const struct engine *g)
{
	for (size_t i = 0; i < g->max; i++)
		if (g->relays[i] && g->relays[i]->phase == PHASE_FLOW && !g->relays[i]->flow[BOX].closed)
			return false;
	return true;
}

void relay_accept(struct engine *g, int fd, uint16_t port)
{
	struct address to;
	const char *name;
	struct relay *c;

	if (g->n_free == 0 || !target(fd, &to, &port)) {
		(void)close_fd(fd);
		return;
	}
	name = name_of(g, &to);
	if (refuse(g, &to, name, port)) {
		reset(fd);
		(void)close_fd(fd);
		return;
	}
	c = new_relay(g, fd, WAIT_GATE);
	c->name = name;
	c->port = port;
	if (engine_watch(g, fd, BOX_EVENTS | EPOLLET, TAG_BOX, c->index) < 0) {
		relay_end(c, true);
		return;
	}
	c->gate = name ? port == PORT_HTTPS || bound_has(g, name, port) ? GATE_TLS
			  : port == PORT_HTTP                           ? GATE_HTTP
									: GATE_FIRST
		       : GATE_NONE;
	if (c->gate == GATE_TLS || c->gate == GATE_HTTP)
		return; /* PHASE_GATE: epoll says when there is something to read */
	if (!name) {
		c->dial = xcalloc(1, sizeof(*c->dial));
		c->dial->addresses[c->dial->n++] = to;
	}
	dial_start(c);
}

void relay_event(struct engine *g, uint32_t index, enum side side, uint32_t events)
{
	struct relay *c = index < g->max ? g->relays[index] : NULL;
	struct flow *f;

	if (!c || c->phase == PHASE_DEAD)
		return;
	f = &c->flow[side];
	f->hup |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	f->readable |= f->hup || (events & EPOLLIN);
	f->writable |= (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0;
	if (c->phase == PHASE_DIAL && side == HOST)
		dial_event(c, events);
	else if ((events & EPOLLERR) || ((events & EPOLLHUP) && c->phase != PHASE_FLOW))
		relay_end(c, true);
	else if (c->phase == PHASE_GATE)
		gate_read(c);
	else if (c->phase == PHASE_FLOW)
		flow_run(c);
}

void relay_run(struct engine *g)
{
	struct relay *c = g->runnable;

	g->runnable = NULL;
	while (c) {
		struct relay *next = c->next_runnable;

		c->runnable = false;
		if (c->phase == PHASE_FLOW)
			flow_run(c);
		c = next;
	}
}

/* TCP's own signs of life, for those that live long enough to need them. */
static void keep_alive(struct relay *c)
{
	const int on = 1;
	const int idle = 120;
	const int interval = 30;

	(void)setsockopt(c->fd[HOST], SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(c->fd[HOST], IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(c->fd[HOST], IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
}

static void due(struct relay *c)
{
	uint32_t quiet = c->g->now - c->since;
	enum wait w = (enum wait)c->wait;

	if (w == WAIT_FRESH)
		keep_alive(c);
	unlink_wait(c);
	link_wait(c, w == WAIT_FRESH ? WAIT_IDLE : w);
	if (w == WAIT_DIAL)
		dial_timeout(c);
	else if (w == WAIT_GATE)
		gate_missing(c, "no complete first message within 10 seconds");
	else if (quiet >= wait_limits[w])
		relay_end(c, true);
}

uint32_t relay_timeouts(struct engine *g)
{
	uint32_t next = 60;

	for (int w = 0; w < WAITS; w++) {
		struct relay *c;

		while ((c = g->waits[w].first) && g->now - c->queued >= wait_periods[w])
			due(c);
		if (c && c->queued + wait_periods[w] - g->now < next)
			next = c->queued + wait_periods[w] - g->now;
	}
	return next;
}

static bool still_allowed(struct relay *c)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct address a;

	if (c->forwarded)
		return true;
	if (c->name && !policy_allows_name(c->g->policy, c->name, c->port))
		return false;
	if (!c->name)
		return target(c->fd[BOX], &a, &c->port) && policy_allows_address(c->g->policy, &a, c->port);
	if (c->phase == PHASE_DIAL)
		return dial_allowed(c->g, &c->dial->addresses[c->dial->next - 1], c->port);
	if (c->phase < PHASE_FLOW)
		return true; /* nothing is dialled yet */
	/* ENOTCONN: both ends have closed it, and what came before that is still on its way to the box. */
	if (getpeername(c->fd[HOST], (struct sockaddr *)&ss, &n) < 0)
		return errno == ENOTCONN;
	address_from_sockaddr(&ss, &a);
	return dial_allowed(c->g, &a, c->port);
}

void relay_check_all(struct engine *g)
{
	for (size_t i = 0; i < g->max; i++)
		if (g->relays[i] && g->relays[i]->phase != PHASE_DEAD && !still_allowed(g->relays[i]))
			relay_end(g->relays[i], true);
}
