/* Decompression of whole buffers: what kernels and their modules are packed with.
 *
 * The formats are told by their first bytes (Linux lib/decompress.c, compressed_formats[]):
 *     gzip 1f 8b (RFC 1952)   xz fd "7zXZ" 00 (the .xz format, 2.1.1.1)   zstd 28 b5 2f fd (RFC 8878, 3.1.1)
 *     bzip2 "BZh"   lzma 5d 00 00   lzo 89 "LZO"   lz4 02 21 4c 18 (legacy frame): told apart, and refused
 * The work is done by zlib, liblzma and libzstd, one file each. They are not linked but loaded with dlopen() at
 * the first need, as fmt/digest.h does it and for the same reason: the warm path never unpacks. */
#ifndef IGLOO_FMT_UNPACK_H
#define IGLOO_FMT_UNPACK_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

enum unpack_format {
	UNPACK_NONE, /* none of them: not packed */
	UNPACK_GZIP,
	UNPACK_XZ,
	UNPACK_ZSTD,
	UNPACK_BZIP2,
	UNPACK_LZMA,
	UNPACK_LZO,
	UNPACK_LZ4,
};

enum unpack_format unpack_detect(const void *bytes, size_t n);
const char *unpack_name(enum unpack_format format);

/* Unpacks the first stream or frame in `bytes` and adds it to `to`; what follows it is left out. `expected` is the
 * size to make room for first, a hint (0: not known); it may lie. -EFBIG beyond `max` bytes, -EBADMSG when the bytes
 * are damaged, -EOPNOTSUPP for a format that is refused, -ELIBACC with a hint when the library is not there. On
 * failure `to` is as it was. */
int unpack(enum unpack_format format, const void *bytes, size_t n, size_t expected, size_t max, struct str *to,
	   struct err **e);

#endif
