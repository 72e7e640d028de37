/* Connections to a port of the box's loopback, made here so that they belong to the box's network and to nothing else.
 *
 * A server whose queue of connections is full does not answer at all; the kernel would ask again after 1, 3, 7 seconds,
 * and the server have nothing to do meanwhile. It is the same machine, so it is asked again after milliseconds. */
#include "guest/guest.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GIVE_UP_MS = 15000, AGAIN_MIN_MS = 10, AGAIN_MAX_MS = 250 };

/* A server of IPv4 is tried first, then one of IPv6. Returns the socket or -errno. */
static int begin(uint16_t port, bool v6)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in6 to6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr *address = v6 ? (const struct sockaddr *)&to6 : (const struct sockaddr *)&to;
	_cleanup_close_ int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return -errno;
	if (connect(fd, address, v6 ? sizeof(to6) : sizeof(to)) < 0 && errno != EINPROGRESS)
		return -errno;
	return take_fd(&fd);
}

/* A port of this machine that was free for a moment was chosen as the socket's own, and it was the very one: then the
 * socket is connected to itself. */
static bool is_own_peer(int fd)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_storage b = {0};
	socklen_t n = sizeof(a);
	socklen_t k = sizeof(b);

	return getsockname(fd, (struct sockaddr *)&a, &n) == 0 && getpeername(fd, (struct sockaddr *)&b, &k) == 0 &&
	       n == k && memcmp(&a, &b, n) == 0;
}

static void remove_dial(struct guest *g, size_t at)
{
	(void)close_fd(g->dials[at].fd);
	g->dials[at] = g->dials[--g->n_dials];
}

/* The other address, or ERR. */
static void failed(struct guest *g, size_t at, int errnum)
{
	struct dial *d = &g->dials[at];

	d->fd = close_fd(d->fd);
	if (!d->v6) {
		d->v6 = true;
		d->fd = begin(d->port, true);
		if (d->fd >= 0)
			return;
	}
	/* Where there is no IPv6, what IPv4 said is what matters. */
	guest_send_err(g, d->stream, d->fd == -ECONNREFUSED ? ECONNREFUSED : errnum, MSG_STAGE_DIAL);
	d->fd = -1;
	remove_dial(g, at);
}

bool dial_has(const struct guest *g, uint32_t stream)
{
	for (size_t i = 0; i < g->n_dials; i++)
		if (g->dials[i].stream == stream)
			return true;
	return false;
}

int dial_start(struct guest *g, uint32_t stream, uint16_t port)
{
	struct dial *d;

	if (command_find(g, stream) || dial_has(g, stream))
		return -EPROTO;
	if (g->closing || g->n_dials == DIALS_MAX) {
		guest_send_err(g, stream, g->closing ? ESHUTDOWN : EAGAIN, MSG_STAGE_DIAL);
		return 0;
	}
	d = &g->dials[g->n_dials++];
	*d = (struct dial){.stream = stream, .port = port, .begun = guest_now_ms()};
	d->again = d->begun + AGAIN_MIN_MS;
	d->fd = begin(port, false);
	if (d->fd < 0)
		failed(g, g->n_dials - 1, -d->fd);
	return 0;
}

int64_t dial_next_time(const struct guest *g)
{
	int64_t at = 0;

	for (size_t i = 0; i < g->n_dials; i++)
		if (at == 0 || g->dials[i].again < at)
			at = g->dials[i].again;
	return at;
}

void dial_again(struct guest *g)
{
	int64_t now = g->n_dials > 0 ? guest_now_ms() : 0;

	for (size_t i = g->n_dials; i-- > 0;) {
		struct dial *d = &g->dials[i];
		int64_t pause = (now - d->begun) / 4;
		struct sockaddr_storage peer;
		socklen_t n = sizeof(peer);

		if (now < d->again)
			continue;
		if (getpeername(d->fd, (struct sockaddr *)&peer, &n) == 0) {
			dial_resolve(g, i);
			continue;
		}
		if (now - d->begun >= GIVE_UP_MS) {
			guest_send_err(g, d->stream, ETIMEDOUT, MSG_STAGE_DIAL);
			remove_dial(g, i);
			continue;
		}
		d->again = now + (pause < AGAIN_MIN_MS ? AGAIN_MIN_MS : pause > AGAIN_MAX_MS ? AGAIN_MAX_MS : pause);
		(void)close_fd(d->fd);
		d->fd = begin(d->port, d->v6);
		if (d->fd < 0)
			failed(g, i, -d->fd);
	}
}

void dial_resolve(struct guest *g, size_t at)
{
	struct dial *d = &g->dials[at];
	uint8_t payload[2];
	int errnum = 0;
	socklen_t n = sizeof(errnum);

	if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &errnum, &n) < 0)
		errnum = errno;
	if (errnum == 0 && is_own_peer(d->fd))
		errnum = ECONNREFUSED;
	if (errnum) {
		failed(g, at, errnum);
		return;
	}
	frame_put16(payload, d->port);
	guest_send(g, d->stream, FRAME_DIALED, payload, sizeof(payload), take_fd(&d->fd));
	remove_dial(g, at);
}
