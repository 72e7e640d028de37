/* What `igloo doctor` says of machines. */
#ifndef IGLOO_KIND_VM_FACTS_H
#define IGLOO_KIND_VM_FACTS_H

#include "sys/probe.h"

/* Adds the facts "qemu", "accel", "virtiofsd", "mkfs-erofs", "tap" and, for each other architecture, "qemu-ARCH". Runs
 * KVM for some 10 ms (accel.h), and QEMU not at all; keeps nothing. */
void vm_facts(struct probe_facts *facts);

#endif
