/* Theory of operation
 *
 * Two processes work at the same time: the box's first process, in its own network namespace B, builds the box's root;
 * the helper that cloned it makes the gateway namespace G meanwhile, which therefore costs a start little. B is there
 * before G, so the box has never been in G and holds nothing of it. The helper opens what belongs to G, goes over to B,
 * makes and configures the link from there, and says so; then the box goes on. When anything fails, it ends without
 * saying so, and the box ends too.
 *
 * The sockets reach the supervisor in a few messages of fd_send(), which wait in the socket until the box has started.
 *
 * An address is local in G by a route in the local table. The kernel looks there first, and only there for whether a
 * socket may answer from an address. So that a granted network which covers the link's own addresses does not make the
 * box's address local too, G has a longer route to that in the same table. */
#include "kind/common/gateway.h"

#include "sys/fd.h"
#include "sys/nft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The synthetic addresses (RFC 2544's, which no machine has: net/synth.h). */
#define SYNTHETIC "198.18.0.0"
#define LINK_OUTSIDE "gw0"
#define LINK_INSIDE "eth0"
#define IPV6_OFF "ipv6/conf/" LINK_INSIDE "/disable_ipv6"
enum {
	SYNTHETIC_BITS = 15,
	LINK_BITS = 30,
	DNS_PORT = 53,
	BACKLOG = 128,
	STORE_BACKLOG = 1024,
	BATCH = 16,
	WAITS_MAX = 5000
};
enum { MORE_PORTS = 9 };                         /* beside those of the policy that a box starts with; one is for SSH */
enum { ALL_SOCKETS = ENGINE_SPARE_SOCKETS + 5 }; /* DNS over UDP, over TCP; anchor, every port; spare ones; store */
enum { AT_ANCHOR = 2, AT_EVERY = 3 };

static struct in_addr ipv4(const char *text)
{
	struct in_addr a = {0};

	(void)inet_pton(AF_INET, text, &a);
	return a;
}

/* --- the supervisor's part -------------------------------------------------------------------------------- */

int gateway_prepare(struct gateway *g, const struct box_spec *spec, struct err **e)
{
	_cleanup_policy_ struct policy *policy = policy_new();
	uint16_t ports[POLICY_PORTS_MAX];
	int r = policy_add_all(policy, &spec->allow, e);

	if (r < 0)
		return r;
	g->stub = policy_is_empty(policy);
	g->store = spec->host_store;
	g->n_spare = policy_ports(policy, ports) + MORE_PORTS;
	if (g->n_spare > ENGINE_SPARE_SOCKETS)
		g->n_spare = ENGINE_SPARE_SOCKETS;
	g->every = policy_every_port(policy);
	g->n_nets = policy_nets(policy, NULL, 0);
	g->nets = xcalloc(g->n_nets + 1, sizeof(*g->nets));
	(void)policy_nets(policy, g->nets, g->n_nets);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, g->give) < 0 ||
	    pipe2(g->ready, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make the gateway's connection");
	return 0;
}

void gateway_forked(struct gateway *g)
{
	if (!g)
		return;
	g->give[1] = close_fd(g->give[1]);
	g->ready[0] = close_fd(g->ready[0]);
	g->ready[1] = close_fd(g->ready[1]);
}

void gateway_release(struct gateway *g)
{
	gateway_forked(g);
	g->give[0] = close_fd(g->give[0]);
	free(g->nets);
	g->nets = NULL;
	g->n_nets = 0;
}

static void close_all(int *fds, size_t n)
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

static size_t socket_count(const struct gateway *g)
{
	return at_store(g) + (g->store ? 1 : 0);
}

