/* The server's name in a TLS ClientHello, read by OpenSSL (its client-hello callback, on memory BIOs): fragmented
 * records and handshake messages are its affair. Nothing is ever answered; libssl is loaded with dlopen at the first
 * hello. */
#ifndef IGLOO_NET_HELLO_H
#define IGLOO_NET_HELLO_H

#include "base/err.h"
#include "net/hostname.h"

#include <stdint.h>

enum { HELLO_BYTES_MAX = 64 * 1024 };

enum hello_state {
	HELLO_MORE,    /* feed what comes next */
	HELLO_NAME,    /* a name: see hello_name() */
	HELLO_NO_NAME, /* complete, without server_name */
	HELLO_ECH,     /* complete, with encrypted_client_hello (extension 0xfe0d): the outer name is in hello_name() */
	HELLO_BAD,     /* no TLS, malformed, too long, or a name that hostname_normalise() refuses */
};

struct hello;

/* -ELIBACC with a hint when libssl cannot be loaded. */
int hello_new(struct hello **ret, struct err **e);
void hello_free(struct hello *h); /* accepts NULL */
/* Feeds n more bytes of what the client sent. After a state other than HELLO_MORE it stays so. */
enum hello_state hello_feed(struct hello *h, const uint8_t *bytes, size_t n);
/* In normal form; "" without one. */
const char *hello_name(const struct hello *h);

#endif
