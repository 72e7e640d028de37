/* What allow and deny have in common: a list of grants, and telling running boxes. */
#ifndef IGLOO_CMD_GRANTING_H
#define IGLOO_CMD_GRANTING_H

#include "cmd/enter.h"

struct granting_options {
	struct box_options box; /* -C and --slot */
	const char *to_box;
	bool repo; /* as without --box and --always; and a list is of the repository alone */
	bool always;
	bool ls;
	bool requests; /* deny: those of the flake */
};

/* Which list; the slot is opened unless --always or --box says that no repository matters. */
extern const struct opt granting_place_opts[];
extern const struct opt granting_scope_opts[];

/* Adds (`add`) or removes the entries inv->argv, and makes running boxes read their grants again. */
int granting_change(struct invocation *inv, bool add, struct err **e);
/* Forgets what was granted of the flake's requests. */
int granting_forget(struct invocation *inv, struct err **e);
/* Prints what is granted. */
int granting_show(struct invocation *inv, struct err **e);

#endif
