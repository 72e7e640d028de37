/* The QEMU of this machine. */
#ifndef IGLOO_KIND_VM_QEMU_H
#define IGLOO_KIND_VM_QEMU_H

#include "base/err.h"
#include "kind/vm/arch.h"
#include "kind/vm/vmcache.h"

#include <stdbool.h>

/* The one for that architecture: its real path, the caller's to free. -ENOENT with a hint. */
int qemu_find(const struct arch *arch, char **ret, struct err **e);

/* Whether it was built with -sandbox. It is asked once, and again when its file changes; one that does not run at all
 * is said to have none, and speaks for itself when the machine starts. */
int qemu_has_sandbox(const char *qemu, const struct vmcache *cache, bool *ret, struct err **e);

#endif
