/* Copies of a slot's folder: what snapshots and forks are made of.
 *
 * A copy is made beside where it is to be, as `.<name>.<pid>.copying`, and renamed when it is whole and on the disk.
 * Who makes one holds `snapshots/.lock` shared meanwhile; who gets it exclusively knows that copies of such a name
 * belong to nobody any more, and removes them. So a kill at any moment leaves nothing that the next command does not
 * clear. */
#ifndef IGLOO_BOX_SLOTCOPY_H
#define IGLOO_BOX_SLOTCOPY_H

#include "base/err.h"
#include "box/slot.h"
#include "sys/copytree.h"

/* Clears what was left over, and takes the lock that copies are made under. Returns its descriptor. */
int slotcopy_begin(struct err **e);

/* Copies everything of a slot but its locks: from the folder `from` into a new folder of the folder `parent`, for
 * `name`. The caller holds the slot, or the snapshot, so that nobody writes it. *ret_temporary is the new folder's
 * name, *ret_dir its descriptor; the copy is not synced. On failure nothing is left. `c` as for copytree_run(); its
 * leave_out is set here. */
int slotcopy_make(int from, int parent, const char *name, struct copytree *c, char **ret_temporary, int *ret_dir,
		  struct err **e);

/* How many entries of a copy have to be there: all that was copied but its roots, which anybody may take away. */
uint64_t slotcopy_entries(int dir, const struct copytree *c);

/* Makes what the links in `roots` (in `dir`, whose absolute path is `path`) name garbage collection roots of the host
 * by these very links: those of a copy are known to the host by the original's path only. Needs the copy at its final
 * place. What is gone from the host is left out. Where the host has no Nix store to be asked there is nothing to do. */
int slotcopy_root(int dir, const char *path, struct err **e);

/* Puts the folder `temporary` (open as `dir`) at the name `name` of the folder `parent`: in place of `old`, the slot of
 * that name, held exclusively, which is then removed; with `old` NULL, where there is nothing: -EEXIST. The folder and
 * everything in it is on the disk when it is there. */
int slotcopy_place(int parent, const char *temporary, int dir, const char *name, struct slot *old, struct err **e);

/* Makes slot `name` (as of --slot) of the same repository as a copy of `slot`, held exclusively. *ret_id is the
 * caller's. -EEXIST when there is one. */
int slotcopy_fork(struct slot *slot, const char *name, struct copytree *c, char **ret_id, struct err **e);

#endif
