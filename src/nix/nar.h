/* NAR, the Nix archive: one spelling for one file tree.
 *
 * Source: the Nix manual, "Nix Archive (NAR) format" (NixOS/nix, doc/manual/source/protocols/
 * nix-archive). Strings are a little-endian 64-bit length and the bytes, padded with NULs to 8;
 * folder entries are sorted bytewise; of the metadata only "executable by the owner" counts. */
#ifndef IGLOO_NIX_NAR_H
#define IGLOO_NIX_NAR_H

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

/* Deepest nesting of folders that is written (one descriptor is held per level). */
enum { NAR_DEPTH_MAX = 256 };

enum nar_flags {
	NAR_PUBLIC = 1,  /* -EACCES for a file or folder that not everybody on the machine may read */
	NAR_MEASURE = 2, /* for nar_measure(): contents are not read */
};

/* The archive of `name` in dirfd, piece by piece as the caller wants it: a regular file, a symbolic link (as it is) or
 * a folder with such below it. `name` is one component; dirfd must stay open until nar_close(). No link is followed.
 *
 * nar_read() returns how many bytes it put into `bytes` (fewer than n only at the end), 0 at the end; -EINVAL naming
 * the file for any other type, for folders nested too deep, and for a file whose length changes meanwhile; else what
 * the system said. After a failure the reader is only to be closed. */
struct nar;
int nar_open(int dirfd, const char *name, unsigned flags, struct nar **ret, struct err **e);
ssize_t nar_read(struct nar *n, void *bytes, size_t size, struct err **e);
/* With NAR_MEASURE: looks at up to `entries` more files and folders and adds the length of their archive to *size.
 * Returns 1 when that was all, 0 when there are more, -errno as nar_read() would. */
int nar_measure(struct nar *n, size_t entries, uint64_t *size, struct err **e);
void nar_close(struct nar *n); /* accepts NULL */

static inline void nar_closep(struct nar **n)
{
	nar_close(*n);
}
#define _cleanup_nar_ ATTR_CLEANUP(nar_closep)

/* Called with the archive's bytes in order; a negative errno (with *e set) stops the writing. */
typedef int nar_sink(const void *bytes, size_t n, void *ctx, struct err **e);

/* All of it at once, to a sink. */
int nar_write(int dirfd, const char *name, nar_sink *sink, void *ctx, struct err **e);

/* The archive's SHA-256 and length, which Nix calls narHash and narSize. */
int nar_hash(int dirfd, const char *name, uint8_t ret_sha256[static 32], uint64_t *ret_size, struct err **e);

#endif
