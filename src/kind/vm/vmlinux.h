/* The vmlinux of a kernel image: unpacked once, and kept. */
#ifndef IGLOO_KIND_VM_VMLINUX_H
#define IGLOO_KIND_VM_VMLINUX_H

#include "base/err.h"
#include "kind/vm/vmcache.h"

#include <stdbool.h>

/* What QEMU's -kernel takes of the image at `path` (absolute): its vmlinux, from the cache where it is there; the
 * image itself where that is a vmlinux, or an Image for aarch64. *ret_path is the caller's. -EOPNOTSUPP for a packing
 * that igloo cannot undo or a vmlinux without PVH entry: the caller may start the bzImage instead, slower. -EBADMSG for
 * what is no kernel or is damaged, with the path in the message. */
int vmlinux_get(const struct vmcache *c, const char *path, char **ret_path, struct err **e);

/* The same of an open file, which may be anything (a machine wrote it): what is to be started is always a file of the
 * cache, a copy where nothing is to be unpacked. `name` is for messages. */
int vmlinux_copy(const struct vmcache *c, int fd, const char *name, char **ret_path, struct err **e);

#endif
