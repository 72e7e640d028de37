/* What a machine writes to its store, Nix's database and HOME: to its slot's disk, or into its memory (--overlay). The
 * slot's own are read-only for it, and so is the image of its environment's store paths, where it has one
 * (kind/vm/storelayer.h). docs/vm.md, sections "Disk" and "The store as an image"; guest/vmlayer.h is the machine's
 * part. */
#ifndef IGLOO_KIND_VM_LAYER_H
#define IGLOO_KIND_VM_LAYER_H

#include "box/kind.h"
#include "kind/vm/machine.h"

struct layer {
	int image; /* of the slot's disk, locked; -1: in memory */
	int store; /* of the store paths, locked; -1: there is none */
};

#define LAYER_INIT                       \
	{                                \
		.image = -1, .store = -1 \
	}
enum { LAYER_DISKS_MAX = 2 };

/* False for a guest with a system of its own, which keeps its state otherwise (kind/vm/nixos.h). */
bool layer_wanted(const struct box_spec *spec);

/* The slot's disk, claimed where its opener did not (see slotdisk_open()), and the image of the store. */
int layer_open(const struct kind_box *box, struct layer *ret, struct err **e);
void layer_close(struct layer *l);
/* Makes the image of the store ahead, for struct kind's furnish. */
int layer_furnish(const struct slot *slot, struct box_spec *spec, struct err **e);

/* Once the machine has ended: says what became of its disk, if that is not well. */
void layer_settle(const struct kind_box *box);

/* Adds what the machine's kernel needs: to `want`, of LAYER_MODULES_MAX entries; returns how many. */
enum { LAYER_MODULES_MAX = 4 };
size_t layer_modules(const struct box_spec *spec, struct modules_want *want);

/* Adds the machine's configuration (guest/vmconf.h). -EINVAL for a share or a secret below HOME or /var/tmp whose path
 * it cannot name. */
int layer_configure(const struct kind_box *box, struct str *to, struct err **e);

/* The images, in the order of the machine's disks. Returns how many there are. */
size_t layer_fds(const struct layer *l, int ret[static LAYER_DISKS_MAX]);
/* The same as disks, which are inherited as `fd`, `fd` + 1. */
size_t layer_disks(const struct layer *l, int fd, struct machine_disk ret[static LAYER_DISKS_MAX]);

#endif
