/* Images of store paths for machines (--store-image), made once for each closure and kept in igloo's cache:
 *
 *     store-images/<key>.erofs   whole: written beside, checked, synced, renamed. Locked shared (flock) by who uses it:
 *                                the lock goes with the descriptor, to the machine's QEMU
 *                  .new          being made
 *
 * The folder itself is locked (flock) while one is made or removed, so that of two who want the same, one makes it. The
 * time of a file says when it was used last. */
#ifndef IGLOO_BOX_STOREIMAGE_H
#define IGLOO_BOX_STOREIMAGE_H

#include "base/err.h"
#include "base/size.h"
#include "base/str.h"
#include "box/hostpaths.h"
#include "box/slot.h"

#include <stdbool.h>
#include <stdint.h>

/* Of all images together: those that were not used for longest go first. The latest one stays, whatever its size. */
#define STOREIMAGE_CACHE_MAX (32 * SIZE_GIB)

enum { STOREIMAGE_KEY_HEX = 64, STOREIMAGE_FORMAT = 1, STOREIMAGE_UNUSED_DAYS = 60 };

struct storeimages {
	int dir;            /* the folder … */
	char *path;         /* … and its absolute path */
	uint64_t max_bytes; /* STOREIMAGE_CACHE_MAX, but for tests */
};

int storeimages_open(struct storeimages *ret, struct err **e);
void storeimages_close(struct storeimages *c);
#define _cleanup_storeimages_ ATTR_CLEANUP(storeimages_close)

/* The key of an image of the paths (sorted): SHA-256 of STOREIMAGE_FORMAT, of the program that makes it (path, size,
 * time) and, for each path, of its name, whose it is, and when it was last changed. A path of the slot's own is what a
 * box has put there: another slot's image is another one, also where it has the same names. -ENOENT, naming it, when
 * one is not there. */
int storeimage_key(const struct slot *slot, const struct hostpaths *set, const struct strv *paths, const char *program,
		   char ret[static STOREIMAGE_KEY_HEX + 1], struct err **e);

struct storeimage_maker {
	/* Writes the image into the empty file, which is `path`. */
	int (*make)(void *arg, const char *path, struct err **e);
	void *arg;
};

/* The image of that key, made where it is not there. One that is not whole (fmt/erofs.h) is made anew, with a note.
 * Returns a descriptor for reading, locked; *ret_made tells whether it was made. -ENOSPC when the file system is full.
 */
int storeimage_get(const struct storeimages *c, const char *key, const struct storeimage_maker *maker, bool *ret_made,
		   struct err **e);
/* Where it is. The caller frees it. */
char *storeimage_path(const struct storeimages *c, const char *key);

struct storeimages_info {
	uint64_t bytes; /* on the host, of those that are there now */
	size_t n;
	size_t n_held; /* of these, by machines that run */
	uint64_t freed;
};
/* Removes what nobody uses: with `all` everything, else what was not used for long, or is too much. */
int storeimages_clean(const struct storeimages *c, bool all, struct storeimages_info *ret, struct err **e);

#endif
