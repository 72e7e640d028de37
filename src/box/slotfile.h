/* A file of a store path, as the boxes of a slot see it, opened on the host. */
#ifndef IGLOO_BOX_SLOTFILE_H
#define IGLOO_BOX_SLOTFILE_H

#include "base/err.h"
#include "box/slot.h"

enum { SLOTFILE_LINKS_MAX = 8 };

/* Opens the regular file `path` ("/nix/store/<path>/<rest>") for reading: of the host's store where the slot has the
 * store path from there, else of the slot's own. A link at its end is followed when it leads to another such path (as
 * in a NixOS system: kernel, initrd), and none before; a hostile slot's store leads nowhere else. Returns the
 * descriptor; -ENOENT, -EINVAL for anything that is no such file, or the file system's -errno. */
int slotfile_open(const struct slot *slot, const char *path, struct err **e);

/* Whether the store path is there, in the slot or from the host. */
bool slotfile_has(const struct slot *slot, const char *path);

#endif
