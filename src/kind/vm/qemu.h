/* The QEMU of this machine. */
#ifndef IGLOO_KIND_VM_QEMU_H
#define IGLOO_KIND_VM_QEMU_H

#include "base/err.h"
#include "kind/vm/vmcache.h"

#include <stdbool.h>

#define QEMU_HINT "Debian and Ubuntu: apt-get install qemu-system-x86; Nix: nix profile install nixpkgs#qemu_kvm"

/* Its real path, the caller's to free. -ENOENT with a hint. */
int qemu_find(char **ret, struct err **e);

/* Whether it was built with -sandbox. It is asked once, and again when its file changes; one that does not run at all
 * is said to have none, and speaks for itself when the machine starts. */
int qemu_has_sandbox(const char *qemu, const struct vmcache *cache, bool *ret, struct err **e);

#endif
