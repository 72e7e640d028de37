/* The text of `nix-store --dump-db`: of each path, a line each, the path, its hash, its size, its deriver (or nothing),
 * the number of its references, and those. (Nix: src/nix-store/nix-store.cc, opDumpDB; makeValidityRegistration().) */
#ifndef IGLOO_GUEST_NIXDUMP_H
#define IGLOO_GUEST_NIXDUMP_H

#include "base/str.h"

/* Adds to `to` those entries of `old` that can be loaded into a database that has the entries of `now`: they are not in
 * it, their path `has()` what belongs to it, and all they refer to is in `now` or is kept, too. 0, or -EBADMSG when one
 * of the two texts is none. */
int nixdump_keep(const struct str *old, const struct str *now, bool (*has)(void *user, const char *path), void *user,
		 struct str *to);

#endif
