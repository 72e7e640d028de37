/* Mounts by descriptor.
 *
 * Everything here works in a mount namespace that the caller owns (CAP_SYS_ADMIN over it). Sources and
 * targets are descriptors the caller resolved safely; no function takes a path to look up, so nothing
 * can be swapped underneath.
 *
 * On kernels with open_tree, move_mount and mount_setattr (5.12) a source is cloned into a detached mount
 * first: it can then be carried into another namespace. Elsewhere (mnt_has_new_api() is false) it
 * stays an O_PATH descriptor and is bound through /proc/self/fd when it is attached, which needs the
 * host's /proc and the namespace the source was opened in. */
#ifndef IGLOO_SYS_MNT_H
#define IGLOO_SYS_MNT_H

#include "base/err.h"

#include <stdbool.h>

enum mnt_flags {
	MNT_RDONLY = 1 << 0,
	MNT_NOEXEC = 1 << 1,
	MNT_RECURSIVE = 1 << 2, /* what is mounted below comes along */
	MNT_DEVICES = 1 << 3,   /* device nodes work (only for /dev's own nodes) */
};

bool mnt_has_new_api(void);

/* A source ready for mnt_attach(): `path` relative to dirfd, "" for dirfd itself; not following a final
 * link. Returns a descriptor or -errno. */
int mnt_clone(int dirfd, const char *path, unsigned flags);

/* Attaches a source at the target (an O_PATH descriptor of a folder or, for a file source, a file) with
 * nosuid, nodev (but MNT_DEVICES) and what flags say; what the source forbade stays forbidden. The
 * source is used up in either case but its descriptor stays the caller's to close. */
int mnt_attach(int source, int target, unsigned flags);

/* mnt_clone() and mnt_attach() in one: binds dirfd/path onto target. */
int mnt_bind(int dirfd, const char *path, int target, unsigned flags);

/* Mounts a new file system on the folder `target`; `data` is a mount(2) option string. */
int mnt_new(const char *fstype, int target, unsigned long ms_flags, const char *data);

/* Makes everything in this namespace private, so that nothing goes back to the namespace it was copied
 * from. */
int mnt_private(void);

/* The root of this namespace becomes `newroot` (a mount point); the old one is gone with all below it. */
int mnt_pivot(int newroot);

#endif
