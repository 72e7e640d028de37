/* The host's name servers, while they change: a VPN or another network rewrites /etc/resolv.conf, and the engine, which
 * is shut in, cannot see it. */
#ifndef IGLOO_BOX_HOSTDNS_H
#define IGLOO_BOX_HOSTDNS_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct hostdns;

/* `path` is /etc/resolv.conf, or what a test has for it. */
int hostdns_new(const char *path, struct hostdns **ret, struct err **e);
void hostdns_free(struct hostdns *h); /* accepts NULL */
/* Readable when something may have changed; -1 for NULL. */
int hostdns_fd(const struct hostdns *h);
/* Looks: true with the addresses in *ret, with commas between them, when they are others than the last time, and some.
 */
bool hostdns_changed(struct hostdns *h, struct str *ret);

#endif
