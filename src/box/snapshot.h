/* Snapshots: slots as they were.
 *
 *     snapshots/<name>/snapshot.json  what it is of, and how much there should be
 *                      lock           held shared while it is read, exclusively by who removes it
 *                      slot           a copy of the slot's folder (box/slotcopy.h), disk image and all
 *
 * Host-backed store paths are not in it: they are the host's, kept there by roots of the snapshot's own. Paths that the
 * host lost all the same are noticed at the next start, as in any slot (box/hostset.h). */
#ifndef IGLOO_BOX_SNAPSHOT_H
#define IGLOO_BOX_SNAPSHOT_H

#include "base/err.h"
#include "box/slot.h"
#include "sys/copytree.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct snapshot {
	char *name;
	char *slot; /* id */
	char *repository;
	char *box; /* the box that was named, NULL when it was the slot itself */
	time_t created;
	uint64_t entries; /* slotcopy_entries() */
	uint64_t bytes;
};

void snapshot_release(struct snapshot *s);
#define _cleanup_snapshot_ ATTR_CLEANUP(snapshot_release)

/* A free name for one of `slot` or box `what`; the caller frees it. */
int snapshot_name(const char *what, char **ret, struct err **e);

/* Makes one of a slot that the caller holds exclusively. -EEXIST when there is one of that name. `c` as for
 * copytree_run(). */
int snapshot_create(const char *name, struct slot *slot, const char *box, struct copytree *c, struct err **e);

/* -ENOENT; -EBADMSG when its description is damaged. */
int snapshot_look(const char *name, struct snapshot *ret, struct err **e);
/* Names, sorted, of all there are, damaged ones too. Clears what killed commands left, if nobody is copying. */
int snapshot_list(struct strv *ret, struct err **e);
/* A descriptor of its folder. */
int snapshot_open(const char *name, struct err **e);

/* Puts the slot of a snapshot back to how it was. `old` is the slot as it is, held exclusively, or NULL when there is
 * none; it is unchanged until the moment when the other one is in its place, whole. -EBADMSG when the snapshot does not
 * have what it should. */
int snapshot_restore(const struct snapshot *s, struct slot *old, struct copytree *c, struct err **e);

/* -EBUSY while it is being restored. */
int snapshot_remove(const char *name, struct err **e);

#endif
