/* Bundles (nix/bundle.h) as store paths, made once and kept.
 *
 * In the cache's folder:
 *     <hash>-igloo-nix-2.8.0   a bundle; the name is the store path that its own bytes give
 *                              (storepath_fixed(), recursive SHA-256), so it is what it is called
 *     index-nix-<digits>       what was made of which program, and the state (inode, size, times) of every
 *                              file it was made of and of every file in it
 *     lock                     held while one is made
 *     .tmp-…                   one that was not finished; the next holder of the lock removes it
 *
 * A bundle is used while all these states are unchanged (some 150 lstat calls): a newer package or a
 * damaged bundle makes a new one. Killing it at any moment leaves the old state or the new. */
#ifndef IGLOO_NIX_BUNDLECACHE_H
#define IGLOO_NIX_BUNDLECACHE_H

#include "nix/bundle.h"

struct bundlecache {
	int dir;          /* the folder … */
	const char *path; /* … and its absolute path */
};

/* How to make one of a program (its absolute path without symbolic links). */
struct bundle_recipe {
	const char *what; /* "nix": bin/nix in it prints its version with --version */
	int (*make)(struct bundle *b, const char *program, struct err **e);
};

struct bundle_made {
	char *base;       /* of its store path */
	char *version;    /* "2.8.0" */
	char *nar_sha256; /* hex */
	char *nar_size;   /* decimal */
};

int bundlecache_get(const struct bundlecache *c, const struct bundle_recipe *recipe, const char *program,
		    struct bundle_made *ret, struct err **e);
void bundle_made_release(struct bundle_made *m);

/* "2.8.0" of "nix (Nix) 2.8.0" or "git version 2.39.5 (x)": the first word that begins with a digit, without
 * characters that a store path's name may not have. NULL when there is none. The caller frees it. */
char *bundle_version(const char *text);

/* Removes the bundles whose base is not in `keep` (sorted); those being made stay. */
int bundlecache_prune(const struct bundlecache *c, const struct strv *keep, struct err **e);

#endif
