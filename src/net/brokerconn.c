/* Theory of operation
 *
 * Two TLS connections, on sockets that never block; all of conn_run() is tried whenever either socket has something, as
 * far as it goes: the handshakes, then bytes in both directions. What one side cannot take is kept for it (leg.out) and
 * nothing more is read for it until that is gone, so that a connection holds one record or one head, whatever its sides
 * do. The box's handshake does not wait for the host's: what goes wrong there is told in an answer to the first
 * request.
 *
 * OpenSSL reads the box's first bytes from memory, as the engine had them, and goes over to the socket after that. */
#include "net/broker_impl.h"
#include "net/tlslib.h"
#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { STEPS_MAX = 16 };
/* Seconds: for both handshakes; without a byte; with one side ended; for reading the last answer. */
enum { HANDSHAKE_LIMIT = 20, IDLE_LIMIT = 3600, HALF_LIMIT = 600, LINGER_LIMIT = 10 };

enum step { STEP_NOTHING, STEP_DONE };

/* --- beginning and end -------------------------------------------------------------------------------------------- */

void conn_end(struct conn *c)
{
	struct broker *b = c->b;

	if (c->phase == CONN_DEAD)
		return;
	c->phase = CONN_DEAD;
	leg_close(&c->leg[BOX]);
	leg_close(&c->leg[HOST]);
	rewrite_free(c->rewrite);
	c->rewrite = NULL;
	if (c->previous)
		c->previous->next = c->next;
	else
		b->first = c->next;
	if (c->next)
		c->next->previous = c->previous;
	b->n--;
	c->next = b->dead;
	b->dead = c;
	broker_tell(b, &c->end);
}

/* The first reason stays. */
static void note(struct conn *c, enum engine_reason reason, const char *text)
{
	if (c->end.reason)
		return;
	c->end.reason = reason;
	(void)snprintf(c->end.detail, sizeof(c->end.detail), "%s", text);
}

static void host_failed(struct conn *c, enum engine_reason reason, const char *text)
{
	note(c, reason, text);
	c->failed = true;
	leg_close(&c->leg[HOST]);
}

static const struct bound_host *find_host(const struct broker *b, const struct handoff *h)
{
	for (size_t i = 0; i < b->n_hosts; i++)
		if (b->hosts[i].port == h->port && strcmp(b->hosts[i].name, h->host) == 0)
			return &b->hosts[i];
	return NULL;
}

static bool begin_box(struct conn *c, const uint8_t *bytes, size_t n)
{
	struct leg *l = &c->leg[BOX];
	_cleanup_err_ struct err *e = NULL;
	struct ssl_ctx_st *ctx;
	struct bio_st *in;
	struct bio_st *out;

	if (authority_context(c->b->authority, c->host->name, time(NULL), &ctx, &e) < 0) {
		note(c, ENGINE_FAILED, e ? err_message(e) : "no certificate");
		return false;
	}
	l->ssl = tlslib.SSL_new(ctx);
	in = tlslib.BIO_new(tlslib.BIO_s_mem());
	out = tlslib.BIO_new_socket(l->fd, 0);
	if (!l->ssl || !in || !out || tlslib.BIO_write(in, bytes, (int)n) != (int)n) {
		tlslib.BIO_vfree(in);
		tlslib.BIO_vfree(out);
		return false;
	}
	tlslib.SSL_set_bio(l->ssl, in, out);
	tlslib.SSL_set_accept_state(l->ssl);
	l->before = true;
	return true;
}

static bool begin_host(struct conn *c)
{
	enum { CTRL_SET_TLSEXT_HOSTNAME = 55, HOST_NAME = 0 }; /* openssl/ssl.h, openssl/tls1.h */
	struct leg *l = &c->leg[HOST];
	/* SSL_ctrl copies it; the argument lacks the const. */
	void *name = (void *)(uintptr_t)c->host->name;
	struct bio_st *io;

	l->ssl = tlslib.SSL_new(c->b->client);
	io = l->ssl ? tlslib.BIO_new_socket(l->fd, 0) : NULL;
	if (!io)
		return false;
	tlslib.SSL_set_bio(l->ssl, io, io);
	tlslib.SSL_set_connect_state(l->ssl);
	return tlslib.SSL_set1_host(l->ssl, c->host->name) == 1 &&
	       tlslib.SSL_ctrl(l->ssl, CTRL_SET_TLSEXT_HOSTNAME, HOST_NAME, name) == 1;
}

static bool watch(struct conn *c)
{
	for (int i = 0; i < 2; i++) {
		struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = &c->leg[i]};

		if (epoll_ctl(c->b->epoll_fd, EPOLL_CTL_ADD, c->leg[i].fd, &ev) < 0)
			return false;
	}
	return true;
}

