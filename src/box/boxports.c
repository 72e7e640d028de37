#include "box/boxports.h"

#include "base/log.h"
#include "box/portlisten.h"
#include "box/portpeer.h"
#include "net/engine.h"
#include "sys/confined.h"
#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* The guest makes no more than 64 at a time. A port whose server does not accept leaves some to the others. */
enum { PENDING_MAX = 64, PENDING_OF_PORT_MAX = 24, FINISH_MS = 2000, FDS_OTHERS = 48 };

struct forward {
	struct portspec spec; /* with the port that was bound */
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

/* Of the machine, not of a port in it: it asks nobody who he is. */
static bool is_screen(const struct forward *f)
{
	return f->spec.guest == 0;
}

static int add_forward(struct boxports *p, const struct portspec *spec, struct err **e)
{
	struct forward *f;
	int r;

	if (p->n == PORTSPECS_MAX)
		return err_set(e, E2BIG, "a box forwards at most %d ports", PORTSPECS_MAX);
	for (size_t i = 0; i < p->n; i++)
		if (portspec_overlaps(spec, &p->forwards[i]->spec))
			return err_set(e, EEXIST, "port %u: the box forwards it already", spec->host);
	f = xcalloc(1, sizeof(*f));
	*f = (struct forward){.spec = *spec, .fd = {-1, -1}};
	r = portlisten_open(&f->spec, f->fd, e);
	if (r < 0) {
		free(f);
		return r;
	}
	p->forwards[p->n++] = f;
	return 0;
}

static int add_one(struct boxports *p, const char *text, struct err **e)
{
	struct portspec spec;
	int r = portspec_parse(text, &spec, e);

	return r < 0 ? r : add_forward(p, &spec, e);
}

int boxports_add_screen(struct boxports *p, uint16_t port, struct err **e)
{
	const struct portspec spec = {.host = port, .loopback = true};
	int r = add_forward(p, &spec, e);

	return r < 0 ? err_wrap(e, "--display vnc") : 0;
}

static void forward_remove(struct boxports *p, size_t at)
{
	struct forward *f = p->forwards[at];

	for (size_t i = 0; i < p->n_pending; i++)
		if (p->pending[i].forward == f)
			p->pending[i].forward = NULL;
	portlisten_close(f->fd);
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
			struct address a = portlisten_address(&f->spec, k);
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

		if (fd >= 0 && is_screen(f) && !portpeer_is_own(fd)) {
			turn_away(fd);
			continue;
		}
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
