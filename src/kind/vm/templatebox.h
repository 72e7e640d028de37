/* How a template (template.h) is made: by a machine that is nobody's.
 *
 * QEMU is in a sandbox as that around any machine, with the same root (enclosure.h), filter and lack of privileges, but
 * there is no box in it: no workspace, store or secret, an empty folder for the root that a box would have, an empty
 * disk in memory for each that it would have, and no network. Its processes see no file of igloo's cache but kernel and
 * initrd; what QEMU writes goes through a pipe, and the file is written by the caller, outside. No program of anybody's
 * has run in the machine by then. */
#ifndef IGLOO_KIND_VM_TEMPLATEBOX_H
#define IGLOO_KIND_VM_TEMPLATEBOX_H

#include "base/err.h"
#include "base/str.h"
#include "guest/image.h"
#include "kind/vm/enclosure.h"
#include "kind/vm/vmcache.h"

struct templatebox {
	const struct vmcache *cache;
	uint64_t key;
	struct enclosure *enclosure;
	const struct strv *argv; /* of the guest's program: `igloo-guest 3 --vm --keep …` (guest/vm.h) */
	size_t n_disks;
	bool read_only[VMHOST_DISKS_MAX]; /* of its disks */
};

/* Makes it, in a few seconds (by TCG). To be called by a process without threads and other children; what it starts
 * ends with it. */
int templatebox_make(const struct templatebox *t, struct err **e);

#endif
