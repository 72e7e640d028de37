/* Which file of /nix/store has a hash: a binary cache is asked by hash alone, and nix-store only knows whole paths.
 *
 * The folder's names are read when the first hash is looked up, and again when one is missing and the folder has
 * changed since. They take some 80 bytes each: that of a store with 100 000 paths 8 MB. */
#ifndef IGLOO_NIX_STOREINDEX_H
#define IGLOO_NIX_STOREINDEX_H

#include "base/str.h"

struct storeindex;

/* `dir` is the store's folder, readable; the caller keeps it open. */
struct storeindex *storeindex_new(int dir);
/* Adds the whole paths ("/nix/store/<hash>-<name>") with that hash that are there now to `ret`: none, one, or a few (a
 * path and what Nix keeps beside it, as its lock), at most STOREINDEX_SAME. */
enum { STOREINDEX_SAME = 8 };
void storeindex_find(struct storeindex *x, const char *hash, struct strv *ret);
void storeindex_free(struct storeindex *x); /* accepts NULL */

#endif
