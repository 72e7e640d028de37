/* Where a placeholder becomes the secret it stands for: in the values of headers that carry credentials, and nowhere
 * else. A box that could choose the place would have the server say the value: as a name, a search, a comment.
 *
 * The headers: the table in inject.c. In `Authorization: Basic` the placeholder is looked for in what the Base64
 * means (RFC 7617), and the whole encoded again: git, curl -u and .netrc send passwords so. */
#ifndef IGLOO_NET_INJECT_H
#define IGLOO_NET_INJECT_H

#include "base/str.h"

#include <stdbool.h>

enum { INJECT_VALUE_MAX = 16 * 1024, INJECT_MAX = 64 };

struct inject_pair {
	const char *placeholder;
	const char *value; /* n bytes, no control characters: inject_value_is_good() */
	size_t n;
};

/* Those of one host. What they point to is the caller's and stays. */
struct inject {
	struct inject_pair v[INJECT_MAX];
	size_t n;
};

/* Can a header hold it? 1 to INJECT_VALUE_MAX bytes without control characters, not a blank at either end. */
bool inject_value_is_good(const char *value, size_t n);
/* Does a header of this name (n bytes) carry credentials? */
bool inject_is_credential(const char *name, size_t n);
/* Adds the value of such a header, without blanks around it, with each placeholder replaced; false, and nothing added,
 * when there is none in it. What was `to`'s memory may have held values: it is the caller's to wipe. */
bool inject_value(const struct inject *in, const char *value, size_t n, struct str *to);

/* Wipes, then releases. */
void inject_wipe(struct str *s);
static inline void inject_wipep(struct str *s)
{
	inject_wipe(s);
}
#define _cleanup_inject_ ATTR_CLEANUP(inject_wipep)

#endif
