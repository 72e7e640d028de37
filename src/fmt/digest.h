/* SHA-256, and the spellings of digests: hex and SRI.
 *
 * The arithmetic is libcrypto's (EVP), which uses the processor's SHA instructions. It is not linked
 * but loaded with dlopen("libcrypto.so.3") at the first digest: linking it costs 0.55 ms at every
 * start of the program, and the warm path of `igloo run` never hashes. Everything else here (hex, SRI)
 * needs no library. */
#ifndef IGLOO_FMT_DIGEST_H
#define IGLOO_FMT_DIGEST_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { DIGEST_SHA256_BYTES = 32, DIGEST_SHA256_HEX = 64, DIGEST_BYTES_MAX = 64 };

/* The algorithms Nix names in fixed outputs; only SHA-256 is ever computed here. */
enum digest_algo { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512 };

/* Loads libcrypto if it is not loaded; the other functions do it by themselves. -ELIBACC with a hint
 * when there is none or it lacks a function. It costs the process 3 MiB, for good: it pins itself. */
int digest_load(struct err **e);

/* SHA-256 of n bytes at once. */
int digest_sha256(const void *bytes, size_t n, uint8_t ret[static DIGEST_SHA256_BYTES], struct err **e);

/* SHA-256 piece by piece: digest_open(), digest_add() any number of times, digest_finish(). After
 * digest_finish() the same object starts over. digest_add() keeps a failure for digest_finish(). */
struct digest;
int digest_open(struct digest **ret, struct err **e);
void digest_add(struct digest *d, const void *bytes, size_t n);
int digest_finish(struct digest *d, uint8_t ret[static DIGEST_SHA256_BYTES], struct err **e);
void digest_free(struct digest *d); /* accepts NULL */

static inline void digest_freep(struct digest **d)
{
	digest_free(*d);
}
#define _cleanup_digest_ ATTR_CLEANUP(digest_freep)

/* n bytes as 2n lower case hex digits and a NUL. */
void digest_hex(const uint8_t *bytes, size_t n, char *ret);
/* Exactly n bytes from exactly 2n lower case hex digits; false for anything else. */
bool digest_from_hex(const char *hex, uint8_t *ret, size_t n);

/* "md5", "sha1", "sha256", "sha512". */
const char *digest_algo_name(enum digest_algo algo);
size_t digest_algo_bytes(enum digest_algo algo);
bool digest_algo_parse(const char *name, enum digest_algo *ret);

/* A digest as in Subresource Integrity and Nix, "<algorithm>-<base64 with padding>" (W3C SRI, 3.5;
 * RFC 4648, 4). Sets *ret_algo and digest_algo_bytes() bytes. Strict: one hash, no options, no spare
 * bits set. False when `text` is anything else. */
bool digest_from_sri(const char *text, enum digest_algo *ret_algo, uint8_t ret[static DIGEST_BYTES_MAX]);

#endif
