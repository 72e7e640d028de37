/* What the host's database says of single paths, from one nix-store that answers many questions.
 *
 * That process is `nix-store --serve`, which speaks Nix's serve protocol (src/libstore/serve-protocol*, and opServe()
 * in src/nix-store/nix-store.cc) and without --write only reads. It is spoken here as of version 2.4, which all from
 * Nix 2.0 on understand. Nix would remember for an hour what it has said; here it is told to forget. */
#ifndef IGLOO_NIX_STOREASK_H
#define IGLOO_NIX_STOREASK_H

#include "base/err.h"
#include "base/str.h"
#include "nix/storepath.h"

#include <stdbool.h>
#include <stdint.h>

struct hoststore;
struct storeask;

struct storeinfo {
	char path[STOREPATH_SIZE];
	char *deriver;  /* a whole path, or "" */
	char *nar_hash; /* "sha256:" and 52 digits */
	char *ca;       /* of what is addressed by its content, or "" */
	uint64_t nar_size;
	struct strv refs; /* whole paths */
	struct strv sigs;
};

/* Starts the process, which ends with `*ret`, and with this process; and one between (storefilter.h), which lets no
 * other question through. */
int storeask_start(const struct hoststore *hs, struct storeask **ret, struct err **e);
/* The first of the paths, of which there are at most STOREINDEX_SAME, that is valid: 1, or 0 when none is. What it says
 * is checked for its form. After -errno it is not to be asked again: -ETIMEDOUT after some seconds, -EPIPE when it has
 * ended, -EPROTO. */
int storeask_first(struct storeask *a, const struct strv *paths, struct storeinfo *ret, struct err **e);
void storeask_free(struct storeask *a); /* accepts NULL */

void storeinfo_release(struct storeinfo *info);
#define _cleanup_storeinfo_ ATTR_CLEANUP(storeinfo_release)

#endif
