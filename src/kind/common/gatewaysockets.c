/* The sockets of a gateway, from where they are made to the supervisor. */
#include "kind/common/gateway_impl.h"

#include "sys/fd.h"
#include "sys/nft.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DNS_PORT = 53, BACKLOG = 128, STORE_BACKLOG = 1024, BATCH = 16 };
enum { AT_ANCHOR = 2, AT_EVERY = 3 };

void gateway_sockets_close(int *fds, size_t n)
{
	while (n > 0)
		(void)close_fd(fds[--n]);
}

static size_t first_spare(const struct gateway *g)
{
	return g->every ? AT_EVERY + 1 : AT_EVERY;
}

/* Behind all others; of a stub: behind those for DNS. */
static size_t at_store(const struct gateway *g)
{
	return g->stub ? 2 : first_spare(g) + g->n_spare;
}

size_t gateway_sockets_count(const struct gateway *g)
{
	return at_store(g) + (g->store ? 1 : 0);
}

int gateway_take(struct gateway *g, struct engine_sockets *ret, struct err **e)
{
	const size_t all = gateway_sockets_count(g);
	int fds[GATEWAY_SOCKETS_MAX];
	size_t have = 0;

	memset(fds, -1, sizeof(fds));
	while (have < all) {
		size_t n = all - have;
		char byte;
		ssize_t k = fd_recv(g->give[0], &byte, 1, fds + have, &n, 0);

		have += k > 0 ? n : 0;
		/* Too few come when this process may open no more. */
		if (k <= 0 || n == 0) {
			gateway_sockets_close(fds, have);
			(void)err_set(e, EPIPE, "cannot take over the sockets of the box's gateway");
			return err_hint(e, "it needs %zu more open files; see `ulimit -n`", all);
		}
	}
	*ret = ENGINE_SOCKETS_INIT;
	ret->dns_udp = fds[0];
	ret->dns_tcp = fds[1];
	ret->store = g->store ? fds[at_store(g)] : -1;
	if (g->stub)
		return 0;
	ret->anchor = fds[AT_ANCHOR];
	ret->every = g->every ? fds[AT_EVERY] : -1;
	memcpy(ret->spare, fds + first_spare(g), g->n_spare * sizeof(*fds));
	ret->n_spare = g->n_spare;
	return 0;
}

int gateway_take_every(struct gateway *g, int *ret, struct err **e)
{
	size_t n = 1;
	char byte;

	if (fd_recv(g->give[0], &byte, 1, ret, &n, 0) <= 0 || n == 0)
		return err_set(e, EPIPE, "cannot take over the socket of the box's gateway");
	return 0;
}

/* The socket that nft_redirect_all() brings every connection to. Its port is one that no other has now; later ones are
 * not bound, because nothing would come to them. */
int gateway_socket_every(int *ret, struct err **e)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = gateway_ipv4("127.0.0.1")};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;
	int r = fd < 0 || setsockopt(fd, SOL_IP, IP_TRANSPARENT, &on, sizeof(on)) < 0 ? -errno : -EADDRINUSE;

	for (uint16_t port = 1; r == -EADDRINUSE && port <= ENGINE_SPARE_SOCKETS + 1; port++) {
		at.sin_port = htons(port);
		r = bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : 0;
	}
	if (r < 0)
		return err_errno(e, -r, "cannot make the socket for every port of the box's gateway");
	r = nft_redirect_all(gateway_ipv4(GATEWAY_ADDRESS), at.sin_addr, ntohs(at.sin_port), e);
	if (r < 0)
		return err_wrap(e, "every port of a host (HOST:*) cannot be allowed");
	*ret = take_fd(&fd);
	return 0;
}

/* fds[0] for DNS over UDP, fds[1] over TCP, and the store's, bound later, when the address is there. */
int gateway_sockets_make(const struct gateway *g, int fds[GATEWAY_SOCKETS_MAX], struct err **e)
{
	const int on = 1;

	for (size_t i = 0; i < gateway_sockets_count(g); i++) {
		const bool udp = i == 0 || (i == AT_ANCHOR && !g->stub);
		int r = 0;

		if (i == AT_EVERY && g->every) {
			r = gateway_socket_every(&fds[i], e);
		} else {
			fds[i] = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
			if (fds[i] < 0 || (!udp && setsockopt(fds[i], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0))
				r = err_errno(e, errno, "cannot make a socket of the box's gateway");
		}
		if (r == 0)
			continue;
		gateway_sockets_close(fds, fds[i] < 0 ? i : i + 1);
		return r;
	}
	return 0;
}

static int bind_store(int fd, struct err **e)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(BOX_STORE_PORT), .sin_addr = gateway_ipv4(GATEWAY_ADDRESS)};
	const int on = 1;

	/* What is set here is what accepted sockets inherit. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, STORE_BACKLOG) < 0)
		return err_errno(e, errno, "cannot listen on the store's socket of the box's gateway");
	return 0;
}

int gateway_sockets_bind(const struct gateway *g, const int *fds, struct err **e)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(DNS_PORT), .sin_addr = gateway_ipv4(GATEWAY_ADDRESS)};

	for (int i = 0; i < 2; i++)
		if (bind(fds[i], (const struct sockaddr *)&at, sizeof(at)) < 0)
			return err_errno(e, errno, "cannot bind the DNS socket of the box's gateway");
	if (listen(fds[1], BACKLOG) < 0)
		return err_errno(e, errno, "cannot listen on the DNS socket of the box's gateway");
	return g->store ? bind_store(fds[at_store(g)], e) : 0;
}

int gateway_sockets_give(const struct gateway *g, const int fds[GATEWAY_SOCKETS_MAX], struct err **e)
{
	const size_t all = gateway_sockets_count(g);
	int r = 0;

	for (size_t i = 0; i < all && r == 0; i += BATCH)
		r = fd_send(g->give[1], "s", 1, fds + i, i + BATCH <= all ? BATCH : all - i);
	return r < 0 ? err_errno(e, -r, "cannot hand over the sockets of the box's gateway") : 0;
}
