/* Theory of operation
 *
 * A connection goes round: READ a request; for a NAR, MEASURE what is to be sent, for once its head is out there is no
 * way back to 404; SEND. Each turn does one thing of bounded size, so that a connection never keeps others waiting.
 * After a request that was none, or the last one, it is DRAINed: closed at once with bytes unread, the peer would get a
 * reset and might lose the answer. */
#include "nix/storeserve_impl.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
	IDLE_MS = 120000,   /* between requests */
	REQUEST_MS = 30000, /* from a request's first byte to its last */
	SEND_MS = 300000,   /* without a byte sent: Nix stops reading while it has other things to do */
	DRAIN_MS = 2000,
	MEASURE_AT_ONCE = 256, /* files */
};

enum state { READ, MEASURE, SEND, DRAIN };

struct storeconn {
	struct storeserve *server;
	int fd;
	enum state state;
	bool close; /* after what is being sent */
	int64_t since_ms;
	int64_t deadline_ms;
	size_t n_in;
	struct storereply reply;
	struct nar *nar; /* being measured or sent */
	uint64_t measured;
	uint64_t left; /* of the NAR */
	struct digest *digest;
	size_t out_at; /* of reply.head, then of `chunk` */
	size_t n_chunk;
	char *chunk; /* STORESERVE_CHUNK; NULL: nothing was sent yet */
	char in[STOREREQUEST_MAX];
};

struct storeconn *storeconn_new(struct storeserve *s, int fd, int64_t now_ms)
{
	struct storeconn *c = xcalloc(1, sizeof(*c));

	c->server = s;
	c->fd = fd;
	c->since_ms = now_ms;
	c->deadline_ms = now_ms + IDLE_MS;
	return c;
}

static void end_nar(struct storeconn *c)
{
	nar_close(c->nar);
	c->nar = NULL;
	digest_free(c->digest);
	c->digest = NULL;
	c->left = 0;
	c->measured = 0;
}

