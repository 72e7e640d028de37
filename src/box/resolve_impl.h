/* Inside of resolving, shared by resolve.c (the order of things, asking Nix) and resolvehost.c (the host's store). */
#ifndef IGLOO_BOX_RESOLVE_IMPL_H
#define IGLOO_BOX_RESOLVE_IMPL_H

#include "box/nixbox.h"
#include "box/resolve.h"
#include "nix/hoststore.h"

struct resolve {
	struct slot *slot;
	const struct environment_query *q;
	struct toolchain tools;
	struct hoststore *host; /* NULL: the host has no store */
	struct nixbox nix;
	struct strv mounted;  /* what was asked for of the host, to be rooted */
	bool nothing_missing; /* the host had all that the shell is built from */
};

/* The toolchain joins the slot's host-backed set. -ENOENT when the host has no git. */
int resolve_take_tools(struct resolve *r, struct err **e);
/* So do the locked inputs that the host's store has. */
int resolve_take_inputs(struct resolve *r, struct err **e);
/* And the outputs of derivation `drv` (in the slot's store) if the host has them, else those it is built from.
 * *ret_complete: all of the latter were there; unchanged in the other case. */
int resolve_take_outputs(struct resolve *r, const char *drv, bool *ret_complete, struct err **e);

#endif
