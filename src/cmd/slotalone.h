/* A slot that no box uses and no box can begin to use. */
#ifndef IGLOO_CMD_SLOTALONE_H
#define IGLOO_CMD_SLOTALONE_H

#include "base/err.h"
#include "box/slot.h"

/* Opens the slot exclusively. -EBUSY naming a box that runs in it, -ENOENT; with hints. */
int slotalone_open(const char *id, struct slot **ret, struct err **e);

/* The same for the slot of a box, or for a slot by its own name. *ret_box is the box's name, or NULL; the caller frees
 * it.
 */
int slotalone_of(const char *box_or_slot, char **ret_box, struct slot **ret, struct err **e);

#endif
