/* Which outputs of a verified graph a store must get from elsewhere before a derivation can be built: the nearest
 * ones that are to be had, and the derivations of those that are not. */
#ifndef IGLOO_NIX_DRVNEED_H
#define IGLOO_NIX_DRVNEED_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

/* Walks from `drv` (a store path of a derivation in the folder storefd, whose graph drv_closure_read() verified)
 * through its inputs. An output in `available` (sorted) goes to *ret_take (sorted, unique), and its
 * derivation's own inputs are of no interest; for others the walk goes on. *ret_complete: every input of
 * `drv` itself is taken, so nothing is to be built or fetched for it. */
int drvneed(int storefd, const char *drv, const struct strv *available, struct strv *ret_take, bool *ret_complete,
	    struct err **e);

#endif
