/* A machine of aarch64: QEMU's board "virt", whose devices are PCI's, by the device tree that QEMU makes. What was
 * measured is in machinearm.c. */
#ifndef IGLOO_KIND_VM_MACHINEARM_H
#define IGLOO_KIND_VM_MACHINEARM_H

#include "kind/vm/machine.h"

enum { MACHINEARM_MODULES = 8 };
extern const struct modules_want machinearm_modules[MACHINEARM_MODULES];

/* -M and -cpu. */
void machinearm_add(const struct machine *m, struct strv *to);

#endif
