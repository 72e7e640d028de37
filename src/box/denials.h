/* What boxes of a slot were denied, kept for `igloo why`.
 *
 * A file `denials` in the slot's folder, which no box sees, one JSON object a line:
 *     {"schema":"igloo.denial/1","time":1789000000,"box":"fix","reason":"name","host":"example.org","port":443,
 *      "detail":"","allow":"example.org"}
 * "allow" is the entry that would allow it, null where none would. Two files at most, of DENIALS_BYTES_MAX each. */
#ifndef IGLOO_BOX_DENIALS_H
#define IGLOO_BOX_DENIALS_H

#include "base/err.h"
#include "base/str.h"
#include "box/slot.h"
#include "net/engine.h"

#include <time.h>

enum { DENIALS_BYTES_MAX = 512 * 1024 };

/* The policy entry that would allow it, "" when no entry would. The caller frees it. */
char *denials_entry(const struct engine_event *event);
/* The option of a new box that would let it pass, where no entry does; NULL: none. */
const char *denials_option(const struct engine_event *event);
/* One line for people, without the time and the box; printable. */
void denials_describe(const struct engine_event *event, struct str *to);
/* The object as above, with a newline. */
void denials_json(const struct engine_event *event, const char *box, time_t when, struct str *to);
/* Appends to the slot's file. A failure is not the box's affair: it is only logged. */
void denials_keep(const struct slot *slot, const char *box, const struct engine_event *event);
/* Calls each(arg, …) for the kept ones, oldest first; of box `box` only unless NULL. Lines that are damaged are left
 * out. Stops at the first result that is not 0, and returns it. */
int denials_read(const struct slot *slot, const char *box,
		 int (*each)(void *arg, const struct engine_event *event, const char *box, time_t when), void *arg,
		 struct err **e);

#endif
