/* The folders that the user shares with a box. */
#ifndef IGLOO_CMD_SHARING_H
#define IGLOO_CMD_SHARING_H

#include "cmd/enter.h"

/* Opens and judges what the options name, and asks for what gives much away: -EACCES without a yes. Once; later calls
 * do nothing. */
int sharing_settle(const struct box_options *o, struct shares *shares, struct err **e);
/* Adds them to the box, and says where a machine has those whose place the user did not choose. */
int sharing_put(struct enter *in, struct err **e);

#endif
