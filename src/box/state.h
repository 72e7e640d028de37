/* A box's state file, spec.json in its folder ("schema": "igloo.box/1"). */
#ifndef IGLOO_BOX_STATE_H
#define IGLOO_BOX_STATE_H

#include "box/box.h"

/* Writes the state of a running box (exit_code -1) or of one that ended, perhaps because it was asked to. Synced only
 * for boxes that stay. */
int state_write(struct box *box, int exit_code, bool stopped, struct err **e);
/* -ENOENT when there is none yet, -EBADMSG when it is damaged. */
int state_read(int dir, struct box_info *ret, struct err **e);
/* Removes the folder `dir` (`name` in `boxes`) of an ephemeral box quickly: its few known files, then itself. */
int state_remove(int boxes, const char *name, int dir);

#endif
