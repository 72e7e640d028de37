/* Inside of the gateway: shared by gateway.c (namespaces, links, routes) and gatewaysockets.c. */
#ifndef IGLOO_KIND_COMMON_GATEWAY_IMPL_H
#define IGLOO_KIND_COMMON_GATEWAY_IMPL_H

#include "kind/common/gateway.h"

#include <arpa/inet.h>

/* The link's two names. */
#define GATEWAY_LINK_OUTSIDE "gw0"
#define GATEWAY_LINK_INSIDE "eth0"

enum {
	/* DNS over UDP, over TCP; anchor, every port; spare ones; store */
	GATEWAY_SOCKETS_MAX = ENGINE_SPARE_SOCKETS + 5
};

static inline struct in_addr gateway_ipv4(const char *text)
{
	struct in_addr a = {0};

	(void)inet_pton(AF_INET, text, &a);
	return a;
}

/* Of the caller's network namespace: /proc/sys/net/NAME. */
int gateway_write_sysctl(const char *name, const char *value, struct err **e);
/* The gateway's end of the link; `n` is in its network namespace. */
int gateway_configure(struct netlink *n, int *ret_link, struct err **e);
/* In the gateway's namespace: makes and configures the link that is a tap, and gives it to gateway_wait(). */
int gateway_tap(struct gateway *g, struct netlink *n, struct err **e);

/* How many this gateway has. */
size_t gateway_sockets_count(const struct gateway *g);
/* In the gateway's namespace: makes them. On failure none is left. */
int gateway_sockets_make(const struct gateway *g, int fds[GATEWAY_SOCKETS_MAX], struct err **e);
/* Binds those with fixed ports, when their address is there. */
int gateway_sockets_bind(const struct gateway *g, const int *fds, struct err **e);
/* Sends them off to gateway_take(). They stay the caller's, too. */
int gateway_sockets_give(const struct gateway *g, const int fds[GATEWAY_SOCKETS_MAX], struct err **e);
/* Closes the first n of them. */
void gateway_sockets_close(int *fds, size_t n);
/* The socket that every connection comes to, and the rule that brings them there. */
int gateway_socket_every(int *ret, struct err **e);

#endif
