/* What a machine writes to its store, Nix's database and HOME: to its slot's disk, or into its memory (--overlay). The
 * slot's own are read-only for it. docs/vm.md, section "Disk"; guest/vmlayer.h is the machine's part. */
#ifndef IGLOO_KIND_VM_LAYER_H
#define IGLOO_KIND_VM_LAYER_H

#include "box/kind.h"
#include "kind/vm/machine.h"

struct layer {
	int image; /* of the slot's disk, locked; -1: in memory */
};

/* False for a guest with a system of its own, which keeps its state otherwise (kind/vm/nixos.h). */
bool layer_wanted(const struct box_spec *spec);

/* The slot's disk, claimed where its opener did not; see slotdisk_open(). */
int layer_open(const struct kind_box *box, struct layer *ret, struct err **e);
void layer_close(struct layer *l);

/* Once the machine has ended: says what became of its disk, if that is not well. */
void layer_settle(const struct kind_box *box);

/* Adds what the machine's kernel needs: to `want`, of LAYER_MODULES_MAX entries; returns how many. */
enum { LAYER_MODULES_MAX = 4 };
size_t layer_modules(const struct box_spec *spec, struct modules_want *want);

/* Adds the machine's configuration (guest/vmconf.h). -EINVAL for a share or a secret below HOME or /var/tmp whose path
 * it cannot name. */
int layer_configure(const struct kind_box *box, struct str *to, struct err **e);

/* The disk as the machine's, by the number it is inherited as. Returns how many there are, 0 or 1. */
size_t layer_disk(const struct layer *l, int fd, struct machine_disk *ret);

#endif
