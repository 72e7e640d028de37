/* What the Nix in a box asks the store server (nix/storeserve.h): HTTP/1.1 requests without a body.
 *
 * The bytes are a box's. The reader is strict: what two parsers could read differently is refused, and so is all that
 * no Nix sends. Sources: RFC 9112 (message syntax); binary caches as Nix's HttpBinaryCacheStore reads them
 * (src/libstore/{http-,}binary-cache-store.cc). */
#ifndef IGLOO_NIX_STOREREQUEST_H
#define IGLOO_NIX_STOREREQUEST_H

#include "nix/base32.h"
#include "nix/storepath.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	STOREREQUEST_MAX = 8192, /* bytes of a request, its last empty line included */
	STOREREQUEST_SHA256 = BASE32_DIGITS(32),
};

enum storerequest_what {
	STOREREQUEST_NOTHING, /* there is no such thing: 404 */
	STOREREQUEST_INFO,    /* nix-cache-info */
	STOREREQUEST_NARINFO, /* <path hash>.narinfo */
	STOREREQUEST_NAR,     /* nar/<path hash>-<NAR's SHA-256>.nar */
};

struct storerequest {
	enum storerequest_what what;
	bool head;  /* HEAD, else GET */
	bool close; /* the last one of its connection */
	char path_hash[STOREPATH_HASH + 1];
	char nar_hash[STOREREQUEST_SHA256 + 1];
};

/* Reads the request that the bytes begin with. Returns its length; 0 when its end has not come yet;
 * -EMSGSIZE when it is too long, -EOPNOTSUPP for other methods than GET and HEAD, -EBADMSG when it is none.
 *
 * The first part of the target, /<letters and digits>/, means nothing (box/boxstore.c says what it is for). */
ssize_t storerequest_read(const char *bytes, size_t n, struct storerequest *ret);

#endif
