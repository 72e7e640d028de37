/* Two indexes, or an index and the disk, compared. */
#ifndef IGLOO_NIX_INDEXWARM_H
#define IGLOO_NIX_INDEXWARM_H

#include "nix/indexfile.h"

/* True when every watch and entry of `f` is trusted and has the signature it had. Reads no content.
 * Above some ten thousand entries, a process per CPU shares the work. */
bool indexwarm_unchanged(const struct indexfile *f, int rootfd);

/* Adds up to SOURCEINDEX_REASONS_MAX lines "path: reason", printable: what makes the key of `now`
 * another than that of `old` (NULL: one line that there was none). */
void indexwarm_explain(const struct indexfile *old, const struct indexfile *now, struct strv *to);

#endif