int gateway_take(struct gateway *g, struct engine_sockets *ret, struct err **e)
{
	const size_t all = socket_count(g);
	int fds[ALL_SOCKETS];
	size_t have = 0;

	memset(fds, -1, sizeof(fds));
	while (have < all) {
		size_t n = all - have;
		char byte;
		ssize_t k = fd_recv(g->give[0], &byte, 1, fds + have, &n, 0);

		have += k > 0 ? n : 0;
		/* Too few come when this process may open no more. */
		if (k <= 0 || n == 0) {
			close_all(fds, have);
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

/* --- the gateway namespace -------------------------------------------------------------------------------- */

/* Of the caller's network namespace; /proc is the host's, and its /proc/sys/net follows whoever looks. */
static int write_sysctl(const char *name, const char *value, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("/proc/sys/net/%s", name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : fd_write_all(fd, value, strlen(value));

	if (r == 0)
		return 0;
	(void)err_errno(e, -r, "cannot write %s for the box's gateway", path);
	return r == -EROFS ? err_hint(e, "igloo runs in a container with a read-only /proc/sys; see `igloo doctor`")
			   : r;
}

/* A link within one machine has nothing to control, and what paces its packets (BBR, where it is the default) only
 * takes time: 18 to 35 % of the processor's for each byte. Reno is in every kernel and may be chosen by everyone. */
static void plain_tcp(void)
{
	(void)write_sysctl("ipv4/tcp_congestion_control", "reno", NULL);
}

/* The routes of one end; local ones, or through the gateway at `via`. IPv6 does not lead into a box. */
static int add_routes(const struct gateway *g, struct netlink *n, int link, const struct in_addr *via, struct err **e)
{
	struct netlink_route route = {
		.type = via ? NETLINK_VIA : NETLINK_LOCAL,
		.to = ipv4(SYNTHETIC),
		.bits = SYNTHETIC_BITS,
		.link = link,
		.via = via ? *via : (struct in_addr){0},
	};
	int r = netlink_add_route(n, &route, e);

	for (size_t i = 0; i < g->n_nets && r == 0; i++) {
		if (g->nets[i].net.family != AF_INET)
			continue;
		memcpy(&route.to, g->nets[i].net.bytes, sizeof(route.to));
		route.bits = g->nets[i].bits;
		r = netlink_add_route(n, &route, e);
	}
	return r;
}

/* The socket that nft_redirect_all() brings every connection to. Its port is one that no other has now; later ones are
 * not bound, because nothing would come to them. */
static int make_every(int *ret, struct err **e)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = ipv4("127.0.0.1")};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;
	int r = fd < 0 || setsockopt(fd, SOL_IP, IP_TRANSPARENT, &on, sizeof(on)) < 0 ? -errno : -EADDRINUSE;

	for (uint16_t port = 1; r == -EADDRINUSE && port <= ENGINE_SPARE_SOCKETS + 1; port++) {
		at.sin_port = htons(port);
		r = bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ? -errno : 0;
	}
	if (r < 0)
		return err_errno(e, -r, "cannot make the socket for every port of the box's gateway");
	r = nft_redirect_all(ipv4(GATEWAY_ADDRESS), at.sin_addr, ntohs(at.sin_port), e);
	if (r < 0)
		return err_wrap(e, "every port of a host (HOST:*) cannot be allowed");
	*ret = take_fd(&fd);
	return 0;
}

/* fds[0] for DNS over UDP, fds[1] over TCP, and the store's, bound later, when the address is there. */
static int make_sockets(const struct gateway *g, int fds[ALL_SOCKETS], struct err **e)
{
	const int on = 1;

	for (size_t i = 0; i < socket_count(g); i++) {
		const bool udp = i == 0 || (i == AT_ANCHOR && !g->stub);
		int r = 0;

		if (i == AT_EVERY && g->every) {
			r = make_every(&fds[i], e);
		} else {
			fds[i] = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
			if (fds[i] < 0 || (!udp && setsockopt(fds[i], SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0))
				r = err_errno(e, errno, "cannot make a socket of the box's gateway");
		}
		if (r == 0)
			continue;
		close_all(fds, fds[i] < 0 ? i : i + 1);
		return r;
	}
	return 0;
}

static int bind_store(int fd, struct err **e)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(BOX_STORE_PORT), .sin_addr = ipv4(GATEWAY_ADDRESS)};
	const int on = 1;

	/* What is set here is what accepted sockets inherit. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, STORE_BACKLOG) < 0)
		return err_errno(e, errno, "cannot listen on the store's socket of the box's gateway");
	return 0;
}

static int bind_all(const struct gateway *g, const int *fds, struct err **e)
{
	const struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(DNS_PORT), .sin_addr = ipv4(GATEWAY_ADDRESS)};

	for (int i = 0; i < 2; i++)
		if (bind(fds[i], (const struct sockaddr *)&at, sizeof(at)) < 0)
			return err_errno(e, errno, "cannot bind the DNS socket of the box's gateway");
	if (listen(fds[1], BACKLOG) < 0)
		return err_errno(e, errno, "cannot listen on the DNS socket of the box's gateway");
	return g->store ? bind_store(fds[at_store(g)], e) : 0;
}

/* All that needs no other end: to be called in G. */
static int make_inside(const struct gateway *g, struct netlink *n, int fds[ALL_SOCKETS], struct err **e)
{
	int r = netlink_open(n, e);

	if (r == 0)
		r = netlink_up(n, NETLINK_LO, e);
	if (r == 0)
		r = add_routes(g, n, NETLINK_LO, NULL, e);
	if (r == 0)
		r = write_sysctl("ipv4/ip_unprivileged_port_start", "0", e); /* whoever serves them has no capability */
	plain_tcp();
	return r < 0 ? r : make_sockets(g, fds, e);
}

/* One end of the link; `n` is in its network namespace. */
static int configure_end(struct netlink *n, const char *name, const char *address, int *ret_link, struct err **e)
{
	int r = netlink_index(n, name, ret_link, e);

	if (r == 0)
		r = netlink_no_ipv6(n, *ret_link, e);
	if (r == 0)
		r = netlink_add_address(n, *ret_link, ipv4(address), LINK_BITS, e);
	return r < 0 ? r : netlink_up(n, *ret_link, e);
}

static int configure_gateway(struct netlink *n, int *ret_link, struct err **e)
{
	struct netlink_route to_box = {
		.type = NETLINK_LINK, .to = ipv4(GATEWAY_BOX_ADDRESS), .bits = 32, .local_table = true};
	int r = configure_end(n, LINK_OUTSIDE, GATEWAY_ADDRESS, ret_link, e);

	to_box.link = *ret_link;
	return r < 0 ? r : netlink_add_route(n, &to_box, e);
}

/* In B. */
static int configure_box(const struct gateway *g, struct err **e)
{
	const struct in_addr gateway = ipv4(GATEWAY_ADDRESS);
	_cleanup_netlink_ struct netlink n = NETLINK_INIT;
	int link = 0;
	int r = netlink_open(&n, e);

	plain_tcp();
	/* Not there where the kernel has no IPv6. */
	if (r == 0 && access("/proc/sys/net/" IPV6_OFF, F_OK) == 0)
		r = write_sysctl(IPV6_OFF, "1", e);
	if (r == 0)
		r = configure_end(&n, LINK_INSIDE, GATEWAY_BOX_ADDRESS, &link, e);
	/* Some programs look whether a link is running; asking makes it so (netlink.c). */
	if (r == 0)
		r = netlink_is_running(&n, link, e);
	return r < 0 ? r : add_routes(g, &n, link, &gateway, e);
}

/* G's end came up first, so it drops the first answers to the box until the kernel has noticed the other end. Programs
 * would ask again after a second. */
static int wait_running(struct netlink *n, int link, struct err **e)
{
	const struct timespec pause = {.tv_nsec = 200000};
	int r = 0;

	for (int i = 0; i < WAITS_MAX && (r = netlink_is_running(n, link, e)) == 0; i++)
		(void)nanosleep(&pause, NULL);
	return r < 0 ? r : 0;
}

/* In B; `n` is in G. */
static int make_link(const struct gateway *g, struct netlink *n, struct err **e)
{
	const struct netlink_peer peer = {.name = LINK_INSIDE, .pid = getpid(), .fd = -1};
	int link = 0;
	int r = netlink_add_veth(n, LINK_OUTSIDE, &peer, e);

	if (r == 0)
		r = configure_gateway(n, &link, e);
	if (r == 0)
		r = configure_box(g, e);
	return r < 0 ? r : wait_running(n, link, e);
}

static int give_sockets(const struct gateway *g, const int fds[ALL_SOCKETS], struct err **e)
{
	const size_t all = socket_count(g);
	int r = 0;

	for (size_t i = 0; i < all && r == 0; i += BATCH)
		r = fd_send(g->give[1], "s", 1, fds + i, i + BATCH <= all ? BATCH : all - i);
	return r < 0 ? err_errno(e, -r, "cannot hand over the sockets of the box's gateway") : 0;
}

/* From G to B: that of the box's first process, or a new one. What belongs to G stays there. */
static int enter_box(pid_t box, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/ns/net", (int)box);
	_cleanup_close_ int fd = -1;

	if (box == 0)
		return unshare(CLONE_NEWNET) < 0 ? err_errno(e, errno, "cannot make the box's network namespace") : 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		return err_errno(e, errno, "cannot enter the box's network namespace");
	return 0;
}

/* In G; ends in B. */
static int make(const struct gateway *g, pid_t box, struct err **e)
{
	_cleanup_netlink_ struct netlink n = NETLINK_INIT;
	int fds[ALL_SOCKETS];
	int r;

	memset(fds, -1, sizeof(fds));
	r = make_inside(g, &n, fds, e);
	if (r < 0)
		return r;
	r = enter_box(box, e);
	if (r == 0)
		r = make_link(g, &n, e);
	if (r == 0)
		r = bind_all(g, fds, e);
	if (r == 0)
		r = give_sockets(g, fds, e);
	close_all(fds, socket_count(g));
	return r;
}

/* In B, which stays without a gateway. */
static int make_stub(const struct gateway *g, struct err **e)
{
	_cleanup_netlink_ struct netlink n = NETLINK_INIT;
	int fds[ALL_SOCKETS];
	int r = netlink_open(&n, e);

	memset(fds, -1, sizeof(fds));
	if (r == 0)
		r = netlink_up(&n, NETLINK_LO, e);
	if (r == 0)
		r = netlink_add_address(&n, NETLINK_LO, ipv4(GATEWAY_ADDRESS), 32, e);
	if (r == 0)
		r = make_sockets(g, fds, e);
	if (r < 0)
		return r;
	r = bind_all(g, fds, e);
	if (r == 0)
		r = give_sockets(g, fds, e);
	close_all(fds, socket_count(g));
	return r;
}

static int make_gateway(const struct gateway *g, pid_t box, struct err **e)
{
	if (unshare(CLONE_NEWNET) < 0)
		return err_errno(e, errno, "cannot make the gateway namespace");
	return make(g, box, e);
}

int gateway_make(struct gateway *g, pid_t box, struct err **e)
{
	int r = g->stub ? enter_box(box, e) : make_gateway(g, box, e);

	if (r == 0 && g->stub)
		r = make_stub(g, e);
	if (r == 0 && (r = fd_write_all(g->ready[1], "r", 1)) < 0)
		(void)err_errno(e, -r, "cannot tell the box that its gateway is there");
	return r;
}

int gateway_make_alone(struct gateway *g, struct err **e)
{
	return g->stub ? make_stub(g, e) : make(g, 0, e);
}

int gateway_make_late(struct gateway *g, pid_t box, struct err **e)
{
	_cleanup_netlink_ struct netlink n = NETLINK_INIT;
	int r = enter_box(box, e);

	if (r == 0)
		r = netlink_open(&n, e);
	/* It would be the box's own there, and hide the gateway's. */
	if (r == 0)
		r = netlink_remove_address(&n, NETLINK_LO, ipv4(GATEWAY_ADDRESS), 32, e);
	return r < 0 ? r : make_gateway(g, box, e);
}

/* Through a socket that is there, because no process is. */
static int enter_gateway(int anchor, struct err **e)
{
	_cleanup_close_ int fd = ioctl(anchor, SIOCGSKNS);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		return err_errno(e, errno, "cannot enter the network namespace of the box's gateway");
	return 0;
}

static int widen_inside(const struct gateway *g, struct err **e)
{
	_cleanup_netlink_ struct netlink n = NETLINK_INIT;
	_cleanup_close_ int every = -1;
	int r = netlink_open(&n, e);

	if (r == 0)
		r = add_routes(g, &n, NETLINK_LO, NULL, e);
	if (r < 0 || !g->every)
		return r;
	r = make_every(&every, e);
	if (r == 0 && (r = fd_send(g->give[1], "s", 1, &every, 1)) < 0)
		(void)err_errno(e, -r, "cannot hand over the socket of the box's gateway");
	return r;
}

int gateway_widen(struct gateway *g, pid_t box, int anchor, struct err **e)
{
	const struct in_addr gateway = ipv4(GATEWAY_ADDRESS);
	_cleanup_netlink_ struct netlink n = NETLINK_INIT;
	int link = 0;
	int r = enter_gateway(anchor, e);

	if (r == 0)
		r = widen_inside(g, e);
	if (r == 0)
		r = enter_box(box, e);
	if (r == 0)
		r = netlink_open(&n, e);
	if (r == 0)
		r = netlink_index(&n, LINK_INSIDE, &link, e);
	return r < 0 ? r : add_routes(g, &n, link, &gateway, e);
}

int gateway_wait(struct gateway *g, struct err **e)
{
	char byte;
	ssize_t n;

	/* Else the end of the helper, which holds the other one, would not be seen here. */
	g->ready[1] = close_fd(g->ready[1]);
	do
		n = read(g->ready[0], &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : err_set(e, EPIPE, "the box's gateway ended while it was being made");
}
