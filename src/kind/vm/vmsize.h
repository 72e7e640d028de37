/* How large a machine is: what the user said, else what this host can do without. */
#ifndef IGLOO_KIND_VM_VMSIZE_H
#define IGLOO_KIND_VM_VMSIZE_H

#include "base/err.h"
#include "box/spec.h"

#include <stdint.h>

uint64_t vmsize_memory_mib(const struct box_spec *spec);
unsigned vmsize_cpus(const struct box_spec *spec);
/* A machine's processes would be killed for want of memory, or QEMU: -EINVAL. */
int vmsize_check(const struct box_spec *spec, struct err **e);

#endif
