/* Further commands in a running box, for other commands than `igloo exec`. */
#ifndef IGLOO_CMD_EXEC_H
#define IGLOO_CMD_EXEC_H

#include "base/err.h"

/* The environment's shell in the box, on the caller's terminal if there is one: the one that was kept when the box was
 * started (enter_keep_shell()), else plain bash. *ret_signal is the signal that ended it, or 0. */
int exec_shell(const char *box, int *ret_code, int *ret_signal, struct err **e);

#endif
