/* Sizes, processors, counts and durations as people write them.
 *
 * Every parser takes the whole text or none of it: no sign, no exponent, no blank, nothing behind.
 * A number is digits, or digits, a point and one to three digits where fractions make sense. Units
 * are read in either case. On failure the error says what was written and what would be accepted,
 * in one line and without the name of the option or key, which the caller puts in front with
 * err_wrap(). Returns 0, -EINVAL (not a number of this sort) or -ERANGE (one, but not allowed). */
#ifndef IGLOO_BASE_SIZE_H
#define IGLOO_BASE_SIZE_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define SIZE_KIB (UINT64_C(1) << 10)
#define SIZE_MIB (UINT64_C(1) << 20)
#define SIZE_GIB (UINT64_C(1) << 30)
#define SIZE_TIB (UINT64_C(1) << 40)

/* What a box's memory may be, by option or by what a flake asks for. */
#define SIZE_MEMORY_MIN (16 * SIZE_MIB)
#define SIZE_MEMORY_MAX (1024 * SIZE_GIB)

/* Bytes from "512M", "8G", "8gb", "8GiB", "1.5G": K, M, G and T are powers of 1024 with or without
 * "b" or "ib" (as docker reads them). A bare number is GiB, from 1 to `max` and at most 10000, so that
 * "8" is what people mean and a number of bytes is refused instead of misread. */
int size_parse(const char *text, uint64_t min, uint64_t max, uint64_t *ret_bytes, struct err **e);

/* Thousandths of a processor, 1 to 128000, from "2", "0.5", "2cpu", "2cpus" or "500m". */
int size_parse_cpus(const char *text, uint64_t *ret_milli, struct err **e);

/* A whole decimal number from `min` to `max`. */
int size_parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *ret, struct err **e);

/* Milliseconds from "30s", "5m", "2h", "1d", "1.5h" or bare seconds; above 0, at most 365 days. */
int size_parse_duration(const char *text, uint64_t *ret_ms, struct err **e);

/* Adds "512 MiB", "1.5 GiB" (one decimal, cut off), "17 bytes". */
void size_add(struct str *s, uint64_t bytes);
/* Adds a duration as size_parse_duration() reads it, in the largest unit that is exact: "90s", "2h". */
void size_add_duration(struct str *s, uint64_t ms);

#endif