void conn_new(struct broker *b, const struct handoff *h, const uint8_t *bytes, size_t n, int box_fd, int host_fd)
{
	struct conn *c = xcalloc(1, sizeof(*c));

	*c = (struct conn){.b = b, .next = b->first, .since = b->now, .end.id = h->id};
	c->leg[BOX] = (struct leg){.conn = c, .fd = box_fd, .readable = true};
	c->leg[HOST] = (struct leg){.conn = c, .fd = host_fd, .readable = true};
	if (b->first)
		b->first->previous = c;
	b->first = c;
	b->n++;
	c->host = find_host(b, h);
	if (b->n > b->max)
		note(c, ENGINE_FAILED, "too many connections to hosts that have secrets");
	if (b->n > b->max || !c->host || !begin_box(c, bytes, n) || !begin_host(c) ||
	    rewrite_new(c->host->name, c->host->port, &c->host->inject, &c->rewrite, NULL) < 0 || !watch(c)) {
		note(c, ENGINE_FAILED, "the process that has its secret cannot serve it");
		tlslib.ERR_clear_error();
		conn_end(c);
		return;
	}
	conn_run(c);
}

/* --- handshakes ------------------------------------------------------------------------------------------------- */

static void explain_host(struct conn *c)
{
	long verified = tlslib.SSL_get_verify_result(c->leg[HOST].ssl);
	char text[HOSTNAME_MAX + 1];

	if (verified != 0) {
		tlslib.ERR_clear_error();
		host_failed(c, ENGINE_DENIED_CERTIFICATE, tlslib.X509_verify_cert_error_string(verified));
		return;
	}
	(void)snprintf(text, sizeof(text), "no TLS with it: %s", tlslib_failure());
	host_failed(c, ENGINE_FAILED, text);
}

static enum step shake(struct conn *c, int side)
{
	struct leg *l = &c->leg[side];
	int r = l->open || l->fd < 0 ? 0 : leg_shake(l);

	if (r == 0)
		return STEP_NOTHING;
	if (r < 0 && side == HOST) {
		explain_host(c);
	} else if (r < 0) {
		/* A client that does not trust the box's authority sends an alert. */
		char text[HOSTNAME_MAX + 1];

		(void)snprintf(text, sizeof(text), "TLS with the box's program: %s", tlslib_failure());
		note(c, ENGINE_FAILED, text);
		conn_end(c);
	}
	return STEP_DONE;
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

/* An answer of the broker's own, and the end. */
static void answer(struct conn *c, const char *status, const char *before, const char *why)
{
	struct leg *l = &c->leg[BOX];
	_cleanup_str_ struct str text = STR_INIT;

	str_addf(&text, "igloo: %s:%u: %s%s\n", c->host->name, c->host->port, before, why);
	leg_close(&c->leg[HOST]);
	str_addf(&l->out,
		 "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
		 "Connection: close\r\n\r\n%s",
		 status, text.len, str_text(&text));
	c->phase = CONN_ANSWER;
	c->since = c->b->now;
}

static void answer_failed(struct conn *c)
{
	if (c->end.reason == ENGINE_DENIED_CERTIFICATE)
		answer(c, "502 Bad Gateway", "nothing was sent to it, its certificate is not trusted: ", c->end.detail);
	else
		answer(c, "502 Bad Gateway", "cannot be reached: ", c->end.detail);
}

static void refuse(struct conn *c, uint64_t heads_before)
{
	note(c, ENGINE_DENIED_HTTP_HOST, rewrite_why(c->rewrite));
	/* Behind an earlier request its answer is awaited, which may have begun. */
	if (heads_before > 0 || c->leg[BOX].out.len > 0)
		conn_end(c);
	else
		answer(c, "400 Bad Request",
		       "a secret is bound to it, and this request cannot pass: ", rewrite_why(c->rewrite));
}

static enum step read_box(struct conn *c)
{
	struct leg *box = &c->leg[BOX];
	struct leg *host = &c->leg[HOST];
	uint64_t heads = rewrite_heads(c->rewrite);
	int n;

	if (!box->open || box->ended || host->out.len > 0 || (host->shut && !c->failed))
		return STEP_NOTHING;
	n = leg_take(box, c->b->buffer, BROKER_BUFFER);
	if (n == 0)
		return STEP_NOTHING;
	if (n < 0) {
		if (!box->clean)
			conn_end(c);
		return STEP_DONE;
	}
	if (!rewrite_feed(c->rewrite, c->b->buffer, (size_t)n, &host->out))
		refuse(c, heads);
	else if (c->failed)
		inject_wipe(&host->out);
	return STEP_DONE;
}

static enum step read_host(struct conn *c)
{
	struct leg *box = &c->leg[BOX];
	struct leg *host = &c->leg[HOST];
	int n;
	int k;

