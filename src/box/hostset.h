/* Bringing paths of the host's store into a slot: mounted in every box of it, valid in its database. */
#ifndef IGLOO_BOX_HOSTSET_H
#define IGLOO_BOX_HOSTSET_H

#include "box/hostpaths.h"
#include "box/nixbox.h"

/* Joins the paths to the slot's host-backed set, mounts them in the boxes that run, and registers them in the slot's
 * database from `registration` (the text of `nix-store --dump-db`). Repeating it, after having been killed at any
 * moment, completes it. */
int hostset_add(struct nixbox *n, const struct hostpath *paths, size_t count, const struct str *registration,
		struct err **e);

/* The same for the toolchain. */
int hostset_add_tools(struct nixbox *n, struct err **e);

/* Takes the vanished paths and all that refers to them out of the slot's database and set, and forgets its records.
 * -EBUSY while a box of the slot runs. */
int hostset_forget(struct nixbox *n, const struct strv *vanished, struct err **e);

/* What a slot whose set or database is damaged can be without: the records, Nix's database and the set go; its store's
 * paths are built, fetched or mounted anew. The caller holds the resolve lock. */
int hostset_reset(struct slot *slot, struct err **e);

/* Makes `paths` roots inside the slot, as gcroots/igloo/<base name>: a garbage collection in a box otherwise takes the
 * mounted ones out of the database. */
int hostset_root_inside(struct slot *slot, const struct strv *paths, struct err **e);

#endif
