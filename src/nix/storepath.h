/* Store paths: their syntax, and the path that Nix gives to an object.
 *
 * Source: the Nix manual, "Complete Store Path Calculation" (NixOS/nix,
 * doc/manual/source/protocols/store-path.md) and src/libstore/{path,store-dir-config}.cc. The store
 * folder is always /nix/store: a closure from any other does not run elsewhere. */
#ifndef IGLOO_NIX_STOREPATH_H
#define IGLOO_NIX_STOREPATH_H

#include "base/err.h"
#include "fmt/digest.h"

#include <stdbool.h>
#include <stddef.h>

#define STOREPATH_DIR "/nix/store"

enum {
	STOREPATH_HASH = 32,                                               /* nix32 digits of the 20 bytes in a path */
	STOREPATH_NAME_MAX = 211,                                          /* longest name */
	STOREPATH_BASE_SIZE = STOREPATH_HASH + 1 + STOREPATH_NAME_MAX + 1, /* <hash>-<name> and a NUL */
	STOREPATH_SIZE = 11 + STOREPATH_BASE_SIZE,                         /* the whole path and a NUL */
};

/* A name as Nix accepts it: 1 to 211 of [0-9a-zA-Z+-._?=], not "." or ".." alone or before a dash. */
bool storepath_name_ok(const char *name);
/* "<32 nix32 digits>-<name>". */
bool storepath_base_ok(const char *base);
/* "/nix/store/<32 nix32 digits>-<name>" and nothing behind it. */
bool storepath_ok(const char *path);

/* The parts of a path for which storepath_ok() is true, pointing into it. */
const char *storepath_base(const char *path);
const char *storepath_name(const char *path);

/* If `path` is a store path or lies below one, writes the store path into `ret` and returns true. */
bool storepath_root(const char *path, char ret[static STOREPATH_SIZE]);

/* nix32(compress160(sha256("<type>:sha256:<hex of digest>:/nix/store:<name>"))) and the name. All that
 * make a path return 0, -EINVAL when the name is no store path name, or digest_load()'s error. */
int storepath_make(const char *type, const uint8_t digest[static DIGEST_SHA256_BYTES], const char *name,
		   char ret[static STOREPATH_SIZE], struct err **e);

/* A path that holds the text with that SHA-256 and refers to `refs` (store paths, sorted bytewise, no
 * two equal; refs[n] need not be NULL): derivations and builtins.toFile. */
int storepath_text(const uint8_t digest[static DIGEST_SHA256_BYTES], const char *const *refs, size_t n,
		   const char *name, char ret[static STOREPATH_SIZE], struct err **e);

/* A fixed output without references: `hash` (digest_algo_bytes() bytes) of the NAR when `recursive`,
 * else of the file. Recursive SHA-256 is the form of sources: narHash to "/nix/store/…-source". */
int storepath_fixed(bool recursive, enum digest_algo algo, const uint8_t *hash, const char *name,
		    char ret[static STOREPATH_SIZE], struct err **e);

#endif
