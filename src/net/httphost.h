/* The Host of every request of an HTTP/1 connection, read by http-parser (loaded with dlopen).
 *
 * All requests of a connection are looked at, not only the first: a kept-alive connection could name another host in
 * its second. Refused: a request without a Host or with two, Host and absolute target that differ, CONNECT, an upgrade
 * to h2c, Content-Length together with Transfer-Encoding, and anything the parser does not take. After an accepted
 * `Upgrade: websocket` the rest is opaque (HTTPHOST_OPAQUE). */
#ifndef IGLOO_NET_HTTPHOST_H
#define IGLOO_NET_HTTPHOST_H

#include "base/err.h"
#include "net/hostname.h"

#include <stdbool.h>
#include <stdint.h>

enum httphost_state {
	HTTPHOST_MORE,   /* inside a request's head whose Host was not seen yet: pass nothing on */
	HTTPHOST_GOOD,   /* all heads so far name the host: what was fed may go on */
	HTTPHOST_OPAQUE, /* the connection is something else now, with the peer's leave */
	HTTPHOST_BAD,    /* see httphost_why() */
};

enum { HTTPHOST_HEAD_MAX = 64 * 1024 };

struct httphost;

/* `name` in normal form; `port` is the one connected to (a Host with another port is refused). */
int httphost_new(const char *name, uint16_t port, struct httphost **ret, struct err **e);
void httphost_free(struct httphost *h); /* accepts NULL */
enum httphost_state httphost_feed(struct httphost *h, const uint8_t *bytes, size_t n);
/* One part of a request at a time, for who changes them. */
struct httphost_piece {
	size_t n;  /* bytes, of those given, that belong to one part; 0: nothing was taken, see the state */
	bool head; /* of a request's head; with HTTPHOST_GOOD it ends with them, and may go on */
};
enum httphost_state httphost_step(struct httphost *h, const uint8_t *bytes, size_t n, struct httphost_piece *ret);
/* The requests came by TLS: absolute targets are https, and neither TRACE nor any Upgrade is let through. */
void httphost_set_tls(struct httphost *h);
/* The host that was asked for instead, or what was wrong; printable, never NULL. */
const char *httphost_why(const struct httphost *h);

#endif
