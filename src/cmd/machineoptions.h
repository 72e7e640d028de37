/* The options that shape a machine (--in vm) beyond its size: group BOX_GROUP_MACHINE of boxoptions.h. */
#ifndef IGLOO_CMD_MACHINEOPTIONS_H
#define IGLOO_CMD_MACHINEOPTIONS_H

#include "box/slot.h"
#include "box/spec.h"
#include "cmd/boxoptions.h"

/* The architecture that was asked for, by the name that uname -m gives it; NULL when it is this machine's own. */
const char *machineoptions_arch(const struct box_options *o);

/* What Nix calls it; NULL when it is this machine's own. The caller frees it. */
char *machineoptions_platform(const struct box_options *o);

/* -EINVAL, naming it, when one was given for a box of a kind without a machine. */
int machineoptions_refuse(const struct box_options *o, const char *kind, struct err **e);

/* Whether they are well written; -EINVAL. */
int machineoptions_check(const struct box_options *o, struct err **e);
/* Whether a machine of such limits, with its slot's disk, fits on this host: -ENOSPC. What would take most of it is
 * said. */
int machineoptions_check_sizes(const struct box_options *o, const struct box_limits *limits, const struct slot *slot,
			       struct err **e);

void machineoptions_fill(const struct box_options *o, struct box_machine *to);

#endif
