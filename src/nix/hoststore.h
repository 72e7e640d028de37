/* The host's own Nix store as a source of paths.
 *
 * Asked only through the host's `nix-store` program (an ordinary user through the daemon), never by its
 * database. Whether there is a store that can be asked is decided without starting a program; where there
 * is none, hoststore_open() gives NULL, and a NULL store has no paths. Nothing here fetches or builds.
 *
 * Every query is one process for thousands of paths (bounded by the system's limit of an argument list).
 * Paths are given and returned whole ("/nix/store/<hash>-<name>"). */
#ifndef IGLOO_NIX_HOSTSTORE_H
#define IGLOO_NIX_HOSTSTORE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct hoststore;

/* *ret is NULL when the host has no store that this user can ask (the reason goes to the debug log):
 * no /nix/store or database, no nix-store program, NIX_REMOTE or NIX_STORE_DIR naming another store, or
 * a store that belongs to someone else and has no daemon. A nix-store that lies below work_dir (the
 * workspace; may be NULL) is not run. */
int hoststore_open(const char *work_dir, struct hoststore **ret, struct err **e);
void hoststore_free(struct hoststore *hs);

static inline void hoststore_freep(struct hoststore **hs)
{
	hoststore_free(*hs);
}
#define _cleanup_hoststore_ ATTR_CLEANUP(hoststore_freep)

/* Would hoststore_open() find one? Cheaper: does not look for the program. */
bool hoststore_maybe(void);

/* The absolute path of its nix-store. */
const char *hoststore_program(const struct hoststore *hs);

/* Adds to `ret` (empty before) those of the candidates that are on disk and valid in the host's database,
 * sorted and unique. Candidates that are no store paths are left out, and no program is started when none is
 * on disk. When the store turns out not to answer, that goes to the debug log, and it has none: what the
 * host has only saves fetching it. */
int hoststore_valid(struct hoststore *hs, const struct strv *candidates, struct strv *ret, struct err **e);

/* Adds the closure of valid paths, themselves included, sorted and unique. */
int hoststore_closure(struct hoststore *hs, const struct strv *paths, struct strv *ret, struct err **e);

/* Adds the registration of exactly these valid paths, as `nix-store --load-db` reads it: for each the path,
 * the NAR's SHA-256 in hex, its size, the deriver or nothing, the number of references, the references; one
 * a line. */
int hoststore_registration(struct hoststore *hs, const struct strv *paths, struct str *ret, struct err **e);

/* Makes indirect garbage collection roots of valid paths: symbolic links `link`, `link`-2, `link`-3, … in
 * the order of `paths` (Nix's own naming), replacing what was there; removing a link gives its root up. `link` is
 * absolute, in a folder that exists. At most HOSTSTORE_ROOTS_MAX paths at a time. */
enum { HOSTSTORE_ROOTS_MAX = 2048 };
int hoststore_root(struct hoststore *hs, const struct strv *paths, const char *link, struct err **e);

#endif
