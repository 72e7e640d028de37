/* Has anything changed that evaluating this flake could have read? Answered without a process when
 * nothing has. */
#ifndef IGLOO_NIX_SOURCEINDEX_H
#define IGLOO_NIX_SOURCEINDEX_H

#include "nix/source.h"

#include <stdint.h>

enum { SOURCEINDEX_KEY_BYTES = 32, SOURCEINDEX_REASONS_MAX = 20 };

struct sourceindex {
	/* The same for sources that evaluation cannot tell apart, wherever they lie: SHA-256 over the paths,
	 * types, executable bits and contents, HEAD and what git says. Random when volatile_why is set. */
	uint8_t key[SOURCEINDEX_KEY_BYTES];
	char *head;           /* HEAD's commit in hex, "" when there is none or not git */
	char *volatile_why;   /* NULL, or why no result may be kept for this source */
	bool flake_untracked; /* git does not track flake.nix, so Nix will not see it */
	bool looked;          /* something had to be read or asked again: not the warm path */
	struct strv changed;  /* what differs from the last check: "path: reason", printable, not translated */
};

/* Checks `s` against the index `cache_name` in the folder `cache_dirfd` (one per flake_dir), and renews
 * that file when there is something to renew; a missing, damaged or foreign one is made anew, one that
 * cannot be written is not an error. The key holds for the moment of the call only: who evaluates checks
 * before and after, and keeps the result when both keys are equal. What does not lie in the source is the
 * caller's to add: the system, nix.conf, registries, the git configuration of the home where Nix runs, an
 * impure evaluation's environment, unlocked inputs. Fails when a part of the source cannot be read, or git
 * fails. */
int sourceindex_check(const struct source *s, int cache_dirfd, const char *cache_name, struct sourceindex *ret,
		      struct err **e);
/* As above where nothing has to be read, asked or hashed: -EAGAIN otherwise. */
int sourceindex_peek(const struct source *s, int cache_dirfd, const char *cache_name, struct sourceindex *ret,
		     struct err **e);
void sourceindex_release(struct sourceindex *x);

static inline void sourceindex_releasep(struct sourceindex *x)
{
	sourceindex_release(x);
}
#define _cleanup_sourceindex_ ATTR_CLEANUP(sourceindex_releasep)

#endif
