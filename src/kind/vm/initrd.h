/* The initrd that brings a machine up: made once per guest, kernel and configuration, and kept (vmcache.h).
 *
 *     /init               the guest's program, 0755
 *     /igloo.conf         what the caller gives, 0600
 *     /modules/NN-name.ko the modules, uncompressed, to be loaded in the order of their names
 *     /dev/console        5:1, which the kernel opens as the standard input and outputs of /init
 *
 * It is not compressed: the machine would unpack it more slowly than QEMU copies it. */
#ifndef IGLOO_KIND_VM_INITRD_H
#define IGLOO_KIND_VM_INITRD_H

#include "base/err.h"
#include "kind/vm/modules.h"
#include "kind/vm/vmcache.h"

struct initrd {
	const void *init;
	size_t init_bytes;
	const void *config; /* NULL: no file */
	size_t config_bytes;
	const struct modules *modules;
	uint16_t elf_machine; /* EM_… that the modules must be for; 0: any */
	const struct modules_want *want;
	size_t n_want;
};

enum { INITRD_MAX = 256 << 20, INITRD_CONFIG_MAX = 1 << 20 };

/* The path of the initrd, from the cache where it is there; the caller frees it. Fails as modules_select() and
 * modules_read() do. A configuration that differs from start to start makes an initrd for each: what changes belongs
 * elsewhere. */
int initrd_get(const struct vmcache *c, const struct initrd *i, char **ret_path, struct err **e);

#endif
