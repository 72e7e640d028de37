#include "net/bound.h"
#include "net/dnsserve.h"
#include "net/engine_impl.h"
#include "net/relay.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

enum { EVENTS_MAX = 256, ACCEPTS_MAX = 64 };

int engine_watch(struct engine *g, int fd, uint32_t events, enum tag tag, uint32_t index)
{
	struct epoll_event ev = {.events = events, .data.u64 = (uint64_t)index << 32 | tag};

	return epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int engine_use_policy(struct engine *g, struct policy *p, struct err **e)
{
	int r = ports_open(g, p, e);

	if (r < 0) {
		policy_free(p);
		return r;
	}
	policy_free(g->policy);
	g->policy = p;
	relay_check_all(g);
	return 0;
}

static void listeners_watch(struct engine *g, uint32_t events)
{
	for (size_t i = 0; i < g->n_listeners; i++) {
		struct epoll_event ev = {.events = events, .data.u64 = (uint64_t)i << 32 | TAG_LISTENER};

		if (g->listeners[i].port || g->listeners[i].every)
			(void)epoll_ctl(g->epoll_fd, EPOLL_CTL_MOD, g->listeners[i].fd, &ev);
	}
}

static void accept_later(struct engine *g)
{
	listeners_watch(g, 0);
	g->accept_again = g->now + 1;
}

static void on_listener(struct engine *g, uint32_t index)
{
	const struct listener *l = &g->listeners[index];

	for (int i = 0; i < ACCEPTS_MAX; i++) {
		int fd;

		/* They wait in the kernel's queue, until others have ended. */
		if (g->n_free == 0) {
			g->full = true;
			accept_later(g);
			return;
		}
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			relay_accept(g, fd, l->port);
			continue;
		}
		/* Out of descriptors or memory: it would be readable for ever. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			accept_later(g);
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* False when the supervisor is gone. */
static bool dispatch(struct engine *g, const struct epoll_event *ev)
{
	uint32_t index = (uint32_t)(ev->data.u64 >> 32);

	switch ((uint32_t)ev->data.u64) {
	case RESOLVER_TAG:
		resolver_event(g->resolver, (int)index, ev->events);
		break;
	case TAG_CONTROL:
		return policy_receive(g);
	case TAG_HOSTADDR:
		hostaddr_changed(g->hostaddr);
		break;
	case TAG_DNS_UDP:
		dnsserve_udp(g);
		break;
	case TAG_DNS_TCP:
		dnsserve_accept(g);
		break;
	case TAG_DNS_CLIENT:
		dnsserve_client(g, index);
		break;
	case TAG_LISTENER:
		on_listener(g, index);
		break;
	case TAG_BOX:
		relay_event(g, index, BOX, ev->events);
		break;
	case TAG_HOST:
		relay_event(g, index, HOST, ev->events);
		break;
	case TAG_BROKER:
		bound_event(g, ev->events);
		break;
	}
	return true;
}

static void tick(struct engine *g)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	g->now = (uint32_t)t.tv_sec;
}

/* Milliseconds to sleep at most. */
static int housekeeping(struct engine *g)
{
	int ms;
	int names;

	relay_run(g);
	ms = (int)relay_timeouts(g) * 1000;
	dnsserve_timeouts(g);
	relay_bury(g);
	if (g->accept_again && (g->now >= g->accept_again || (g->full && g->n_free > 0))) {
		g->accept_again = 0;
		g->full = false;
		listeners_watch(g, EPOLLIN);
	}
	if (g->runnable)
		return 0;
	names = resolver_wait_ms(g->resolver);
	if (names >= 0 && names < ms)
		ms = names;
	for (size_t i = 0; i < DNS_CLIENTS_MAX; i++)
		if (g->dns_clients[i] && ms > 1000)
			ms = 1000;
	return g->accept_again && ms > 1000 ? 1000 : ms;
}

void engine_serve(struct engine *g)
{
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int ms = housekeeping(g);
		int n = epoll_wait(g->epoll_fd, events, EVENTS_MAX, ms);

		tick(g);
		if (n < 0 && errno != EINTR)
			return;
		for (int i = 0; i < n; i++)
			if (!dispatch(g, &events[i]))
				return;
		if (g->finishing && relay_all_sent(g))
			return;
		if (n < EVENTS_MAX && resolver_wait_ms(g->resolver) == 0)
			resolver_timeout(g->resolver);
	}
}
