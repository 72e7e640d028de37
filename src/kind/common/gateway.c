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
#include "kind/common/gateway_impl.h"
#include "sys/fd.h"
#include "sys/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IPV6_OFF "ipv6/conf/" GATEWAY_LINK_INSIDE "/disable_ipv6"
enum { WAITS_MAX = 5000 };
enum { MORE_PORTS = 9 }; /* beside those of the policy that a box starts with; one is for SSH */

/* --- the supervisor's part -------------------------------------------------------------------------------- */

int gateway_prepare(struct gateway *g, const struct box_spec *spec, bool tap, struct err **e)
{
	_cleanup_policy_ struct policy *policy = policy_new();
	uint16_t ports[POLICY_PORTS_MAX];
	int r = policy_add_all(policy, &spec->allow, e);

	if (r < 0)
		return r;
	if (tap && (g->device = tap_device(e)) < 0)
		return g->device;
	g->stub = !tap && policy_is_empty(policy);
	g->store = spec->host_store;
	g->n_spare = policy_ports(policy, ports) + MORE_PORTS;
	if (g->n_spare > ENGINE_SPARE_SOCKETS)
		g->n_spare = ENGINE_SPARE_SOCKETS;
	g->every = policy_every_port(policy);
	g->n_nets = policy_nets(policy, NULL, 0);
	g->nets = xcalloc(g->n_nets + 1, sizeof(*g->nets));
	(void)policy_nets(policy, g->nets, g->n_nets);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, g->give) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, g->ready) < 0)
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
	g->device = close_fd(g->device);
}

void gateway_release(struct gateway *g)
{
	gateway_forked(g);
	g->give[0] = close_fd(g->give[0]);
	free(g->nets);
	g->nets = NULL;
	g->n_nets = 0;
}

/* --- the gateway namespace -------------------------------------------------------------------------------- */

/* /proc is the host's, and its /proc/sys/net follows whoever looks. */
int gateway_write_sysctl(const char *name, const char *value, struct err **e)
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
	(void)gateway_write_sysctl("ipv4/tcp_congestion_control", "reno", NULL);
}

