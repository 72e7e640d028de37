/* Growing byte strings and argument vectors.
 *
 * Invariant of struct str: `p` is NULL (then len and cap are 0) or holds len bytes and a NUL behind
 * them, so `p` is always a C string once something was added; bytes may include NULs.
 * STR_INIT or zeroed memory is an empty string; str_release() frees and empties. */
#ifndef IGLOO_BASE_STR_H
#define IGLOO_BASE_STR_H

#include "base/mem.h"

#include <stdarg.h>
#include <stdbool.h>

struct str {
	char *p;
	size_t len;
	size_t cap;
};

#define STR_INIT           \
	{                  \
		NULL, 0, 0 \
	}

void str_add(struct str *s, const void *bytes, size_t n);
void str_adds(struct str *s, const char *text);
void str_addc(struct str *s, char c);
void str_addf(struct str *s, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* Room for n more bytes behind len, returned for writing; raise s->len afterwards (str_grew()). */
char *str_room(struct str *s, size_t n);
void str_grew(struct str *s, size_t n);
void str_clear(struct str *s);
void str_release(struct str *s);
/* The text (never NULL), now the caller's; the string is empty after. */
char *str_take(struct str *s);
/* The text, "" when nothing was added. */
const char *str_text(const struct str *s);

/* Adds `text` as one word for a POSIX shell: as it is if that is safe, else single-quoted. For
 * messages that show a command; igloo never runs a shell string. */
void str_add_quoted(struct str *s, const char *text);
/* Adds n bytes so that a terminal only prints them: control characters, C1 bytes and invalid UTF-8
 * become \xNN; newline and tab stay if `keep_lines`. */
void str_add_printable(struct str *s, const char *bytes, size_t n, bool keep_lines);

static inline void str_releasep(struct str *s)
{
	str_release(s);
}
#define _cleanup_str_ ATTR_CLEANUP(str_releasep)

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
static inline bool str_has(const char *s)
{
	return s && *s;
}

/* A NULL-terminated vector of owned strings: v is NULL or v[n] is NULL. */
struct strv {
	char **v;
	size_t n;
	size_t cap; /* pointers allocated, the NULL counted */
};

#define STRV_INIT          \
	{                  \
		NULL, 0, 0 \
	}

void strv_add(struct strv *s, const char *text);
void strv_addf(struct strv *s, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* Takes ownership of `text`. */
void strv_add_take(struct strv *s, char *text);
void strv_add_all(struct strv *s, char *const *v);
void strv_release(struct strv *s);
bool strv_has(const struct strv *s, const char *text);
/* Sorts bytewise and drops equal strings. */
void strv_sort_unique(struct strv *s);
/* The index of `text` in a vector that strv_sort_unique() made, -1 if it is not there. */
ptrdiff_t strv_find_sorted(const struct strv *s, const char *text);
/* Splits at each `sep`, leaving out empty pieces; adds to s. */
void strv_split(struct strv *s, const char *text, char sep);
/* In an environment ("NAME=value" strings): sets or replaces; value NULL removes. */
void strv_env_set(struct strv *s, const char *name, const char *value);
const char *strv_env_get(const struct strv *s, const char *name);

static inline void strv_releasep(struct strv *s)
{
	strv_release(s);
}
#define _cleanup_strv_ ATTR_CLEANUP(strv_releasep)

/* How far two words are apart in letters added, dropped, changed or swapped with a neighbour; for
 * "did you mean". At most 64 bytes of each are compared. */
size_t str_distance(const char *a, const char *b);

#endif
