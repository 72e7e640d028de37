/* The root of a sandbox, piece by piece. All functions run in a mount namespace of the caller's own, on its way
 * into a box; `root` is the folder that will be "/". */
#ifndef IGLOO_KIND_COMMON_ROOTFS_H
#define IGLOO_KIND_COMMON_ROOTFS_H

#include "base/err.h"
#include "box/hostpaths.h"
#include "box/secrets.h"
#include "box/slot.h"
#include "box/spec.h"

/* Makes this namespace private and an empty tmpfs on the slot's `root` folder. Returns its descriptor. */
int rootfs_stage(const struct slot *slot, struct err **e);

/* The parts all boxes of a slot share, each a mount of its own so that it can be moved:
 * nix/store, nix/var, home, dev, etc. */
int rootfs_fill_store(const struct slot *slot, const struct hostpaths *set, int root, struct err **e);
int rootfs_fill_dev(int root, struct err **e);
int rootfs_fill_etc(int root, struct err **e);

/* Mounts one more path read-only: `source` as mnt_clone() gives it, `store` the box's /nix/store. Returns 0 or
 * -errno. */
int rootfs_add_store_path(int store, const char *path, int source);

/* The parts of one box: proc, tmp, run, dev/pts, dev/shm, /bin/sh, /usr/bin/env, etc/box; and HOME when it is
 * not the slot's. */
int rootfs_fill_box(const struct box_spec *spec, int root, struct err **e);

/* The files of the box's secrets (NULL: none), in SECRETS_DIR and where else they are wanted; after rootfs_fill_box().
 */
int rootfs_fill_secrets(const struct secrets *s, int root, struct err **e);

/* The listening socket of the box's SSH agent, SSHKEYS_BOX_SOCKET; after rootfs_fill_box(). Changes the working folder.
 * Returns it. */
int rootfs_make_agent(int root, struct err **e);

/* A new tmpfs mounted on `path` below `root`, which is made. Returns its descriptor. */
int rootfs_new_tmpfs(int root, const char *path, const char *options, struct err **e);
/* A new file that nobody writes again. */
int rootfs_put_file(int dir, const char *path, const void *bytes, size_t n, struct err **e);

/* Makes the mount on `target` read-only (not what is mounted below it). */
int rootfs_seal(int target);

/* Makes the folders of `path` (relative) and, if `file`, an empty file at its end; returns an O_PATH
 * descriptor to mount on. Walks through no link. */
int rootfs_mount_point(int root, const char *path, bool file, struct err **e);

#endif
