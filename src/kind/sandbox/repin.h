/* Pins mounted again in a running box (box/protect.h). */
#ifndef IGLOO_KIND_SANDBOX_REPIN_H
#define IGLOO_KIND_SANDBOX_REPIN_H

#include "base/err.h"
#include "box/spec.h"

/* Implements kind->repin. Forks: only a process without threads can join a user namespace, and the caller stays
 * where it is. A pin whose path is gone, or whose folder is, is left: then there is nothing to protect there. */
int repin(pid_t pid, const struct box_spec *spec, struct err **e);

#endif
