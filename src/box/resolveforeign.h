/* Resolving an environment for another architecture than this machine's.
 *
 * Theory of operation. Evaluation is the same everywhere, and what a binary cache or the host's store has is only
 * fetched. Two things are not: to build what nobody has, which igloo does not do for another architecture; and the
 * environment itself, for which `nix print-dev-env` would run the shell's bash. That bash is run by igloo, in a machine
 * of the architecture (struct environment_query.machine), with the variables of the derivation, and prints what Nix's
 * own script (src/nix/get-env.sh) would. */
#ifndef IGLOO_BOX_RESOLVEFOREIGN_H
#define IGLOO_BOX_RESOLVEFOREIGN_H

#include "box/resolve_impl.h"

/* Whether the environment of the dev shell `path` (a derivation) has to be made so: it is for the platform that was
 * asked for, and this machine is of another. -errno when the derivation in the slot's store cannot be read. */
int resolve_is_foreign(const struct resolve *r, const char *path, struct err **e);

/* Fetches what the shell is built from, with `profile` as the prefix of its roots in the slot; *closure is sorted. Then
 * *json is what `nix print-dev-env --json` would have printed. -ENOTSUP for structured attributes; -EINVAL when its
 * builder is no bash. */
int resolve_foreign(struct resolve *r, const char *path, const char *profile, struct strv *closure, struct str *json,
		    struct err **e);

#endif