void storeconn_free(struct storeconn *c)
{
	if (!c)
		return;
	end_nar(c);
	storereply_release(&c->reply);
	free(c->chunk);
	(void)close_fd(c->fd);
	free(c);
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

static void begin_send(struct storeconn *c, int64_t now_ms)
{
	c->state = SEND;
	c->out_at = 0;
	c->n_chunk = 0;
	c->deadline_ms = now_ms + SEND_MS;
}

static void refuse(struct storeconn *c, const char *status, int64_t now_ms)
{
	storereply_fail(&c->reply, status, c->close);
	end_nar(c);
	begin_send(c, now_ms);
}

static int open_nar(struct storeconn *c, unsigned flags)
{
	nar_close(c->nar);
	c->nar = NULL;
	return nar_open(c->server->dir, storepath_base(c->reply.nar.path), NAR_PUBLIC | flags, &c->nar, NULL);
}

static void begin_answer(struct storeconn *c, const struct storerequest *request, int64_t now_ms)
{
	storereply_release(&c->reply);
	storereply_make(c->server, request, &c->reply);
	c->close = request->close;
	if (!c->reply.has_nar) {
		begin_send(c, now_ms);
		return;
	}
	c->state = MEASURE;
	c->deadline_ms = now_ms + SEND_MS;
	if (open_nar(c, NAR_MEASURE) < 0)
		refuse(c, "404 Not Found", now_ms);
}

static void measure(struct storeconn *c, int64_t now_ms)
{
	int r = nar_measure(c->nar, MEASURE_AT_ONCE, &c->measured, NULL);

	if (r == 0)
		return;
	if (r < 0 || c->measured != c->reply.nar.nar_size || open_nar(c, 0) < 0 || digest_open(&c->digest, NULL) < 0) {
		refuse(c, "404 Not Found", now_ms);
		return;
	}
	c->left = c->reply.nar.nar_size;
	begin_send(c, now_ms);
}

static bool hash_is_right(struct storeconn *c)
{
	uint8_t wanted[DIGEST_SHA256_BYTES];
	uint8_t got[DIGEST_SHA256_BYTES];

	return base32_decode(c->reply.nar.nar_hash + strlen("sha256:"), wanted, sizeof(wanted)) &&
	       digest_finish(c->digest, got, NULL) == 0 && memcmp(wanted, got, sizeof(got)) == 0;
}

/* The next piece of the NAR; false when it is not what the database says. */
static bool fill_chunk(struct storeconn *c)
{
	size_t want = c->left < STORESERVE_CHUNK ? (size_t)c->left : STORESERVE_CHUNK;
	ssize_t k;

	if (!c->chunk)
		c->chunk = xmalloc(STORESERVE_CHUNK);
	k = nar_read(c->nar, c->chunk, want, NULL);
	if (k < 0 || (size_t)k != want)
		return false;
	digest_add(c->digest, c->chunk, want);
	c->left -= want;
	c->n_chunk = want;
	c->out_at = 0;
	return c->left > 0 || hash_is_right(c);
}

/* --- the request ------------------------------------------------------------------------------------------------- */

static void drain(struct storeconn *c, int64_t now_ms)
{
	(void)shutdown(c->fd, SHUT_WR);
	c->state = DRAIN;
	c->deadline_ms = now_ms + DRAIN_MS;
}

static void next_request(struct storeconn *c, int64_t now_ms)
{
	end_nar(c);
	if (c->close) {
		drain(c, now_ms);
		return;
	}
	c->state = READ;
	c->since_ms = now_ms;
	c->deadline_ms = now_ms + (c->n_in > 0 ? REQUEST_MS : IDLE_MS);
}

/* Looks for a request in what has come. */
static void take_request(struct storeconn *c, int64_t now_ms)
{
	struct storerequest request;
	ssize_t k = storerequest_read(c->in, c->n_in, &request);

	if (k == 0)
		return;
	if (k > 0) {
		c->n_in -= (size_t)k;
		memmove(c->in, c->in + k, c->n_in);
		begin_answer(c, &request, now_ms);
		return;
	}
	c->close = true;
	c->n_in = 0;
	refuse(c,
	       k == -EMSGSIZE     ? "431 Request Header Fields Too Large"
	       : k == -EOPNOTSUPP ? "405 Method Not Allowed"
				  : "400 Bad Request",
	       now_ms);
}

/* --- turns ------------------------------------------------------------------------------------------------------- */

static bool work_read(struct storeconn *c, int64_t now_ms)
{
	ssize_t k = recv(c->fd, c->in + c->n_in, sizeof(c->in) - c->n_in, 0);

	if (k < 0)
		return errno == EAGAIN || errno == EINTR;
	if (k == 0)
		return false;
	if (c->n_in == 0)
		c->deadline_ms = now_ms + REQUEST_MS;
	c->n_in += (size_t)k;
	take_request(c, now_ms);
	return true;
}

static bool work_send(struct storeconn *c, int64_t now_ms)
{
	bool head = c->n_chunk == 0;
	const char *from = head ? c->reply.head.p : c->chunk;
	size_t n = head ? c->reply.head.len : c->n_chunk;
	ssize_t k = send(c->fd, from + c->out_at, n - c->out_at, MSG_NOSIGNAL | (c->left > 0 ? MSG_MORE : 0));

	if (k < 0)
		return errno == EAGAIN || errno == EINTR;
	c->deadline_ms = now_ms + SEND_MS;
	c->out_at += (size_t)k;
	if (c->out_at < n)
		return true;
	if (c->left > 0)
		return fill_chunk(c);
	next_request(c, now_ms);
	if (c->state == READ && c->n_in > 0)
		take_request(c, now_ms);
	return true;
}

static bool work_drain(struct storeconn *c)
{
	char bytes[4096];
	ssize_t k = recv(c->fd, bytes, sizeof(bytes), 0);

	return k > 0 || (k < 0 && (errno == EAGAIN || errno == EINTR));
}

bool storeconn_work(struct storeconn *c, short revents, int64_t now_ms)
{
	if (now_ms >= c->deadline_ms)
		return false;
	if (c->state != MEASURE && !revents)
		return true;
	/* Gone, whatever was to be sent; bytes before an end are not of interest any more. */
	if (revents & POLLERR)
		return false;
	switch (c->state) {
	case READ:
		return work_read(c, now_ms);
	case MEASURE:
		measure(c, now_ms);
		return true;
	case SEND:
		return work_send(c, now_ms);
	default:
		return work_drain(c);
	}
}

short storeconn_events(const struct storeconn *c)
{
	static const short events[] = {[READ] = POLLIN, [MEASURE] = 0, [SEND] = POLLOUT, [DRAIN] = POLLIN};

	return events[c->state];
}

int storeconn_fd(const struct storeconn *c)
{
	return c->fd;
}

int64_t storeconn_idle_since(const struct storeconn *c)
{
	return c->state == READ && c->n_in == 0 ? c->since_ms : -1;
}

int64_t storeconn_deadline(const struct storeconn *c)
{
	return c->deadline_ms;
}
