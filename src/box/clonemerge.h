/* Taking a clone's commits into the user's repository. */
#ifndef IGLOO_BOX_CLONEMERGE_H
#define IGLOO_BOX_CLONEMERGE_H

#include "box/clone.h"

/* Fetches commit `head` of the clone: makes a pack of what is not in the base in a box, has the host's git check every
 * object of it, then moves refs/heads/igloo/NAME there. Nothing else of the user's repository changes; not done at
 * all when the branch is checked out (-EBUSY) or has commits that `head` has not (-EEXIST). */
int clonemerge_fetch(const struct clone_box *b, const struct source *source, const char *head, struct err **e);

enum clonemerge_how {
	CLONEMERGE_NOTHING, /* the branch has it all already */
	CLONEMERGE_FAST_FORWARD,
	CLONEMERGE_MERGED,    /* a merge commit */
	CLONEMERGE_CONFLICTS, /* nothing changed */
};

struct clonemerge {
	enum clonemerge_how how;
	char *commit;          /* where the branch is now */
	struct strv conflicts; /* paths */
};

/* Brings igloo/NAME into `into`, a local branch that no work tree has checked out (-EBUSY otherwise), without any work
 * tree. A merge needs git 2.38 (-EOPNOTSUPP). */
int clonemerge_into(const struct clone *c, const struct source *source, const char *into, struct clonemerge *ret,
		    struct err **e);
void clonemerge_release(struct clonemerge *m);

#endif
