#include "sys/netlink.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* The longest request is that for a pair; the answers that are read have their fixed part only. Others than the one
 * that is waited for do not come: nothing subscribes. */
enum { REQUEST_MAX = 512, ANSWER_MAX = 8192, ANSWERS_MAX = 16, TIMEOUT_SECONDS = 10 };

union request {
	struct nlmsghdr head;
	char bytes[REQUEST_MAX];
};

int netlink_open(struct netlink *n, struct err **e)
{
	const struct timeval limit = {.tv_sec = TIMEOUT_SECONDS};

	n->sequence = 0;
	n->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (n->fd < 0)
		return err_errno(e, errno, "cannot open a netlink socket");
	(void)setsockopt(n->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return 0;
}

void netlink_close(struct netlink *n)
{
	n->fd = close_fd(n->fd);
}

/* --- requests --------------------------------------------------------------------------------------------- */

/* Starts a request whose fixed part is n bytes. */
static void begin(union request *q, uint16_t type, uint16_t flags, const void *fixed, size_t n)
{
	memset(q, 0, sizeof(*q));
	q->head.nlmsg_type = type;
	q->head.nlmsg_flags = NLM_F_REQUEST | flags;
	q->head.nlmsg_len = (uint32_t)NLMSG_LENGTH(n);
	memcpy(NLMSG_DATA(&q->head), fixed, n);
}

static size_t space_left(const union request *q)
{
	size_t used = NLMSG_ALIGN(q->head.nlmsg_len);

	return used < sizeof(q->bytes) ? sizeof(q->bytes) - used : 0;
}

/* A request that gets too long is made longer than its space, and then refused by transact(). */
static void overflow(union request *q)
{
	q->head.nlmsg_len = UINT32_MAX;
}

static bool overflowed(const union request *q)
{
	return q->head.nlmsg_len > sizeof(q->bytes);
}

static void put(union request *q, uint16_t type, const void *data, size_t n)
{
	struct rtattr attr = {.rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(n)};
	char *at;

	if (overflowed(q) || n > REQUEST_MAX || RTA_SPACE(n) > space_left(q)) {
		overflow(q);
		return;
	}
	at = q->bytes + NLMSG_ALIGN(q->head.nlmsg_len);
	memcpy(at, &attr, sizeof(attr));
	if (n > 0)
		memcpy(at + RTA_LENGTH(0), data, n);
	q->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(q->head.nlmsg_len) + RTA_SPACE(n));
}

static void put_u32(union request *q, uint16_t type, uint32_t value)
{
	put(q, type, &value, sizeof(value));
}

/* With its NUL. */
static void put_name(union request *q, uint16_t type, const char *name)
{
	put(q, type, name, strlen(name) + 1);
}

/* Opens an attribute that has attributes in it; what it returns goes to nest_end(). */
static uint32_t nest(union request *q, uint16_t type)
{
	uint32_t start = overflowed(q) ? 0 : NLMSG_ALIGN(q->head.nlmsg_len);

	put(q, type, NULL, 0);
	return start;
}

static void nest_end(union request *q, uint32_t start)
{
	struct rtattr attr;

	if (overflowed(q))
		return;
	memcpy(&attr, q->bytes + start, sizeof(attr));
	attr.rta_len = (uint16_t)(q->head.nlmsg_len - start);
	memcpy(q->bytes + start, &attr, sizeof(attr));
}

/* --- the exchange ----------------------------------------------------------------------------------------- */

