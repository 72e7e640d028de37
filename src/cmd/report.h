/* What igloo itself says at the end of a command: its result on stdout, its error on stderr.
 *
 * An error for people is
 *
 *     igloo: what failed, on what, why
 *       detail, as it came (for example Nix's own words)
 *     hint: what to do
 *
 * With --json it is one line on stderr, where progress is never shown then, so that stdout holds a
 * result or nothing and stays the command's own under `igloo run`:
 *
 *     {"schema":"igloo.error/1","command":"run","message":"...","detail":"...","hints":["..."],
 *      "errno":22,"exit":125}
 *
 * "command" is null before one was recognised, "detail" null and "hints" empty when there are none. */
#ifndef IGLOO_CMD_REPORT_H
#define IGLOO_CMD_REPORT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

void report_error(const struct err *e, const char *command, bool json);
/* The text or line that report_error() writes. */
void report_add_error(struct str *s, const struct err *e, const char *command, bool json);

/* Writes `s` to stdout. A reader that went away is no error, a full disk is. */
int report_out(const struct str *s, struct err **e);

struct invocation;
/* The end of a command that removes things by their checked names: writes those it has removed, one a line or as
 * {"removed":[…],"schema":…}, also when it failed in between. Returns r, the command's own result with its *e set, or
 * what report_out() returns. */
int report_removed(const struct strv *removed, const struct invocation *inv, const char *schema, int r, struct err **e);

#endif
