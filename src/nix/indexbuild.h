/* An index (nix/indexfile.h) in the making: strings, watches and entries added one by one. */
#ifndef IGLOO_NIX_INDEXBUILD_H
#define IGLOO_NIX_INDEXBUILD_H

#include "fmt/digest.h"
#include "nix/indexfile.h"

enum { INDEXBUILD_ENTRIES_MAX = 1 << 22 };

struct indexbuild {
	struct str blob;
	struct indexfile_watch *watches;
	struct indexfile_entry *entries;
	struct indexfile_dir *dirs;
	uint32_t n_watches, n_entries, n_dirs;
	size_t cap_watches, cap_entries, cap_dirs;
};

void indexbuild_release(struct indexbuild *b);
static inline void indexbuild_releasep(struct indexbuild *b)
{
	indexbuild_release(b);
}
#define _cleanup_indexbuild_ ATTR_CLEANUP(indexbuild_releasep)

/* Copies n bytes and a NUL into the blob and sets *ret to where. -EFBIG when it is full. */
int indexbuild_text(struct indexbuild *b, const char *text, size_t n, uint32_t *ret, struct err **e);
/* Adds an entry without a state. `path` is relative; -EINVAL for one that leaves the source or is too
 * long, -EFBIG for too many. */
int indexbuild_add_entry(struct indexbuild *b, const char *prefix, const char *path, size_t n, struct err **e);
/* Adds a watch and reads its state; see filestate_follow() for `content`. */
int indexbuild_add_watch(struct indexbuild *b, const char *path, const char *label_prefix, const char *label,
			 uint32_t flags, struct digest *d, struct str *content, struct err **e);
/* Sorts the entries, drops those with equal paths, and groups them into dirs. */
int indexbuild_sort(struct indexbuild *b, struct err **e);
/* Every file and folder below rootfd, links not followed, "." for the top itself. */
int indexbuild_walk(struct indexbuild *b, int rootfd, struct err **e);
/* Copies the paths, without their states, and the watches, with theirs, of a parsed index. */
int indexbuild_copy(struct indexbuild *b, const struct indexfile *from, struct err **e);

#endif