/* The routes of one end; local ones, or through the gateway at `via`. IPv6 does not lead into a box. */
static int add_routes(const struct gateway *g, struct netlink *n, int link, const struct in_addr *via, struct err **e)
{
	struct netlink_route route = {
		.type = via ? NETLINK_VIA : NETLINK_LOCAL,
		.to = gateway_ipv4(GATEWAY_SYNTHETIC),
		.bits = GATEWAY_SYNTHETIC_BITS,
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

/* All that needs no other end: to be called in G. */
static int make_inside(const struct gateway *g, struct netlink *n, int fds[GATEWAY_SOCKETS_MAX], struct err **e)
{
	int r = netlink_open(n, e);

	if (r == 0)
		r = netlink_up(n, NETLINK_LO, e);
	if (r == 0)
		r = add_routes(g, n, NETLINK_LO, NULL, e);
	if (r == 0)
		r = gateway_write_sysctl("ipv4/ip_unprivileged_port_start", "0",
					 e); /* whoever serves them has no capability */
	plain_tcp();
	return r < 0 ? r : gateway_sockets_make(g, fds, e);
}

/* One end of the link; `n` is in its network namespace. */
static int configure_end(struct netlink *n, const char *name, const char *address, int *ret_link, struct err **e)
{
	int r = netlink_index(n, name, ret_link, e);

	if (r == 0)
		r = netlink_no_ipv6(n, *ret_link, e);
	if (r == 0)
		r = netlink_add_address(n, *ret_link, gateway_ipv4(address), GATEWAY_LINK_BITS, e);
	return r < 0 ? r : netlink_up(n, *ret_link, e);
}

int gateway_configure(struct netlink *n, int *ret_link, struct err **e)
{
	struct netlink_route to_box = {
		.type = NETLINK_LINK, .to = gateway_ipv4(GATEWAY_BOX_ADDRESS), .bits = 32, .local_table = true};
	int r = configure_end(n, GATEWAY_LINK_OUTSIDE, GATEWAY_ADDRESS, ret_link, e);

	to_box.link = *ret_link;
	return r < 0 ? r : netlink_add_route(n, &to_box, e);
}

/* In B. */
static int configure_box(const struct gateway *g, struct err **e)
{
	const struct in_addr gateway = gateway_ipv4(GATEWAY_ADDRESS);
	_cleanup_netlink_ struct netlink n = NETLINK_INIT;
	int link = 0;
	int r = netlink_open(&n, e);

	plain_tcp();
	/* Not there where the kernel has no IPv6. */
	if (r == 0 && access("/proc/sys/net/" IPV6_OFF, F_OK) == 0)
		r = gateway_write_sysctl(IPV6_OFF, "1", e);
	if (r == 0)
		r = configure_end(&n, GATEWAY_LINK_INSIDE, GATEWAY_BOX_ADDRESS, &link, e);
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
	const struct netlink_peer peer = {.name = GATEWAY_LINK_INSIDE, .pid = getpid(), .fd = -1};
	int link = 0;
	int r = netlink_add_veth(n, GATEWAY_LINK_OUTSIDE, &peer, e);

	if (r == 0)
		r = gateway_configure(n, &link, e);
	if (r == 0)
		r = configure_box(g, e);
	return r < 0 ? r : wait_running(n, link, e);
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

/* In G; ends in B, unless the link is a tap. */
static int make(struct gateway *g, pid_t box, struct err **e)
{
	_cleanup_netlink_ struct netlink n = NETLINK_INIT;
	int fds[GATEWAY_SOCKETS_MAX];
	int r;

	memset(fds, -1, sizeof(fds));
	r = make_inside(g, &n, fds, e);
	if (r < 0)
		return r;
	if (g->device >= 0) {
		r = gateway_tap(g, &n, e);
	} else {
		r = enter_box(box, e);
		if (r == 0)
			r = make_link(g, &n, e);
	}
	if (r == 0)
		r = gateway_sockets_bind(g, fds, e);
	if (r == 0)
		r = gateway_sockets_give(g, fds, e);
	gateway_sockets_close(fds, gateway_sockets_count(g));
	return r;
}

/* In B, which stays without a gateway. */
static int make_stub(const struct gateway *g, struct err **e)
{
	_cleanup_netlink_ struct netlink n = NETLINK_INIT;
	int fds[GATEWAY_SOCKETS_MAX];
	int r = netlink_open(&n, e);

	memset(fds, -1, sizeof(fds));
	if (r == 0)
		r = netlink_up(&n, NETLINK_LO, e);
	if (r == 0)
		r = netlink_add_address(&n, NETLINK_LO, gateway_ipv4(GATEWAY_ADDRESS), 32, e);
	if (r == 0)
		r = gateway_sockets_make(g, fds, e);
	if (r < 0)
		return r;
	r = gateway_sockets_bind(g, fds, e);
	if (r == 0)
		r = gateway_sockets_give(g, fds, e);
	gateway_sockets_close(fds, gateway_sockets_count(g));
	return r;
}

static int make_gateway(struct gateway *g, pid_t box, struct err **e)
{
	if (unshare(CLONE_NEWNET) < 0)
		return err_errno(e, errno, "cannot make the gateway namespace");
	return make(g, box, e);
}

/* With the tap, which the box has alone from then on. */
static int tell_ready(struct gateway *g, struct err **e)
{
	int r = fd_send(g->ready[1], "r", 1, &g->tap, g->tap < 0 ? 0 : 1);

	g->tap = close_fd(g->tap);
	return r < 0 ? err_errno(e, -r, "cannot tell the box that its gateway is there") : 0;
}

int gateway_make(struct gateway *g, pid_t box, struct err **e)
{
	int r = g->stub ? enter_box(box, e) : make_gateway(g, box, e);

	if (r == 0 && g->stub)
		r = make_stub(g, e);
	return r < 0 ? r : tell_ready(g, e);
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
		r = netlink_remove_address(&n, NETLINK_LO, gateway_ipv4(GATEWAY_ADDRESS), 32, e);
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
	r = gateway_socket_every(&every, e);
	if (r == 0 && (r = fd_send(g->give[1], "s", 1, &every, 1)) < 0)
		(void)err_errno(e, -r, "cannot hand over the socket of the box's gateway");
	return r;
}

int gateway_widen(struct gateway *g, pid_t box, int anchor, struct err **e)
{
	const struct in_addr gateway = gateway_ipv4(GATEWAY_ADDRESS);
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
		r = netlink_index(&n, GATEWAY_LINK_INSIDE, &link, e);
	/* The other end is a tap. */
	if (r == -ENODEV) {
		err_clear(e);
		return 0;
	}
	return r < 0 ? r : add_routes(g, &n, link, &gateway, e);
}

int gateway_wait(struct gateway *g, struct err **e)
{
	size_t n_fds = 1;
	char byte;
	ssize_t n;

	/* Else the end of the helper, which holds the other one, would not be seen here. */
	g->ready[1] = close_fd(g->ready[1]);
	n = fd_recv(g->ready[0], &byte, 1, &g->tap, &n_fds, 0);
	return n == 1 ? 0 : err_set(e, EPIPE, "the box's gateway ended while it was being made");
}
