/* The Nix, and the git that it needs for flakes, which run inside boxes: the host's, as store paths.
 *
 * Where the host's program lies in /nix/store, its closure is used as it is. A distribution's program
 * (/usr/bin/nix of Debian, and others) is made self-contained once and kept in a cache
 * (nix/bundlecache.h); in the box it appears as a store path too.
 *
 * IGLOO_NIX names another nix: the absolute path of the ELF program itself, not of a script around it.
 * nix-store and its other names are looked for beside it. If it lies in a root of its own (an unpacked
 * package: R/usr/bin/nix), R's loader and libraries are taken. */
#ifndef IGLOO_NIX_TOOLCHAIN_H
#define IGLOO_NIX_TOOLCHAIN_H

#include "base/err.h"
#include "base/str.h"

struct hoststore;

struct toolchain {
	struct strv paths;       /* store paths to be mounted in the box … */
	struct strv sources;     /* … and where each lies on the host (the same text if it is the host's own) */
	struct strv roots;       /* those of `paths` that need hoststore_root() */
	struct str registration; /* of all paths, for `nix-store --load-db` */
	char *nix_bin;           /* the folder, in the box, with nix, nix-store, nix-instantiate, … */
	char *git_bin;           /* the folder, in the box, with git; NULL when the host has none */
	char *version;           /* Nix's, "2.8.0" */
};

/* cache_dir is the folder for self-contained programs, cache_path its absolute path; `hs` may be NULL.
 * Programs below work_dir (may be NULL) are not used. -ENOENT with hints when there is no Nix. */
int toolchain_get(int cache_dir, const char *cache_path, struct hoststore *hs, const char *work_dir,
		  struct toolchain *ret, struct err **e);
/* Which nix toolchain_get() would take, as a text that differs when that program does: its path, inode, size and time.
 * Cheap: no program is started. The caller frees it. */
int toolchain_identity(const char *work_dir, char **ret, struct err **e);
void toolchain_release(struct toolchain *t);

#define _cleanup_toolchain_ ATTR_CLEANUP(toolchain_release)

#endif
