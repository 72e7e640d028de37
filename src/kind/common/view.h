/* The view of a slot: a user namespace and a mount namespace that hold everything which all boxes of the
 * slot see alike — the closure-only /nix/store, /nix/var, HOME, /dev, the fixed part of /etc.
 *
 * A box starts as a copy of the view, which costs the kernel a tenth of mounting 2000 store paths anew. A
 * small process, the keeper, holds the view for a while after the last box that asked for it
 * (IGLOO_VIEW_KEEP seconds, 60 by default, 0 for none) and hands the two namespaces out over a socket in
 * the runtime folder. Nothing depends on it but speed: killed at any moment, the next box makes a new one. */
#ifndef IGLOO_KIND_COMMON_VIEW_H
#define IGLOO_KIND_COMMON_VIEW_H

#include "base/err.h"
#include "box/hostpaths.h"
#include "box/slot.h"

struct view {
	int userns; /* CLOEXEC descriptors of the two namespaces */
	int mntns;
};

#define VIEW_INIT      \
	{              \
		-1, -1 \
	}

/* Folders of a view's root, besides those that appear in boxes under the same name. */
#define VIEW_STAGE "stage" /* an empty folder to build a box's root on */

/* Gets the slot's view from its keeper, or makes it (with a keeper) when there is none, when the host-backed
 * set changed, or when the host's store changed and a path of the set vanished with it: then -ESTALE and
 * *ret_vanished lists those paths, for the caller to take out of the set and the slot's database. */
int view_open(struct slot *slot, struct view *ret, struct strv *ret_vanished, struct err **e);
void view_close(struct view *view);

/* Fills `root`, an empty folder descriptor in the caller's own mount namespace, with what a view has. Used by
 * the keeper, and by a box directly on kernels where views cannot be kept (no mount API of 5.12). */
int view_fill(const struct slot *slot, const struct hostpaths *set, int root, struct err **e);

/* Ends the slot's keeper, if there is one. */
void view_drop(const struct slot *slot);
/* Removes what keepers that ended left in the runtime folder. */
void view_sweep(void);

#endif
