#include "net/bound.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void dial_free(struct relay *c)
{
	if (c->resolving)
		resolver_cancel(c->g->resolver, c);
	c->resolving = false;
	free(c->dial);
	c->dial = NULL;
}

bool dial_allowed(struct engine *g, const struct address *a, uint16_t port)
{
	if (policy_allows_address(g->policy, a, port))
		return true;
	return address_class(a) == ADDRESS_PUBLIC && !hostaddr_has(g->hostaddr, a);
}

static int try_connect(struct relay *c, const struct address *a)
{
	_cleanup_close_ int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_storage to;
	socklen_t n = address_to_sockaddr(a, c->port, &to);
	int on = 1;
	int r;

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&to, n) < 0 && errno != EINPROGRESS)
		return -errno;
	r = engine_watch(c->g, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, TAG_HOST, c->index);
	if (r < 0)
		return r;
	c->fd[HOST] = take_fd(&fd);
	return 0;
}

static void dial_next(struct relay *c)
{
	struct dial *d = c->dial;

	c->phase = PHASE_DIAL;
	while (d->next < d->n) {
		const struct address *a = &d->addresses[d->next++];
		/* The policy may have changed since they were looked up. */
		int r = !c->name || dial_allowed(c->g, a, c->port) ? try_connect(c, a) : -EACCES;

		if (r == 0) {
			relay_wait(c, WAIT_DIAL);
			return;
		}
		d->error = -r;
	}
	relay_deny(c, ENGINE_FAILED, strerror(d->error));
}

static void on_resolved(void *arg, int result, const struct address *addresses, size_t n)
{
	struct relay *c = arg;
	struct dial *d = c->dial;
	const struct address *refused = NULL;

	c->resolving = false;
	if (result < 0) {
		relay_deny(c, ENGINE_FAILED,
			   result == -ENOENT      ? "the host finds no such name"
			   : result == -ETIMEDOUT ? "the host's name servers do not answer"
						  : "the host's name servers fail");
		return;
	}
	for (size_t i = 0; addresses && i < n && d->n < DIAL_ADDRESSES_MAX; i++) {
		if (dial_allowed(c->g, &addresses[i], c->port))
			d->addresses[d->n++] = addresses[i];
		else if (!refused)
			refused = &addresses[i];
	}
	if (d->n == 0) {
		char text[ADDRESS_TEXT_MAX] = "";

		if (refused)
			address_format(refused, text);
		relay_deny(c, ENGINE_DENIED_ADDRESS, text);
		return;
	}
	dial_next(c);
}

void dial_start(struct relay *c)
{
	int r;

	if (!c->dial)
		c->dial = xcalloc(1, sizeof(*c->dial));
	if (!c->name) {
		dial_next(c);
		return;
	}
	c->phase = PHASE_RESOLVE;
	c->resolving = true;
	relay_wait(c, WAIT_DIAL);
	r = resolver_start(c->g->resolver, c->name, on_resolved, c);
	if (r < 0) {
		c->resolving = false;
		relay_deny(c, ENGINE_FAILED, "too many names are being looked up");
	}
}

static void dial_failed(struct relay *c, int error)
{
	c->dial->error = error;
	c->fd[HOST] = close_fd(c->fd[HOST]);
	c->flow[HOST].readable = c->flow[HOST].writable = false;
	dial_next(c);
}

void dial_timeout(struct relay *c)
{
	if (c->phase == PHASE_RESOLVE)
		relay_deny(c, ENGINE_FAILED, "the host's name servers do not answer");
	else
		dial_failed(c, ETIMEDOUT);
}

void dial_event(struct relay *c, uint32_t events)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (events & (EPOLLERR | EPOLLHUP)) {
		if (getsockopt(c->fd[HOST], SOL_SOCKET, SO_ERROR, &error, &n) < 0)
			error = errno;
		if (error || !(events & EPOLLOUT)) {
			dial_failed(c, error ? error : ECONNRESET);
			return;
		}
	}
	if (!(events & EPOLLOUT))
		return;
	dial_free(c);
	if (c->name && bound_has(c->g, c->name, c->port)) {
		bound_hand(c);
		return;
	}
	c->phase = PHASE_FLOW;
	relay_wait(c, WAIT_FRESH);
	flow_run(c);
}
