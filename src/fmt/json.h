/* JSON from untrusted hands, by jansson, and a stable text to write and hash.
 *
 * The only place that includes jansson. Reading is bounded in bytes and depth, refuses names given
 * twice (two readers would disagree on them) and NUL characters. The json_want_ and json_opt_
 * functions read one member of an object; `where` names the object in messages ("flake.lock"), and
 * what they return belongs to the object. */
#ifndef IGLOO_FMT_JSON_H
#define IGLOO_FMT_JSON_H

#include "base/err.h"
#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>

static inline void json_cleanup(json_t **j)
{
	json_decref(*j);
}
#define _cleanup_json_ ATTR_CLEANUP(json_cleanup)

/* Parses the n bytes of one document, an object or array nested at most `depth` deep (1 to 1000).
 * -EFBIG when n > max, -EINVAL when it is no such JSON. *ret is the caller's. */
int json_parse(const char *bytes, size_t n, size_t max, unsigned depth, json_t **ret, struct err **e);

/* The member `key`, which must be there and of that type; else -EINVAL. */
int json_want_string(const json_t *object, const char *key, const char *where, const char **ret, struct err **e);
int json_want_int(const json_t *object, const char *key, const char *where, json_int_t *ret, struct err **e);
int json_want_object(const json_t *object, const char *key, const char *where, json_t **ret, struct err **e);
int json_want_array(const json_t *object, const char *key, const char *where, json_t **ret, struct err **e);

/* The same where a missing member (or null) is fine: 0 and *ret unchanged, so set a default first. */
int json_opt_string(const json_t *object, const char *key, const char *where, const char **ret, struct err **e);
int json_opt_int(const json_t *object, const char *key, const char *where, json_int_t *ret, struct err **e);
int json_opt_bool(const json_t *object, const char *key, const char *where, bool *ret, struct err **e);
int json_opt_object(const json_t *object, const char *key, const char *where, json_t **ret, struct err **e);
int json_opt_array(const json_t *object, const char *key, const char *where, json_t **ret, struct err **e);

/* Adds the document without blanks and with sorted names: equal documents give equal bytes. */
void json_add_sorted(struct str *to, const json_t *document);

#endif
