/* A secret that is bound to a host: "NAME@HOST" or "NAME@HOST:PORT", of an option or a flake's request. The box gets a
 * placeholder, and igloo puts the value into its requests to that host alone (net/broker.h). */
#ifndef IGLOO_BOX_SECRETBIND_H
#define IGLOO_BOX_SECRETBIND_H

#include "base/err.h"

#include <stdint.h>

enum { SECRETBIND_PORT = 443 };

/* The name of a secret, checked, and "host:port" in normal form, NULL when `text` is a name alone. -EINVAL, saying what
 * is wrong: a host is a name, not an address or a wildcard, and port 80 is not encrypted. */
int secretbind_parse(const char *text, char **ret_name, char **ret_host, struct err **e);
/* Its parts again: the port, and how many bytes are the name. */
uint16_t secretbind_split(const char *host, size_t *ret_n);
/* The normal form of the whole, "NAME@host" with a port that is not 443; the caller's. */
char *secretbind_text(const char *name, const char *host);
/* A fresh placeholder, "igloo_<NAME>_" and 128 random bits in hex; the caller's. */
int secretbind_placeholder(const char *name, char **ret, struct err **e);

#endif
