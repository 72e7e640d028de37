/* NAR, the Nix archive: one spelling for one file tree.
 *
 * Source: the Nix manual, "Nix Archive (NAR) format" (NixOS/nix, doc/manual/source/protocols/
 * nix-archive). Strings are a little-endian 64-bit length and the bytes, padded with NULs to 8;
 * folder entries are sorted bytewise; of the metadata only "executable by the owner" counts. */
#ifndef IGLOO_NIX_NAR_H
#define IGLOO_NIX_NAR_H

#include "base/err.h"

#include <stdint.h>

/* Deepest nesting of folders that is written (one descriptor is held per level). */
enum { NAR_DEPTH_MAX = 256 };

/* Called with the archive's bytes in order; a negative errno (with *e set) stops the writing. */
typedef int nar_sink(const void *bytes, size_t n, void *ctx, struct err **e);

/* Writes the archive of `name` in dirfd: a regular file, a symbolic link (as it is) or a folder with
 * such below it. `name` is one component. No link is followed. -EINVAL naming the file for any other
 * type, for folders nested too deep, and for a file whose length changes meanwhile. */
int nar_write(int dirfd, const char *name, nar_sink *sink, void *ctx, struct err **e);

/* The archive's SHA-256 and length, which Nix calls narHash and narSize. */
int nar_hash(int dirfd, const char *name, uint8_t ret_sha256[static 32], uint64_t *ret_size, struct err **e);

#endif
