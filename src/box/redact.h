/* Takes secrets out of what a box prints, before it is kept in a log.
 *
 * Each line of a value that has REDACT_LEAST bytes or more is looked for as it is (a pty changes the ends of lines, so
 * a value of several lines is never looked for as a whole), and "[secret NAME]" put in its place. Nothing else is
 * recognised: not a value that the command encoded, split or reversed. It keeps a command's accidents out of a log, not
 * its intentions. */
#ifndef IGLOO_BOX_REDACT_H
#define IGLOO_BOX_REDACT_H

#include "base/str.h"
#include "box/secrets.h"

#include <stdbool.h>

enum { REDACT_LEAST = 6 };

struct redact;

/* The values must be open. NULL when there is nothing to look for. They stay in mappings that no fork inherits and no
 * core file has. */
struct redact *redact_new(const struct secrets *s);
/* Adds to `to` what may be kept of these bytes and of those held back before; what may be the beginning of a value is
 * held back, at most its length. `end`: nothing is. NULL passes everything. */
void redact_add(struct redact *r, const char *bytes, size_t n, bool end, struct str *to);
/* The same for a short text that is whole: a name that was lower-cased on its way is recognised, too. */
void redact_text(const struct redact *r, const char *text, struct str *to);
void redact_free(struct redact *r);

#endif
