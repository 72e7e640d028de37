#include "box/boxports.h"

#include "base/log.h"
#include "box/portowner.h"
#include "net/engine.h"
#include "sys/confined.h"
#include "sys/fd.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The guest makes no more than 64 at a time. A port whose server does not accept leaves some to the others. */
enum { PENDING_MAX = 64, PENDING_OF_PORT_MAX = 24, BACKLOG = 4096, FREE_TRIES = 16, FINISH_MS = 2000, FDS_OTHERS = 48 };

struct forward {
	struct portspec spec; /* with the port that was bound */
	bool any;             /* the user left it to the kernel */
	int fd[2];            /* the second for [::1]; -1: none */
	size_t pending;
};

/* A connection on its way. */
struct pending {
	struct forward *forward; /* NULL: removed meanwhile */
	uint32_t stream;
	int host_fd;
	int box_fd; /* -1: the guest has not answered; else the engine had no room */
};

struct boxports {
	struct forward *forwards[PORTSPECS_MAX];
	size_t n;
	struct pending pending[PENDING_MAX];
	size_t n_pending;
	size_t max_pending;
	pid_t engine;
	int control; /* -1 without an engine */
};

/* --- listeners ---------------------------------------------------------------------------------------------------- */

static struct address address_of(const struct portspec *spec, int i)
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
	const struct portspec shown = {.address = address_of(spec, i), .host = spec->host};
	_cleanup_str_ struct str place = STR_INIT;
	_cleanup_str_ struct str owner = STR_INIT;

	portspec_add_place(&shown, &place);
	switch (errnum) {
	case EADDRINUSE:
		portowner_describe(&shown.address, spec->host, &owner);
		(void)err_set(e, EADDRINUSE, "port %s is in use by %s", str_text(&place), str_text(&owner));
		return err_hint(e, "choose another one, or any free one: 0:%u", spec->guest);
	case EACCES:
		(void)err_set(e, EACCES, "port %s needs a privilege on this host", str_text(&place));
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
static int try_listen(struct forward *f, struct err **e)
{
	struct address a = address_of(&f->spec, 0);
	int r = f->fd[0] = listen_at(&a, f->spec.host);

	if (r < 0)
		return cannot_listen(&f->spec, 0, -r, e);
	f->spec.host = port_of(f->fd[0]);
	if (!f->spec.loopback)
		return 0;
	a = address_of(&f->spec, 1);
	r = f->fd[1] = listen_at(&a, f->spec.host);
	/* A host without IPv6. */
	if (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL) {
		f->fd[1] = -1;
		return 0;
	}
	return r < 0 ? cannot_listen(&f->spec, 1, -r, e) : 0;
}

static void forward_close(struct forward *f)
{
	for (int i = 0; i < 2; i++)
		f->fd[i] = f->fd[i] >= 0 ? close_fd(f->fd[i]) : -1;
}

static int forward_listen(struct forward *f, struct err **e)
{
	int r = 0;

	for (int i = 0; i < FREE_TRIES; i++) {
		err_clear(e);
		r = try_listen(f, e);
		if (r >= 0)
			return 0;
		forward_close(f);
		if (!f->any || r != -EADDRINUSE)
			return r;
		f->spec.host = 0;
	}
	return r;
}

static int add_one(struct boxports *p, const char *text, struct err **e)
{
	struct portspec spec;
	struct forward *f;
	int r = portspec_parse(text, &spec, e);

	if (r < 0)
		return r;
	if (p->n == PORTSPECS_MAX)
		return err_set(e, E2BIG, "a box forwards at most %d ports", PORTSPECS_MAX);
	for (size_t i = 0; i < p->n; i++)
		if (portspec_overlaps(&spec, &p->forwards[i]->spec))
			return err_set(e, EEXIST, "port '%s': the box forwards port %u already", text, spec.host);
	f = xcalloc(1, sizeof(*f));
	*f = (struct forward){.spec = spec, .any = spec.host == 0, .fd = {-1, -1}};
	r = forward_listen(f, e);
	if (r < 0) {
		free(f);
		return r;
	}
	p->forwards[p->n++] = f;
	return 0;
}

static void forward_remove(struct boxports *p, size_t at)
{
	struct forward *f = p->forwards[at];

	for (size_t i = 0; i < p->n_pending; i++)
		if (p->pending[i].forward == f)
			p->pending[i].forward = NULL;
	forward_close(f);
	free(f);
	memmove(p->forwards + at, p->forwards + at + 1, (--p->n - at) * sizeof(struct forward *));
}

int boxports_add(struct boxports *p, const struct strv *specs, struct err **e)
{
	const size_t before = p->n;
	int r = specs->n > 0 ? 0 : err_set(e, EINVAL, "port '': not a port");

	for (size_t i = 0; r == 0 && i < specs->n; i++)
		r = add_one(p, specs->v[i], e);
	while (r < 0 && p->n > before)
		forward_remove(p, p->n - 1);
	return r;
}

int boxports_remove(struct boxports *p, const struct strv *specs, struct err **e)
{
	bool gone[PORTSPECS_MAX] = {false};
	int r = specs->n > 0 ? 0 : err_set(e, EINVAL, "port '': not a port");

	for (size_t k = 0; r == 0 && k < specs->n; k++) {
		struct portspec spec;
		bool found = false;

		r = portspec_parse(specs->v[k], &spec, e);
		for (size_t i = 0; r == 0 && i < p->n; i++)
			if (portspec_means(&spec, &p->forwards[i]->spec))
				gone[i] = found = true;
		if (r == 0 && !found)
			r = err_set(e, ENOENT, "the box does not forward '%s'", specs->v[k]);
	}
	for (size_t i = p->n; r == 0 && i-- > 0;)
		if (gone[i])
			forward_remove(p, i);
	return r;
}

/* A descriptor that comes when this process may open no more is lost, and the guest's connection would make no sense
 * any more. Each takes two. */
static size_t pending_max(void)
{
	struct rlimit limit = {1024, 1024};
	rlim_t half;

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	half = limit.rlim_cur > FDS_OTHERS ? (limit.rlim_cur - FDS_OTHERS) / 2 : 1;
	return half < 1 ? 1 : half < PENDING_MAX ? (size_t)half : PENDING_MAX;
}

int boxports_new(const struct strv *specs, struct boxports **ret, struct err **e)
{
	struct boxports *p;
	int r = portspec_check(specs, e);

	if (r < 0)
		return r;
	p = xcalloc(1, sizeof(*p));
	p->control = -1;
	p->max_pending = pending_max();
	if (specs->n > 0)
		r = boxports_add(p, specs, e);
	if (r < 0) {
		boxports_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

json_t *boxports_json(const struct boxports *p)
{
	json_t *list = json_array();

	for (size_t i = 0; p && i < p->n; i++) {
		const struct forward *f = p->forwards[i];
		json_t *addresses = json_array();

		for (int k = 0; k < 2; k++) {
			struct address a = address_of(&f->spec, k);
			char text[ADDRESS_TEXT_MAX];

			if (f->fd[k] < 0)
				continue;
			address_format(&a, text);
			(void)json_array_append_new(addresses, json_string(text));
		}
		(void)json_array_append_new(list, json_pack("{s:o, s:i, s:i}", "addresses", addresses, "host",
							    f->spec.host, "guest", f->spec.guest));
	}
	return list;
}

/* --- connections -------------------------------------------------------------------------------------------------- */

/* The client sees that nobody was there, not an empty answer. */
static void turn_away(int fd)
{
	const struct linger now = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close_fd(fd);
}

static void pending_remove(struct boxports *p, size_t at)
{
	if (p->pending[at].forward)
		p->pending[at].forward->pending--;
	p->pending[at] = p->pending[--p->n_pending];
}

static void pending_fail(struct boxports *p, size_t at)
{
	turn_away(p->pending[at].host_fd);
	(void)close_fd(p->pending[at].box_fd);
	pending_remove(p, at);
}

static void end_engine(struct boxports *p)
{
	p->control = close_fd(p->control);
	(void)confined_end(p->engine);
	p->engine = 0;
}

static int want_engine(struct boxports *p)
{
	const struct strv nothing = STRV_INIT;
	const struct engine_config config = {.sockets = ENGINE_SOCKETS_INIT, .policy = &nothing};
	_cleanup_err_ struct err *e = NULL;
	int r = p->control >= 0 ? 0 : engine_start(&config, &p->engine, &p->control, &e);

	if (r < 0)
		log_note("cannot forward a connection: %s", err_message(e));
	return r;
}

/* Both ends are there. */
static void pass_on(struct boxports *p, size_t at)
{
	struct pending *c = &p->pending[at];
	int r = want_engine(p);

	if (r < 0) {
		pending_fail(p, at);
		return;
	}
	if (engine_forward(p->control, c->host_fd, c->box_fd) != -EAGAIN)
		pending_remove(p, at);
}

static bool has_room(const struct boxports *p, const struct forward *f)
{
	return p->n_pending < p->max_pending && f->pending < PENDING_OF_PORT_MAX;
}

size_t boxports_poll(const struct boxports *p, struct pollfd fds[BOXPORTS_POLLS])
{
	size_t n = 1;

	if (!p)
		return 0;
	fds[0] = (struct pollfd){.fd = p->control, .events = POLLIN};
	for (size_t i = 0; i < p->n_pending; i++)
		if (p->pending[i].box_fd >= 0)
			fds[0].events |= POLLOUT;
	for (size_t i = 0; i < p->n; i++) {
		bool room = has_room(p, p->forwards[i]);

		for (int k = 0; k < 2; k++)
			fds[n++] = (struct pollfd){.fd = room ? p->forwards[i]->fd[k] : -1, .events = POLLIN};
	}
	return n;
}

static void dial(struct boxports *p, struct forward *f, int fd, struct link *guest, uint32_t *next_stream)
{
	struct pending *c = &p->pending[p->n_pending];
	uint8_t payload[2];

	*c = (struct pending){.forward = f, .stream = (*next_stream)++, .host_fd = fd, .box_fd = -1};
	frame_put16(payload, f->spec.guest);
	if (link_send(guest, c->stream, FRAME_DIAL, 0, payload, sizeof(payload), NULL, 0) < 0) {
		turn_away(fd);
		return;
	}
	p->n_pending++;
	f->pending++;
}

static void take(struct boxports *p, struct forward *f, int listener, struct link *guest, uint32_t *next_stream)
{
	while (has_room(p, f)) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			dial(p, f, fd, guest, next_stream);
			continue;
		}
		if (errno == ECONNABORTED || errno == EINTR)
			continue;
		/* Out of descriptors or memory: it stays readable, so a little rest instead of a busy loop. */
		if (errno != EAGAIN)
			(void)poll(NULL, 0, 10);
		return;
	}
}

static void on_control(struct boxports *p)
{
	struct engine_event event;
	int r;

	while ((r = engine_event(p->control, &event)) > 0)
		; /* it has no policy whose denials it could tell */
	if (r < 0) {
		log_note("the forwarded connections have ended: their relay did");
		end_engine(p);
	}
}

void boxports_work(struct boxports *p, const struct pollfd *fds, struct link *guest, uint32_t *next_stream)
{
	if (!p)
		return;
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		on_control(p);
	if (fds[0].revents)
		for (size_t i = p->n_pending; i-- > 0;)
			if (p->pending[i].box_fd >= 0)
				pass_on(p, i);
	for (size_t i = 0; i < p->n; i++)
		for (size_t k = 0; k < 2; k++)
			if (fds[1 + 2 * i + k].revents)
				take(p, p->forwards[i], p->forwards[i]->fd[k], guest, next_stream);
}

/* What the guest sent is from inside a box: nothing but a connection goes on, TCP's, or that of a bridge to a machine
 * (wire/bridge.h), which is a unix stream. */
static bool is_connection(int fd)
{
	int domain = 0;
	int type = 0;
	int protocol = 0;
	socklen_t n = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &n) < 0)
		return false;
	if (domain == AF_UNIX)
		return type == SOCK_STREAM;
	return (domain == AF_INET || domain == AF_INET6) && protocol == IPPROTO_TCP;
}

int boxports_frame(struct boxports *p, const struct frame *f, struct link *guest)
{
	size_t at = 0;
	int fd = -1;

	while (p && at < p->n_pending && p->pending[at].stream != f->stream)
		at++;
	if (!p || at == p->n_pending)
		return 0;
	if (f->type == FRAME_ERR && p->pending[at].box_fd < 0) {
		pending_fail(p, at);
		return 1;
	}
	if (f->type != FRAME_DIALED || p->pending[at].box_fd >= 0 || link_take_fds(guest, &fd, 1) < 0)
		return -EPROTO;
	if (!is_connection(fd) || fd_set_nonblock(fd, true) < 0) {
		(void)close_fd(fd);
		pending_fail(p, at);
		return -EPROTO;
	}
	p->pending[at].box_fd = fd;
	pass_on(p, at);
	return 1;
}

void boxports_free(struct boxports *p)
{
	if (!p)
		return;
	while (p->n > 0)
		forward_remove(p, p->n - 1);
	while (p->n_pending > 0)
		pending_fail(p, p->n_pending - 1);
	if (p->control >= 0)
		engine_finish(p->control, FINISH_MS);
	end_engine(p);
	free(p);
}
