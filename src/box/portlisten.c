#include "box/portlisten.h"

#include "box/portowner.h"
#include "sys/fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>

enum { BACKLOG = 4096, FREE_TRIES = 16 };

struct address portlisten_address(const struct portspec *spec, int i)
{
	struct address a = spec->address;

	if (spec->loopback)
		(void)(i == 0 ? address_parse("127.0.0.1", 9, &a) : address_parse("::1", 3, &a));
	return a;
}

/* Returns the listening socket or -errno. */
static int listen_at(const struct address *a, uint16_t port)
{
	_cleanup_close_ int fd = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_storage at;
	socklen_t n = address_to_sockaddr(a, port, &at);
	const int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return -errno;
	if (a->family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&at, n) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 a = {.sin6_port = 0};
	socklen_t n = sizeof(a);

	/* The port lies at the same place in both families' addresses. */
	_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "port");
	return getsockname(fd, (struct sockaddr *)&a, &n) < 0 ? 0 : ntohs(a.sin6_port);
}

static int cannot_listen(const struct portspec *spec, int i, int errnum, struct err **e)
{
	const struct portspec shown = {.address = portlisten_address(spec, i), .host = spec->host};
	_cleanup_str_ struct str place = STR_INIT;
	_cleanup_str_ struct str owner = STR_INIT;

	portspec_add_place(&shown, &place);
	switch (errnum) {
	case EADDRINUSE:
		portowner_describe(&shown.address, spec->host, &owner);
		(void)err_set(e, EADDRINUSE, "port %s is in use by %s", str_text(&place), str_text(&owner));
		return spec->guest == 0
			       ? err_hint(e, "choose another one, --display vnc:PORT, or any free one: --display vnc:0")
			       : err_hint(e, "choose another one, or any free one: 0:%u", spec->guest);
	case EACCES:
		(void)err_set(e, EACCES, "port %s needs a privilege on this host", str_text(&place));
		if (spec->guest == 0)
			return err_hint(e, "choose a port from 1024 on");
		return err_hint(e,
				"choose a port from 1024 on, for example %u:%u, or let everybody have lower ones: "
				"sudo sysctl net.ipv4.ip_unprivileged_port_start=%u",
				spec->host < 1000 ? 8000 + spec->host : 8080, spec->guest, spec->host);
	case EADDRNOTAVAIL:
		(void)err_set(e, EADDRNOTAVAIL, "port %s: this host has no such address", str_text(&place));
		return err_hint(e, "0.0.0.0 and [::] stand for all there are");
	default:
		return err_errno(e, errnum, "cannot listen on %s", str_text(&place));
	}
}

/* One try; with any port the second address may find it taken. */
static int try_listen(struct portspec *spec, int ret_fds[2], struct err **e)
{
	struct address a = portlisten_address(spec, 0);
	int r = ret_fds[0] = listen_at(&a, spec->host);

	if (r < 0)
		return cannot_listen(spec, 0, -r, e);
	spec->host = port_of(ret_fds[0]);
	if (!spec->loopback)
		return 0;
	a = portlisten_address(spec, 1);
	r = ret_fds[1] = listen_at(&a, spec->host);
	/* A host without IPv6. */
	if (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL) {
		ret_fds[1] = -1;
		return 0;
	}
	return r < 0 ? cannot_listen(spec, 1, -r, e) : 0;
}

void portlisten_close(int fds[2])
{
	for (int i = 0; i < 2; i++)
		fds[i] = fds[i] >= 0 ? close_fd(fds[i]) : -1;
}

int portlisten_open(struct portspec *spec, int ret_fds[2], struct err **e)
{
	bool any = spec->host == 0;
	int r = 0;

	for (int i = 0; i < FREE_TRIES; i++) {
		err_clear(e);
		ret_fds[0] = ret_fds[1] = -1;
		r = try_listen(spec, ret_fds, e);
		if (r >= 0)
			return 0;
		portlisten_close(ret_fds);
		if (!any || r != -EADDRINUSE)
			return r;
		spec->host = 0;
	}
	return r;
}
