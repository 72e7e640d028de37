/* Boxes that stay (box/definition.h), for the commands that define and start them. */
#ifndef IGLOO_CMD_STAY_H
#define IGLOO_CMD_STAY_H

#include "box/definition.h"
#include "cmd/boxoptions.h"

/* Of `igloo create`; the first group of tables is shared with run. */
struct stay_options {
	struct box_options box;
};

/* The tables that a definition's options are read by: those of run, and no more. Ends with a NULL title. */
extern const struct opt_group stay_groups[];

/* Checks what was given to a command with the groups above in front of its own, whose options start with a struct
 * stay_options, and fills in the definition. `without`: names of options that are the command's own; NULL-terminated.
 */
int stay_define(const struct invocation *inv, const char *const *without, char *const *command, struct definition *ret,
		struct err **e);

struct stay_started {
	bool already; /* it ran, or somebody else was starting it: nothing was done, and that was said */
};

/* Runs the box, detached. With `silent`, its name and ports are not printed. May execute igloo anew as it was called
 * (limits that only a scope of the user's systemd can have). */
int stay_start(const char *name, bool json, bool silent, struct stay_started *ret, struct err **e);

#endif
