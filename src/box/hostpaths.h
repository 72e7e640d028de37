/* The host-backed set of a slot: the store paths that its boxes see as mounts of the host's own.
 *
 * A text file, `host-paths` in the slot: one path a line, sorted; a path whose files do not lie at the
 * same place on the host (a distribution's Nix made self-contained) has a tab and that place behind it.
 * The last line is 16 hex digits, the FNV-1a hash of those above: a set that is cut short would show empty folders for
 * what the slot's database calls valid. No box can write it. It is replaced whole, so its inode and size say which set
 * a view was made of. */
#ifndef IGLOO_BOX_HOSTPATHS_H
#define IGLOO_BOX_HOSTPATHS_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct hostpath {
	const char *path;   /* /nix/store/… in the box */
	const char *source; /* absolute path on the host; the same pointer as `path` where they are equal */
};

struct hostpaths {
	struct hostpath *v; /* sorted by path, unique */
	size_t n;
	struct strv owned; /* the text the entries point into */
};

/* Which state of a set or of the host's store something was made from; equal bytes, equal state. */
struct hostpaths_state {
	uint64_t file[4];  /* device, inode, size, mtime of the set's file, of `repository` when there is none */
	uint64_t store[4]; /* device, inode, mtime, ctime of the host's /nix/store: unchanged means no path vanished */
};

/* A missing file is an empty set; -EBADMSG when it is damaged. */
int hostpaths_load(int slot_dir, struct hostpaths *ret, struct err **e);
void hostpaths_state(int slot_dir, struct hostpaths_state *ret);
bool hostpaths_has(const struct hostpaths *set, const char *path);
/* Where a file in a path of the set ("/nix/store/…-x/bin/y") lies on the host. The caller frees it; NULL: no path of
 * the set. */
char *hostpaths_source(const struct hostpaths *set, const char *file);
/* Adds to the loaded set (duplicates are fine; source NULL: the path itself). */
void hostpaths_add(struct hostpaths *set, const char *path, const char *source);
int hostpaths_store(int slot_dir, struct hostpaths *set, struct err **e);
/* The paths of the set whose source is not on the host any more. */
void hostpaths_vanished(const struct hostpaths *set, struct strv *ret);
void hostpaths_remove(struct hostpaths *set, const struct strv *sorted_paths);
void hostpaths_release(struct hostpaths *set);

#define _cleanup_hostpaths_ ATTR_CLEANUP(hostpaths_release)

#endif