	if (!box->open || !host->open || host->ended || box->out.len > 0 || box->shut)
		return STEP_NOTHING;
	n = leg_take(host, c->b->buffer, BROKER_BUFFER);
	if (n == 0)
		return STEP_NOTHING;
	if (n > 0) {
		k = leg_put(box, c->b->buffer, (size_t)n);
		if (k < 0)
			conn_end(c);
		else
			str_add(&box->out, c->b->buffer + k, (size_t)(n - k));
	}
	return STEP_DONE;
}

/* --- the turn ----------------------------------------------------------------------------------------------------- */

static enum step flow(struct conn *c)
{
	struct leg *box = &c->leg[BOX];
	struct leg *host = &c->leg[HOST];
	enum step done = shake(c, BOX);

	if (c->phase == CONN_FLOW && shake(c, HOST) == STEP_DONE)
		done = STEP_DONE;
	if (c->phase == CONN_FLOW && read_box(c) == STEP_DONE)
		done = STEP_DONE;
	if (c->phase == CONN_FLOW && leg_flush(host))
		done = STEP_DONE;
	if (c->phase == CONN_FLOW && read_host(c) == STEP_DONE)
		done = STEP_DONE;
	if (c->phase == CONN_FLOW && leg_flush(box))
		done = STEP_DONE;
	if (c->phase != CONN_FLOW)
		return done;
	if (c->failed && box->open && rewrite_heads(c->rewrite) > 0) {
		answer_failed(c);
	} else if (c->failed && box->ended) {
		conn_end(c);
	} else if (!c->failed && host->ended && box->out.len == 0 && leg_finish(box, host->clean)) {
		leg_close(&c->leg[HOST]);
		c->phase = CONN_LINGER;
		c->since = c->b->now;
	} else if (!c->failed && box->ended && host->open && !host->shut && host->out.len == 0) {
		(void)leg_finish(host, true);
		return STEP_NOTHING;
	} else {
		return done;
	}
	return STEP_DONE;
}

static enum step answering(struct conn *c)
{
	enum step done = shake(c, BOX);

	if (c->phase == CONN_ANSWER && leg_flush(&c->leg[BOX]))
		done = STEP_DONE;
	if (c->phase == CONN_ANSWER && c->leg[BOX].out.len == 0 && leg_finish(&c->leg[BOX], true)) {
		c->phase = CONN_LINGER;
		c->since = c->b->now;
		done = STEP_DONE;
	}
	return done;
}

/* Until the box has closed: bytes of it that nobody reads would have the kernel reset the connection, and what was sent
 * would be lost. */
static enum step linger(struct conn *c)
{
	ssize_t n = recv(c->leg[BOX].fd, c->b->buffer, sizeof(c->b->buffer), MSG_DONTWAIT);

	if (n > 0)
		return STEP_DONE;
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		conn_end(c);
	return STEP_NOTHING;
}

void conn_event(struct leg *l, uint32_t events)
{
	l->readable |= (events & ~(uint32_t)EPOLLOUT) != 0;
	conn_run(l->conn);
}

void conn_run(struct conn *c)
{
	for (int i = 0; i < STEPS_MAX && c->phase != CONN_DEAD; i++) {
		enum step done = c->phase == CONN_FLOW ? flow(c) : c->phase == CONN_ANSWER ? answering(c) : linger(c);

		if (done == STEP_NOTHING)
			return;
	}
	if (c->phase == CONN_DEAD || c->runnable)
		return;
	c->runnable = true;
	c->next_runnable = c->b->runnable;
	c->b->runnable = c;
}

void conn_timeout(struct conn *c)
{
	uint32_t quiet = c->b->now - c->since;
	const struct leg *box = &c->leg[BOX];
	const struct leg *host = &c->leg[HOST];

	if (c->phase == CONN_FLOW && !host->open && !c->failed && quiet >= HANDSHAKE_LIMIT) {
		host_failed(c, ENGINE_FAILED, "no TLS with it: it does not answer");
		conn_run(c);
	} else if (c->phase == CONN_FLOW && box->open && (host->open || c->failed)) {
		if (quiet >= (box->ended ? (uint32_t)HALF_LIMIT : (uint32_t)IDLE_LIMIT))
			conn_end(c);
	} else if (quiet >= (c->phase == CONN_LINGER ? (uint32_t)LINGER_LIMIT : (uint32_t)2 * HANDSHAKE_LIMIT)) {
		conn_end(c);
	}
}
