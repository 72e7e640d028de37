/* A box's own certificate authority, which lives and dies with the box's broker (net/broker.h).
 *
 * EC P-256. Its private key is made here and leaves this process in no form. It is good for the box's bound hosts only
 * (name constraints, critical: these DNS names, no IP addresses), and AUTHORITY_DAYS long: what trusts it ends with the
 * box. Certificates of hosts are made when they are first wanted and again before they end, or after the clock was
 * set. */
#ifndef IGLOO_NET_AUTHORITY_H
#define IGLOO_NET_AUTHORITY_H

#include "base/err.h"
#include "base/str.h"

#include <time.h>

enum {
	AUTHORITY_DAYS = 365,
	AUTHORITY_HOST_DAYS = 7,
	AUTHORITY_SKEW_DAYS = 2, /* how far behind a clock in the box may be */
};

struct authority;
struct ssl_ctx_st;

/* `hosts`: names in normal form, at least one. Loads OpenSSL (net/tlslib.h). */
int authority_new(const struct strv *hosts, time_t now, struct authority **ret, struct err **e);
void authority_free(struct authority *a); /* accepts NULL */
/* Its certificate, PEM. */
const char *authority_pem(const struct authority *a);
/* A server's context with a certificate for `host`, one of `hosts`; the authority's, to be used at once. It speaks
 * HTTP/1 only (ALPN). -EKEYEXPIRED when the authority itself is out of its time: the box must be started again. */
int authority_context(struct authority *a, const char *host, time_t now, struct ssl_ctx_st **ret, struct err **e);

#endif
