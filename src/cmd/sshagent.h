/* --ssh-agent and --ssh-key: which keys of the user's agent a box may use. */
#ifndef IGLOO_CMD_SSHAGENT_H
#define IGLOO_CMD_SSHAGENT_H

#include "box/sshkeys.h"
#include "cmd/boxoptions.h"

/* Fills in `ret` (empty) with the keys that --ssh-key names. Without it, and without a terminal to ask at, that is
 * refused. */
int sshagent_choose(const struct box_options *o, struct sshkeys *ret, struct err **e);
/* Later, when igloo does not start itself again any more: with --ssh-agent alone asks for each key. */
int sshagent_ask(const struct box_options *o, struct sshkeys *ret, struct err **e);

#endif
