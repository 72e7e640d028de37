#include "net/bound.h"

#include "net/handoff.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int bound_begin(struct engine *g, const struct strv *hosts, int broker)
{
	strv_add_all(&g->bound, hosts->v);
	strv_sort_unique(&g->bound);
	g->broker = broker;
	return broker < 0 ? 0 : engine_watch(g, broker, EPOLLIN | EPOLLOUT | EPOLLET, TAG_BROKER, 0);
}

bool bound_has(const struct engine *g, const char *name, uint16_t port)
{
	char text[HOSTNAME_MAX + 8];

	if (g->bound.n == 0)
		return false;
	(void)snprintf(text, sizeof(text), "%s:%u", name, port);
	return strv_find_sorted(&g->bound, text) >= 0;
}

static void hand(struct relay *c)
{
	struct engine *g = c->g;
	struct flow *f = &c->flow[BOX];
	struct handoff h = {.id = {.index = c->index, .serial = c->serial}, .port = c->port};
	int r;

	(void)snprintf(h.host, sizeof(h.host), "%s", c->name);
	r = handoff_send(g->broker, &h, f->chunk + f->chunk_at, f->chunk_len - f->chunk_at, c->fd[BOX], c->fd[HOST]);
	if (r == -EAGAIN) {
		c->phase = PHASE_HANDING;
		return;
	}
	if (r < 0) {
		relay_deny(c, ENGINE_FAILED, r == -EMSGSIZE ? "too long a ClientHello" : strerror(-r));
		return;
	}
	c->phase = PHASE_HANDED;
	relay_wait(c, WAIT_HANDED);
	free(f->chunk);
	f->chunk = NULL;
	f->chunk_at = f->chunk_len = 0;
}

void bound_hand(struct relay *c)
{
	struct engine *g = c->g;

	if (g->broker < 0) {
		relay_deny(c, ENGINE_FAILED, "the process that has its secret has ended");
		return;
	}
	c->serial = ++g->serial;
	relay_wait(c, WAIT_FRESH); /* the broker is slow at the worst, or it has ended */
	for (int i = 0; i < 2; i++)
		(void)epoll_ctl(g->epoll_fd, EPOLL_CTL_DEL, c->fd[i], NULL);
	hand(c);
}

void bound_end(const struct relay *c)
{
	/* The broker has these sockets, too: closing them here would end nothing. */
	for (int i = 0; i < 2 && c->phase == PHASE_HANDED; i++)
		(void)shutdown(c->fd[i], SHUT_RDWR);
}

static void ended(struct engine *g, const struct handoff_end *end)
{
	struct relay *c = end->id.index < g->max ? g->relays[end->id.index] : NULL;

	if (!c || c->phase != PHASE_HANDED || c->serial != end->id.serial)
		return;
	if (end->reason == ENGINE_DENIED_CERTIFICATE || end->reason == ENGINE_DENIED_HTTP_HOST ||
	    end->reason == ENGINE_FAILED)
		notes_add(&g->notes, (enum engine_reason)end->reason, c->name, c->port, end->detail);
	relay_end(c, false);
}

/* Nothing that needs a secret is reached any more; all else is. */
static void lose_broker(struct engine *g)
{
	g->broker = close_fd(g->broker);
	for (size_t i = 0; i < g->max; i++) {
		struct relay *c = g->relays[i];

		if (c && (c->phase == PHASE_HANDED || c->phase == PHASE_HANDING))
			relay_deny(c, ENGINE_FAILED, "the process that has its secret has ended");
	}
}

void bound_event(struct engine *g, uint32_t events)
{
	struct handoff_end end;
	int r = 0;

	while (g->broker >= 0 && (r = handoff_receive_end(g->broker, &end)) > 0)
		ended(g, &end);
	if (r < 0) {
		lose_broker(g);
		return;
	}
	for (size_t i = 0; (events & EPOLLOUT) && i < g->max; i++) {
		struct relay *c = g->relays[i];

		if (!c || c->phase != PHASE_HANDING)
			continue;
		hand(c);
		if (c->phase == PHASE_HANDING)
			return; /* no room again */
	}
}
