#include "net/relay.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

void gate_free(struct relay *c)
{
	if (c->gate == GATE_HTTP)
		httphost_free(c->parser.http);
	else if (c->gate == GATE_TLS)
		hello_free(c->parser.hello);
	memset(&c->parser, 0, sizeof(c->parser));
}

static void open_gate(struct relay *c)
{
	gate_free(c);
	c->gate = GATE_NONE;
	c->holding = false;
}

static void broken(struct relay *c, struct err *e)
{
	relay_deny(c, ENGINE_FAILED, e ? err_message(e) : "cannot look at the connection");
	err_free(e);
}

static bool feed_tls(struct relay *c, const uint8_t *bytes, size_t n)
{
	struct err *e = NULL;

	if (!c->parser.hello && hello_new(&c->parser.hello, &e) < 0) {
		broken(c, e);
		return false;
	}
	switch (hello_feed(c->parser.hello, bytes, n)) {
	case HELLO_MORE:
		c->holding = true;
		return true;
	case HELLO_NAME:
		if (strcmp(hello_name(c->parser.hello), c->name) == 0)
			break;
		relay_deny(c, ENGINE_DENIED_TLS_NAME, hello_name(c->parser.hello));
		return false;
	case HELLO_NO_NAME:
		if (c->g->allow_unnamed_tls)
			break;
		relay_deny(c, ENGINE_DENIED_TLS_NONE, ENGINE_TLS_UNNAMED);
		return false;
	case HELLO_ECH:
		if (c->g->allow_unnamed_tls)
			break;
		relay_deny(c, ENGINE_DENIED_TLS_NONE, ENGINE_TLS_HIDDEN);
		return false;
	case HELLO_BAD:
		relay_deny(c, ENGINE_DENIED_TLS_NONE, "not TLS");
		return false;
	}
	open_gate(c);
	return true;
}

static bool feed_http(struct relay *c, const uint8_t *bytes, size_t n)
{
	struct err *e = NULL;

	if (!c->parser.http && httphost_new(c->name, c->port, &c->parser.http, &e) < 0) {
		broken(c, e);
		return false;
	}
	switch (httphost_feed(c->parser.http, bytes, n)) {
	case HTTPHOST_MORE:
		c->holding = true;
		return true;
	case HTTPHOST_GOOD:
		c->holding = false;
		return true;
	case HTTPHOST_OPAQUE:
		/* Whether the rest is opaque is the server's to say: one that ignores the upgrade would read what
		 * follows as requests that nobody looked at. Over TLS, where most of it is, nothing of this is seen. */
		relay_deny(c, ENGINE_DENIED_HTTP_HOST, "an upgrade to WebSocket without TLS");
		return false;
	case HTTPHOST_BAD:
		break;
	}
	relay_deny(c, ENGINE_DENIED_HTTP_HOST, httphost_why(c->parser.http));
	return false;
}

bool gate_feed(struct relay *c, const uint8_t *bytes, size_t n)
{
	enum { TLS_HANDSHAKE = 0x16 }; /* RFC 8446, 5.1: the type of the first record */

	if (c->gate == GATE_FIRST) {
		c->gate = bytes[0] == TLS_HANDSHAKE ? GATE_TLS : GATE_NONE;
		if (c->gate == GATE_TLS)
			relay_wait(c, WAIT_GATE);
	}
	switch (c->gate) {
	case GATE_TLS:
		return feed_tls(c, bytes, n);
	case GATE_HTTP:
		return feed_http(c, bytes, n);
	default:
		return true;
	}
}

void gate_missing(struct relay *c, const char *why)
{
	/* A probe that says nothing at all breaks no rule. */
	if (c->flow[BOX].chunk_len == 0)
		relay_end(c, false);
	else
		relay_deny(c, c->gate == GATE_HTTP ? ENGINE_DENIED_HTTP_HOST : ENGINE_DENIED_TLS_NONE, why);
}

void gate_read(struct relay *c)
{
	struct engine *g = c->g;
	struct flow *f = &c->flow[BOX];

	while (f->readable && c->phase == PHASE_GATE) {
		ssize_t n = recv(c->fd[BOX], g->buffer, sizeof(g->buffer), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			f->readable = false;
			return;
		}
		if (n <= 0) {
			if (n < 0)
				relay_end(c, true);
			else
				gate_missing(c, "the connection ended before its first message did");
			return;
		}
		if (!gate_feed(c, g->buffer, (size_t)n))
			return;
		flow_keep(f, g->buffer, (size_t)n);
		if (!c->holding)
			dial_start(c);
	}
}
