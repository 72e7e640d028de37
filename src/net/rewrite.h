/* The requests of an HTTP/1.1 connection on their way to the one host they are for: each is read as strictly as
 * net/httphost.h reads those of port 80, and in its head placeholders become secrets (net/inject.h). Bodies and
 * trailers pass as they come, in whatever pieces they come. */
#ifndef IGLOO_NET_REWRITE_H
#define IGLOO_NET_REWRITE_H

#include "base/err.h"
#include "net/inject.h"

#include <stdint.h>

/* Of a head with its secrets in it. */
enum { REWRITE_HEAD_MAX = 128 * 1024 };

struct rewrite;

/* `host` in normal form; `in` is the caller's and stays. */
int rewrite_new(const char *host, uint16_t port, const struct inject *in, struct rewrite **ret, struct err **e);
void rewrite_free(struct rewrite *w); /* accepts NULL */
/* Takes n bytes of the client; adds what goes on to the host, at most n + REWRITE_HEAD_MAX for each head that ends in
 * them. False when they are no request for this host: then nothing more goes on, and rewrite_why() says why. What was
 * added before is whole parts of good requests, and need not be sent. */
bool rewrite_feed(struct rewrite *w, const uint8_t *bytes, size_t n, struct str *to);
const char *rewrite_why(const struct rewrite *w);
/* Heads that went on so far. */
uint64_t rewrite_heads(const struct rewrite *w);

#endif
