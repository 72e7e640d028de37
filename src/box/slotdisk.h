/* The disk of a slot: what its machines keep of their store, Nix's database and HOME.
 *
 *     slots/<id>/disk/lock    held by the supervisor of the one machine that has the disk
 *                     image   sparse; ext4, made by the host's mkfs.ext4
 *                     format  one line, "igloo-disk VERSION BYTES": the size that the image is to have at least
 *                     box     name of the box that has it, or had it last
 *
 * The image itself is locked, too, through the descriptor that QEMU gets: a supervisor that is killed leaves it locked
 * until its QEMU is gone. Whatever is in the image was written by a machine: of it, the host looks at two numbers of
 * ext4's superblock (Documentation/filesystems/ext4/super.rst), at offset 1024: s_magic and s_error_count. */
#ifndef IGLOO_BOX_SLOTDISK_H
#define IGLOO_BOX_SLOTDISK_H

#include "base/err.h"
#include "base/size.h"
#include "box/slot.h"

#include <stdbool.h>
#include <stdint.h>

#define SLOTDISK_DEFAULT (20 * SIZE_GIB)
#define SLOTDISK_MIN (256 * SIZE_MIB)
#define SLOTDISK_MAX (10000 * SIZE_GIB)

enum {
	SLOTDISK_VERSION = 1,
	SLOTDISK_SLOTS = 10, /* of one repository that are taken without being asked for */
};

/* Takes the disk, for as long as slot->disk is open. -EBUSY, naming the box, when another has it; nothing when this
 * slot object has it already. */
int slotdisk_claim(struct slot *slot, struct err **e);

/* The slot of a repository for a machine: `name` (--slot's), whose disk is then claimed, or else the first of the
 * repository's own that is free: that without a name, then "2" to "10". A note says so when it is not the first.
 * -EBUSY when all are taken. */
int slotdisk_choose(const char *repository, const char *name, struct slot **ret, struct err **e);

/* The image of the disk, which must have been claimed, for box `box`: made when it is not there, grown when `bytes` is
 * more than it has. bytes 0: SLOTDISK_DEFAULT for a new one, else as it is. A note says when it has more, and stays so.
 * Returns a descriptor for reading and writing, locked; or
 * -ENOSPC   the host has no room for the `bytes` that were asked for
 * -ENOENT   no mkfs.ext4
 * -EPROTONOSUPPORT  made by a newer igloo
 * -EBADMSG  it is no disk, or was cut short
 * -EBUSY    another process has it open */
int slotdisk_open(struct slot *slot, uint64_t bytes, const char *box, struct err **e);

/* When the machine has ended: a note says when its disk was removed meanwhile, or when it could not write to it. */
void slotdisk_settle(const struct slot *slot);
/* Removes what a start that was killed left half made, if nobody has the disk. */
void slotdisk_sweep(struct slot *slot);

/* -ENOSPC if a disk of that size could not be filled. *ret_room: what it could have; 0 when it has as much already. */
int slotdisk_check_room(const struct slot *slot, uint64_t bytes, uint64_t *ret_room, struct err **e);

struct slotdisk_info {
	uint64_t bytes; /* as a machine sees it; 0: there is no image */
	uint64_t used;  /* on the host */
	bool held;
	char *box; /* of the holder; NULL: nobody holds it, or it is just starting */
};
/* Looks at the disk in the slot's folder. */
void slotdisk_look(int slot_dir, struct slotdisk_info *ret);
void slotdisk_info_release(struct slotdisk_info *i);

/* Removes it with all that is on it; -EBUSY, naming the box, while a machine has it. */
int slotdisk_remove(struct slot *slot, struct err **e);

/* For fuzzing and tests: the file `format`. -EPROTONOSUPPORT: a newer version's; -EBADMSG: nobody's. */
int slotdisk_parse_format(const char *text, uint64_t *ret_bytes);

#endif