/* One answer: 1 when it belongs to another request; -errno; 0 with what it is in *ret (its fixed part at most). */
static int receive(struct netlink *n, void *ret, size_t size)
{
	union {
		struct nlmsghdr head;
		char bytes[ANSWER_MAX];
	} answer;
	struct sockaddr_nl from = {0};
	socklen_t from_len = sizeof(from);
	ssize_t k = recvfrom(n->fd, &answer, sizeof(answer), 0, (struct sockaddr *)&from, &from_len);

	if (k < 0)
		return errno == EINTR ? 1 : errno == EAGAIN ? -ETIMEDOUT : -errno;
	/* Only the kernel has the address 0. */
	if (from_len != sizeof(from) || from.nl_pid != 0 || (size_t)k < sizeof(answer.head) ||
	    answer.head.nlmsg_seq != n->sequence)
		return 1;
	if (answer.head.nlmsg_type == NLMSG_ERROR) {
		struct nlmsgerr error;

		if ((size_t)k < NLMSG_LENGTH(sizeof(error.error)))
			return -EBADMSG;
		memcpy(&error.error, NLMSG_DATA(&answer.head), sizeof(error.error));
		return error.error > 0 || (error.error == 0 && size > 0) ? -EBADMSG : error.error;
	}
	if (size == 0 || (size_t)k < NLMSG_LENGTH(size))
		return -EBADMSG;
	memcpy(ret, NLMSG_DATA(&answer.head), size);
	return 0;
}

/* Sends the request and waits for its acknowledgement, or for its answer if `size` > 0, the fixed part of which goes to
 * *ret. */
static int transact(struct netlink *n, union request *q, void *ret, size_t size)
{
	ssize_t k;
	int r = 1;

	if (overflowed(q))
		return -EMSGSIZE;
	if (size == 0)
		q->head.nlmsg_flags |= NLM_F_ACK;
	q->head.nlmsg_seq = ++n->sequence;
	do
		k = send(n->fd, q, q->head.nlmsg_len, 0);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return -errno;
	for (int i = 0; i < ANSWERS_MAX && r > 0; i++)
		r = receive(n, ret, size);
	return r > 0 ? -EBADMSG : r;
}

/* --- links ------------------------------------------------------------------------------------------------ */

int netlink_add_veth(struct netlink *n, const char *name, const struct netlink_peer *peer, struct err **e)
{
	const struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	union request q;
	uint32_t link;
	uint32_t data;
	uint32_t other;
	int r;

	begin(&q, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	if (name)
		put_name(&q, IFLA_IFNAME, name);
	link = nest(&q, IFLA_LINKINFO);
	put_name(&q, IFLA_INFO_KIND, "veth");
	data = nest(&q, IFLA_INFO_DATA);
	/* The peer's attribute begins with a fixed part of its own. */
	other = overflowed(&q) ? 0 : NLMSG_ALIGN(q.head.nlmsg_len);
	put(&q, VETH_INFO_PEER, &info, sizeof(info));
	if (peer->name)
		put_name(&q, IFLA_IFNAME, peer->name);
	if (peer->pid > 0)
		put_u32(&q, IFLA_NET_NS_PID, (uint32_t)peer->pid);
	else if (peer->fd >= 0)
		put_u32(&q, IFLA_NET_NS_FD, (uint32_t)peer->fd);
	nest_end(&q, other);
	nest_end(&q, data);
	nest_end(&q, link);
	r = transact(n, &q, NULL, 0);
	return r < 0 ? err_errno(e, -r, "cannot make a pair of virtual network links") : 0;
}

int netlink_index(struct netlink *n, const char *name, int *ret, struct err **e)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC};
	union request q;
	int r;

	begin(&q, RTM_GETLINK, 0, &info, sizeof(info));
	put_name(&q, IFLA_IFNAME, name);
	r = transact(n, &q, &info, sizeof(info));
	if (r < 0)
		return err_errno(e, -r, "cannot find the network link '%s'", name);
	*ret = info.ifi_index;
	return 0;
}

/* The kernel's link watch, which lets a link send after its carrier came, notes that in the operational state, of which
 * IFF_RUNNING tells. From Linux 6.8 on this very question makes it do so at once (rtnl_getlink()). */
int netlink_is_running(struct netlink *n, int link, struct err **e)
{
	struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = link};
	union request q;
	int r;

	begin(&q, RTM_GETLINK, 0, &info, sizeof(info));
	r = transact(n, &q, &info, sizeof(info));
	if (r < 0)
		return err_errno(e, -r, "cannot look at network link %d", link);
	return (info.ifi_flags & IFF_RUNNING) != 0;
}

