/* Changes to a box that runs, by the pid of its guest.
 *
 * Both fork: only a process without threads can join a user namespace, and the caller stays where it is. */
#ifndef IGLOO_KIND_COMMON_RUNNING_H
#define IGLOO_KIND_COMMON_RUNNING_H

#include "base/err.h"
#include "box/hostpaths.h"
#include "box/spec.h"
#include "net/engine.h"

/* Implements kind->extend: mounts paths that joined the slot's set, so that what the slot's database calls valid is
 * there in every box. */
int running_extend(pid_t pid, const struct hostpath *paths, size_t n, struct err **e);

/* Implements kind->repin: mounts pins again (box/protect.h). A pin whose path is gone, or whose folder is, is left:
 * then there is nothing to protect there. */
int running_repin(pid_t pid, const struct box_spec *spec, struct err **e);

/* The same for boxes with a monitor (kind/common/setup.h). */
int running_extend_monitored(pid_t pid, const struct hostpath *paths, size_t n, struct err **e);
int running_repin_monitored(pid_t pid, const struct box_spec *spec, struct err **e);

/* Implements kind->open_gateway. */
int running_open_gateway(pid_t pid, const struct box_spec *spec, struct engine_sockets *ret, struct err **e);
/* Implements kind->widen_gateway. */
int running_widen_gateway(pid_t pid, const struct box_spec *spec, int anchor, int *ret_every, struct err **e);

#endif
