/* Links, addresses and routes of a network namespace, by rtnetlink(7). IPv4 only.
 *
 * Every function sends one request and waits for the kernel's answer to it; all return 0 or -errno with the operation
 * named in *e. A socket belongs to the network namespace that it was opened in for as long as it lives, wherever its
 * process goes later; what is done through it needs CAP_NET_ADMIN over that namespace. */
#ifndef IGLOO_SYS_NETLINK_H
#define IGLOO_SYS_NETLINK_H

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { NETLINK_LO = 1 }; /* the index of "lo", the first link of every network namespace */

struct netlink {
	int fd;
	uint32_t sequence; /* of the last request */
};
#define NETLINK_INIT ((struct netlink){.fd = -1})

/* In the caller's network namespace. */
int netlink_open(struct netlink *n, struct err **e);
void netlink_close(struct netlink *n);
#define _cleanup_netlink_ ATTR_CLEANUP(netlink_close)

/* Where the other end of a pair is born: in the network namespace of a process (`pid` > 0, as the caller sees it), else
 * in that of a descriptor (`fd` >= 0), else beside the first end. */
struct netlink_peer {
	const char *name; /* NULL: the kernel's choice, as for the first end */
	pid_t pid;
	int fd;
};
int netlink_add_veth(struct netlink *n, const char *name, const struct netlink_peer *peer, struct err **e);

/* The index of a link by its name. */
int netlink_index(struct netlink *n, const char *name, int *ret, struct err **e);
/* The kernel gives the link no IPv6 address of its own, and so it never sends or asks anything. To be called while it
 * is down. 0 where the kernel has no IPv6. */
int netlink_no_ipv6(struct netlink *n, int link, struct err **e);
/* 1: the link and its other end are up and packets flow; 0: not yet. A link that was brought up before its other end
 * gets there a moment later than that, and until then drops what it is to send. */
int netlink_is_running(struct netlink *n, int link, struct err **e);
int netlink_up(struct netlink *n, int link, struct err **e);
int netlink_add_address(struct netlink *n, int link, struct in_addr address, unsigned bits, struct err **e);
/* 0 also when the link does not have it. */
int netlink_remove_address(struct netlink *n, int link, struct in_addr address, unsigned bits, struct err **e);

enum netlink_route_type {
	NETLINK_VIA,   /* through a gateway on the link */
	NETLINK_LINK,  /* on the link itself */
	NETLINK_LOCAL, /* the addresses are this machine's own ("AnyIP"); always in the local table */
};
struct netlink_route {
	enum netlink_route_type type;
	struct in_addr to; /* bits beyond the prefix do not matter */
	unsigned bits;
	int link;
	struct in_addr via; /* of NETLINK_VIA */
	bool local_table;   /* the table that is looked at first */
};
/* 0 also when the very same destination has a route in that table already. */
int netlink_add_route(struct netlink *n, const struct netlink_route *route, struct err **e);

#endif
