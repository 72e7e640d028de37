/* The slot: what boxes of one repository share and what stays when they end.
 *
 *     slots/<id>/lock         held shared by every box of the slot, exclusively by `slot rm` and `slot gc`
 *                resolve.lock held while an environment is resolved: one at a time
 *                repository   the path it belongs to, for people
 *                nix/store    the slot's own store paths, and empty mount points for host-backed ones
 *                nix/var      Nix's database, roots and profiles, as seen in the box at /nix/var
 *                home         HOME of the boxes
 *                disk         the disk of its machines (box/slotdisk.h)
 *                cache        Nix's caches while resolving (never seen by commands)
 *                env          environment records and source indexes; no box can write it
 *                host-paths   the host-backed set (box/hostpaths.h)
 *                guests       what machines with a system of their own keep, a folder each (kind/vm/nixos.h)
 *                roots        links that root host-backed paths on the host
 *
 * The id is the last part of the repository's name and 12 hex digits of its path's hash, or the name
 * given with --slot and the same digits, so one repository's named slots stay its own. */
#ifndef IGLOO_BOX_SLOT_H
#define IGLOO_BOX_SLOT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* The id of a repository's slot; `name` is --slot's or NULL. The caller frees it. */
char *slot_make_id(const char *repository, const char *name);

struct slot {
	char *id;
	char *path; /* absolute, for messages and for programs outside */
	char *repository;
	int dir;              /* the slot's folder */
	int lock;             /* shared lock, held as long as this object lives */
	int disk;             /* lock of its disk (box/slotdisk.h); -1: not held */
	uint32_t disk_errors; /* that its file system had counted when it was opened */
};

/* Opens (and makes) the slot of a repository (its absolute path); `name` is --slot's or NULL. Takes the
 * shared lock; -EBUSY naming the holder while the slot is being removed. */
int slot_open(const char *repository, const char *name, struct slot **ret, struct err **e);
/* The same by id, -ENOENT when there is none. With `exclusive`, for rm and gc: -EBUSY when a box uses it. */
int slot_open_id(const char *id, bool exclusive, struct slot **ret, struct err **e);
/* Waits for the slot's resolve lock; `on_wait` (may be NULL) is called once with the holder's pid before
 * waiting. Returns the lock's descriptor. */
int slot_lock_resolve(struct slot *slot, void (*on_wait)(pid_t holder), struct err **e);
/* Ids of all slots, sorted. */
int slot_list(struct strv *ret, struct err **e);
/* Removes an exclusively opened slot with everything in it. */
int slot_remove(struct slot *slot, struct err **e);
void slot_free(struct slot *slot);

static inline void slot_freep(struct slot **slot)
{
	slot_free(*slot);
}
#define _cleanup_slot_ ATTR_CLEANUP(slot_freep)

#endif
