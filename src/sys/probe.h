/* What this machine can enforce: facts found by trying, each with the reason and the remedy.
 *
 * Everything is tried in short-lived children and leaves nothing behind. It takes some 50 ms, most of it
 * for `nix --version`: for `igloo doctor` and for the moment after a failure, not for the way to a box. */
#ifndef IGLOO_SYS_PROBE_H
#define IGLOO_SYS_PROBE_H

#include "base/err.h"

#include <stdbool.h>

enum probe_state { PROBE_YES, PROBE_NO, PROBE_PARTLY, PROBE_UNKNOWN };

struct probe_fact {
	const char *id;         /* stable, for programs: "userns" */
	const char *title;      /* for people: "user namespaces" */
	enum probe_state state; /* UNKNOWN: could not be tried, because of another fact */
	bool needed;            /* no sandbox starts without it */
	char *what;             /* what was found, printable, never NULL */
	char *why;              /* the reason when it is not YES, else NULL */
	char *fix;              /* what to do about it, lines; NULL when there is nothing */
};

struct probe_facts {
	struct probe_fact *v;
	size_t n;
};

/* All facts, in the order to show them. Frees nothing that was in *ret. */
void probe_all(struct probe_facts *ret);
void probe_release(struct probe_facts *facts);
#define _cleanup_probe_ ATTR_CLEANUP(probe_release)

/* Appends a fact that is YES; title, id static. Returns it to be changed. */
struct probe_fact *probe_add(struct probe_facts *facts, const char *id, const char *title, const char *fmt, ...)
	ATTR_PRINTF(4, 5);
/* Gives the fact another state and a reason. */
void probe_lacks(struct probe_fact *fact, enum probe_state state, const char *fmt, ...) ATTR_PRINTF(3, 4);
void probe_fix(struct probe_fact *fact, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* The fact of that id, or NULL. */
const struct probe_fact *probe_find(const struct probe_facts *facts, const char *id);
/* Is every fact that a sandbox needs YES? */
bool probe_sandbox_runs(const struct probe_facts *facts);
/* "yes", "no", "partly", "unknown" */
const char *probe_state_name(enum probe_state state);

/* The error for a sandbox that cannot start: making a user namespace, or the first privileged step inside
 * it, failed with errnum (positive). Finds out why on this machine; hints are the commands that enable
 * it. Returns -errnum. */
int probe_explain_userns(int errnum, struct err **e);

#endif
