/* A guest with a system of its own: a NixOS that the flake declares (docs/nixos.md).
 *
 * Kernel, initrd and command line are those of the system's store path, or what a rebuild in the machine handed back
 * (handback.h). Beside the box's root the machine has two folders by 9p:
 *
 *     igloo   read-only: `conf` (guest/vmconf.h), `guest` (the guest's program), and for the system's own scripts
 *             `name`, `built` (the store path), `flake` (the folder of its flake.nix), a line each
 *     state   its own of the slot, guests/<name>: what the system keeps, with owners and modes in extended attributes
 */
#ifndef IGLOO_KIND_VM_NIXOS_H
#define IGLOO_KIND_VM_NIXOS_H

#include "box/kind.h"
#include "kind/vm/enclosure.h"
#include "kind/vm/vmcache.h"

#define NIXOS_FILES_TAG "igloo"
#define NIXOS_STATE_TAG "state"

enum { NIXOS_FILES = 5 };

struct nixos {
	char *kernel; /* of the cache, as is the initrd */
	char *initrd;
	char *append;
	char *state; /* absolute */
	char *conf;
	char *name_line;
	char *built_line;
	char *flake_line;
	struct enclosure_file files[NIXOS_FILES];
	size_t n_files;
	int lock; /* of the state: nobody else starts a machine on it */
};

#define NIXOS_INIT         \
	{                  \
		.lock = -1 \
	}

/* `network`: lines for the configuration. -EBUSY when another machine has the state; -EOPNOTSUPP where its file system
 * has no extended attributes for users. The lock ends with *ret. */
int nixos_prepare(const struct kind_box *box, const struct vmcache *cache, const char *network, struct nixos *ret,
		  struct err **e);
void nixos_release(struct nixos *n);

/* Adds `path` as a line KEY=PATH, as vmconf.h has paths. */
void nixos_add_path(struct str *to, const char *key, const char *path);

#endif
