#include "net/hostaddr.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct hostaddr {
	int fd;
	bool stale;
	struct address *list;
	size_t n;
};

/* The old list stays when there is no new one. */
static int refresh(struct hostaddr *h)
{
	struct ifaddrs *all = NULL;
	size_t n = 0;

	if (getifaddrs(&all) < 0)
		return -errno;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next)
		n++;
	free(h->list);
	h->list = xcalloc(n + 1, sizeof(*h->list));
	h->n = 0;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		struct sockaddr_storage ss;

		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		memset(&ss, 0, sizeof(ss));
		memcpy(&ss, i->ifa_addr,
		       i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
		address_from_sockaddr(&ss, &h->list[h->n++]);
	}
	freeifaddrs(all);
	h->stale = false;
	return 0;
}

int hostaddr_new(struct hostaddr **ret, struct err **e)
{
	const struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
	struct hostaddr *h = xcalloc(1, sizeof(*h));
	int r;

	/* The subscription first: what changes after is then known to have changed. */
	h->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (h->fd < 0 || bind(h->fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
		r = err_errno(e, errno, "network: cannot watch the host's addresses");
	else
		r = refresh(h) < 0 ? err_errno(e, errno, "network: cannot list the host's addresses") : 0;
	if (r < 0) {
		hostaddr_free(h);
		return r;
	}
	*ret = h;
	return 0;
}

void hostaddr_free(struct hostaddr *h)
{
	if (!h)
		return;
	(void)close_fd(h->fd);
	free(h->list);
	free(h);
}

int hostaddr_fd(const struct hostaddr *h)
{
	return h->fd;
}

void hostaddr_changed(struct hostaddr *h)
{
	char drop[4096];

	/* ENOBUFS: messages were lost, which says the same. */
	while (recv(h->fd, drop, sizeof(drop), MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR)
		;
	h->stale = true;
}

bool hostaddr_has(struct hostaddr *h, const struct address *a)
{
	if (h->stale)
		(void)refresh(h);
	for (size_t i = 0; i < h->n; i++)
		if (address_equal(&h->list[i], a))
			return true;
	return false;
}
