/* Between unpack.c and the files with one library each. */
#ifndef IGLOO_FMT_UNPACK_IMPL_H
#define IGLOO_FMT_UNPACK_IMPL_H

#include "fmt/unpack.h"

/* Each adds to `to` (with str_grew() only when all is well), as unpack() says. n > 0, max > 0. */
typedef int unpack_backend(const void *bytes, size_t n, size_t expected, size_t max, struct str *to, struct err **e);
unpack_backend unpack_gzip;
unpack_backend unpack_xz;
unpack_backend unpack_zstd;

/* A function of a library by name. */
struct unpack_symbol {
	const char *name;
	void *to; /* a pointer to a function pointer */
};
/* Loads `soname` and finds the symbols in it; `package` is Debian's name for it. -ELIBACC. */
int unpack_load(const char *soname, const char *package, const struct unpack_symbol *symbols, size_t n, struct err **e);

/* The room to try first, at least 1 and at most max. */
static inline size_t unpack_first_room(size_t n, size_t expected, size_t max)
{
	size_t room = expected ? expected : n < (size_t)-1 / 4 ? 4 * n : n;

	return room < max ? room : max;
}
/* The next larger one; 0 when `room` was the largest allowed. */
static inline size_t unpack_next_room(size_t room, size_t max)
{
	return room >= max ? 0 : room > max / 2 ? max : 2 * room;
}

#endif
