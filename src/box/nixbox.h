/* Nix run in a box of its own: how igloo asks it anything while it resolves an environment.
 *
 * Such a box sees the workspace read-only, an empty HOME (the slot's HOME holds logins, which a hostile build must not
 * see while there is a network), Nix's caches of the slot, and the toolchain; of the network what flakes need, the
 * user's own binary caches, and what the user granted. */
#ifndef IGLOO_BOX_NIXBOX_H
#define IGLOO_BOX_NIXBOX_H

#include "box/environment.h"
#include "nix/nixlog.h"
#include "nix/toolchain.h"

struct nixbox {
	struct slot *slot;
	const struct environment_query *query;
	const struct toolchain *tools;
	struct strv caches; /* policy entries of the user's own binary caches */
	struct nixlog *log; /* of everything that ran so far */
	bool progress;      /* a line on the terminal is being rewritten */
	const char *doing;  /* what that line says while Nix says nothing; "evaluating" */
	int64_t begun_ms;
};

void nixbox_init(struct nixbox *n, struct slot *slot, const struct environment_query *q, const struct toolchain *tools);
void nixbox_release(struct nixbox *n);

enum nixbox_flags {
	NIXBOX_NETWORK = 1, /* with the network, unless the user asked otherwise */
};

/* Runs `argv` (a program of the toolchain by name, its arguments). `input` may be NULL. Adds its stdout to `output`.
 * A failure of the program is -EBADE with Nix's own message and where the whole log is. */
int nixbox_run(struct nixbox *n, char *const *argv, unsigned flags, const struct str *input, struct str *output,
	       struct err **e);

/* Runs a program of the environment's platform with just these variables, in a machine of the query's, without a
 * network. As nixbox_run() else. */
int nixbox_run_machine(struct nixbox *n, char *const *argv, char *const *env, struct str *output, struct err **e);

/* Sets HOME, PATH, certificates and the like for a program of the toolchain in a box. */
void nixbox_env(const struct toolchain *tools, struct strv *env);

#endif
