/* Connections to a port of the box's loopback, made here so that they belong to the box's network and to nothing else.
 * The kernel's own limit of SYNs is their time limit. */
#include "guest/guest.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* After 1, 2, 4 and 8 seconds: 15 in all. */
enum { SYN_RETRIES = 3 };

/* A server of IPv4 is tried first, then one of IPv6. Returns the socket or -errno. */
static int begin(uint16_t port, bool v6)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr_in6 to6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const struct sockaddr *address = v6 ? (const struct sockaddr *)&to6 : (const struct sockaddr *)&to;
	_cleanup_close_ int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int retries = SYN_RETRIES;
	const int on = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof(retries)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
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
	*d = (struct dial){.stream = stream, .port = port, .fd = begin(port, false)};
	if (d->fd < 0)
		failed(g, g->n_dials - 1, -d->fd);
	return 0;
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
