/* mkfs.erofs, the host's, on store paths of a slot.
 *
 * What a slot's own store has was put there by boxes. So it runs as a box does: without a privilege, with a box's
 * filter of system calls, and in namespaces of its own, with no network and a root that has, read-only,
 *
 *     /usr /bin /lib …   this machine's programs; its /nix/store where mkfs.erofs is of it
 *     /closure           the paths and nothing else
 *     /dev/null
 *
 * and the file that it writes, /image. */
#ifndef IGLOO_KIND_VM_STOREBUILD_H
#define IGLOO_KIND_VM_STOREBUILD_H

#include "base/err.h"
#include "base/str.h"
#include "box/hostpaths.h"
#include "box/slot.h"

#define STOREBUILD_HINT "Debian and Ubuntu: apt install erofs-utils; Nix: nix profile install nixpkgs#erofs-utils"

/* Its path, without links. -ENOENT, with that hint. */
int storebuild_find(char **ret, struct err **e);

struct storebuild {
	const struct slot *slot;
	const struct hostpaths *set;
	const struct strv *paths; /* /nix/store/…, each of the set or in the slot's store */
	const char *program;      /* as storebuild_find() gives it */
};

/* Writes the image of the paths, names without "/nix/store/", into the file at `to`, which is empty: the same bytes
 * from the same paths. -ENOSPC, with nothing written, where they do not fit. Shows on a terminal what it is at. Its
 * process ends with the caller's. */
int storebuild_make(const struct storebuild *b, const char *to, struct err **e);

#endif
