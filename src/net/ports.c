#include "net/engine_impl.h"
#include "sys/fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

enum { BACKLOG = 4096, SSH_PORT = 22 };

static struct listener *find_port(struct engine *g, uint16_t port)
{
	for (size_t i = 0; i < g->n_listeners; i++)
		if (g->listeners[i].port == port && g->listeners[i].fd >= 0 && !g->listeners[i].every)
			return &g->listeners[i];
	return NULL;
}

/* What is set here is what accepted sockets inherit. */
static int listen_on(struct engine *g, struct listener *l, uint16_t port)
{
	struct sockaddr_storage at;
	int family = AF_INET;
	socklen_t n = sizeof(family);
	const int on = 1;
	int r;

	memset(&at, 0, sizeof(at));
	if (getsockopt(l->fd, SOL_SOCKET, SO_DOMAIN, &family, &n) < 0)
		return -errno;
	at.ss_family = (sa_family_t)family;
	if (family == AF_INET6) {
		((struct sockaddr_in6 *)&at)->sin6_port = htons(port);
		n = sizeof(struct sockaddr_in6);
	} else {
		((struct sockaddr_in *)&at)->sin_port = htons(port);
		n = sizeof(struct sockaddr_in);
	}
	(void)setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	(void)setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(l->fd, (const struct sockaddr *)&at, n) < 0 || listen(l->fd, BACKLOG) < 0)
		return -errno;
	r = engine_watch(g, l->fd, EPOLLIN, TAG_LISTENER, (uint32_t)(l - g->listeners));
	if (r == 0)
		l->port = port;
	return r;
}

static bool has_every(const struct engine *g)
{
	for (size_t i = 0; i < g->n_listeners; i++)
		if (g->listeners[i].every)
			return true;
	return false;
}

int ports_add_every(struct engine *g, int fd)
{
	_cleanup_close_ int owned = fd;
	const int on = 1;
	int r = fd_set_nonblock(fd, true);

	if (has_every(g) || g->n_listeners == ARRAY_SIZE(g->listeners))
		return -EBUSY;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r == 0)
		r = engine_watch(g, fd, EPOLLIN, TAG_LISTENER, (uint32_t)g->n_listeners);
	if (r == 0)
		g->listeners[g->n_listeners++] = (struct listener){.fd = take_fd(&owned), .every = true};
	return r;
}

/* Git over ssh to a host that is granted for the web only is what people try: where a socket is to spare it is refused
 * by relay_accept(), which says what would allow it, and not by the kernel. */
static void listen_for_ssh(struct engine *g)
{
	struct listener *spare = find_port(g, SSH_PORT) ? NULL : find_port(g, 0);

	if (spare)
		(void)listen_on(g, spare, SSH_PORT);
}

int ports_open(struct engine *g, const struct policy *p, struct err **e)
{
	uint16_t ports[POLICY_PORTS_MAX];
	size_t n = policy_ports(p, ports);

	if (has_every(g))
		return 0;
	if (policy_every_port(p))
		return err_set(e, ENOTSUP, "network: this box's gateway listens on single ports only");
	for (size_t i = 0; i < n; i++) {
		struct listener *spare;
		int r;

		if (find_port(g, ports[i]))
			continue;
		spare = find_port(g, 0);
		if (!spare)
			return err_set(e, EMFILE, "network: port %u: this box has had its %zu ports", ports[i],
				       g->n_listeners);
		r = listen_on(g, spare, ports[i]);
		if (r < 0)
			return err_errno(e, -r, "network: cannot listen on port %u", ports[i]);
	}
	listen_for_ssh(g);
	return 0;
}
