/* The questions of `igloo create` without options: what ai-vm asks, in its order. Every one is an option, too. */
#ifndef IGLOO_CMD_CREATEMENU_H
#define IGLOO_CMD_CREATEMENU_H

#include "cmd/cmd.h"

/* Asks on the terminal, and adds the answers as arguments of `cmd`: "create", NAME, options. Questions whose option
 * `cmd` has not are left out. -ECANCELED when the user leaves; -ENOENT outside of a repository. */
int createmenu_ask(const struct cmd *cmd, struct strv *argv, struct err **e);

#endif
