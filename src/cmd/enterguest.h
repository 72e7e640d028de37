/* --guest: what a machine has in it. */
#ifndef IGLOO_CMD_ENTERGUEST_H
#define IGLOO_CMD_ENTERGUEST_H

#include "cmd/enter.h"

/* Resolves the system that the options name, if they name one, as `q` resolves the environment: sets in->machine. */
int enterguest_resolve(const struct box_options *o, const struct environment_query *q, struct enter *in,
		       struct err **e);
/* Gives it to in->spec, and its programs to the command's PATH, behind the environment's. */
void enterguest_apply(struct enter *in);

#endif
