/* Inside of box.c: the folders of boxes and their locks, shared with boxclaim.c. */
#ifndef IGLOO_BOX_BOX_IMPL_H
#define IGLOO_BOX_BOX_IMPL_H

#include "base/err.h"

#include <stdbool.h>

/* The two folders that hold boxes: for one command, and those that stay. */
enum box_place { BOX_FLEETING, BOX_STAYING, BOX_PLACES };

/* Opens it. Returns the descriptor. */
int box_open_place(int place, struct err **e);
/* The one that has the box; the last one when none has, which then says so. */
int box_open_place_of(const char *name, struct err **e);

/* Whose name a box takes. */
enum box_claim_for {
	BOX_CLAIM_NEW,     /* nobody's: a box that is made for one command, or with --detach, or defined */
	BOX_CLAIM_DEFINED, /* that of its definition */
};

/* Makes the box's folder, if it is not there, and takes its lock. -EEXIST, with what to do, when there is a box of that
 * name; for BOX_CLAIM_DEFINED: -EALREADY when it runs, -ENOENT when its definition is gone. */
int box_claim(const char *name, int place, enum box_claim_for what, int *ret_dir, int *ret_lock, struct err **e);

#endif