int netlink_no_ipv6(struct netlink *n, int link, struct err **e)
{
	const struct ifinfomsg info = {.ifi_family = AF_UNSPEC, .ifi_index = link};
	const uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
	union request q;
	uint32_t families;
	uint32_t family;
	int r;

	begin(&q, RTM_SETLINK, 0, &info, sizeof(info));
	families = nest(&q, IFLA_AF_SPEC);
	family = nest(&q, AF_INET6);
	put(&q, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
	nest_end(&q, family);
	nest_end(&q, families);
	r = transact(n, &q, NULL, 0);
	if (r == -EAFNOSUPPORT) /* IPv6 is not in this kernel, or was disabled when it started */
		return 0;
	return r < 0 ? err_errno(e, -r, "cannot turn IPv6 off on network link %d", link) : 0;
}

int netlink_up(struct netlink *n, int link, struct err **e)
{
	const struct ifinfomsg info = {
		.ifi_family = AF_UNSPEC, .ifi_index = link, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	union request q;
	int r;

	begin(&q, RTM_SETLINK, 0, &info, sizeof(info));
	r = transact(n, &q, NULL, 0);
	return r < 0 ? err_errno(e, -r, "cannot bring up network link %d", link) : 0;
}

/* --- addresses and routes --------------------------------------------------------------------------------- */

int netlink_add_address(struct netlink *n, int link, struct in_addr address, unsigned bits, struct err **e)
{
	const struct ifaddrmsg info = {
		.ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)bits, .ifa_index = (uint32_t)link};
	char text[INET_ADDRSTRLEN];
	union request q;
	int r;

	begin(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	put(&q, IFA_LOCAL, &address, sizeof(address));
	put(&q, IFA_ADDRESS, &address, sizeof(address));
	r = transact(n, &q, NULL, 0);
	if (r < 0)
		(void)inet_ntop(AF_INET, &address, text, sizeof(text));
	return r < 0 ? err_errno(e, -r, "cannot give network link %d the address %s/%u", link, text, bits) : 0;
}

int netlink_remove_address(struct netlink *n, int link, struct in_addr address, unsigned bits, struct err **e)
{
	const struct ifaddrmsg info = {
		.ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)bits, .ifa_index = (uint32_t)link};
	union request q;
	int r;

	begin(&q, RTM_DELADDR, 0, &info, sizeof(info));
	put(&q, IFA_LOCAL, &address, sizeof(address));
	r = transact(n, &q, NULL, 0);
	return r < 0 && r != -EADDRNOTAVAIL ? err_errno(e, -r, "cannot take an address from network link %d", link) : 0;
}

int netlink_add_route(struct netlink *n, const struct netlink_route *route, struct err **e)
{
	const bool local = route->type == NETLINK_LOCAL;
	const struct rtmsg info = {
		.rtm_family = AF_INET,
		.rtm_dst_len = (uint8_t)route->bits,
		.rtm_table = local || route->local_table ? RT_TABLE_LOCAL : RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = local                         ? RT_SCOPE_HOST
			     : route->type == NETLINK_LINK ? RT_SCOPE_LINK
							   : RT_SCOPE_UNIVERSE,
		.rtm_type = local ? RTN_LOCAL : RTN_UNICAST,
	};
	const uint32_t mask = route->bits >= 32 ? UINT32_MAX : ~(UINT32_MAX >> route->bits);
	const struct in_addr to = {.s_addr = route->to.s_addr & htonl(mask)};
	char text[INET_ADDRSTRLEN];
	union request q;
	int r;

	begin(&q, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	if (route->bits > 0)
		put(&q, RTA_DST, &to, sizeof(to));
	if (route->type == NETLINK_VIA)
		put(&q, RTA_GATEWAY, &route->via, sizeof(route->via));
	put_u32(&q, RTA_OIF, (uint32_t)route->link);
	r = transact(n, &q, NULL, 0);
	if (r == 0 || r == -EEXIST)
		return 0;
	(void)inet_ntop(AF_INET, &to, text, sizeof(text));
	return err_errno(e, -r, "cannot make a route to %s/%u", text, route->bits);
}
