/* How a box of a kind that lives in namespaces begins and ends: the operations of struct kind (box/kind.h), for a kind
 * whose first process is the guest, or a monitor of its own (kind/common/setup.h). */
#ifndef IGLOO_KIND_COMMON_LIFE_H
#define IGLOO_KIND_COMMON_LIFE_H

#include "box/kind.h"
#include "kind/common/setup.h"

int life_prepare(struct slot *slot, struct strv *ret_vanished, struct err **e);
/* monitor NULL: the guest runs the box's commands itself. A monitor needs Linux 5.12 (-ENOSYS). */
int life_start(struct kind_box *box, const struct monitor *monitor, struct err **e);
/* The guest's program as a sealed file without a name. */
int life_guest(struct err **e);
int life_stop(struct kind_box *box, unsigned grace_ms, struct err **e);
void life_destroy(struct kind_box *box);

#endif
