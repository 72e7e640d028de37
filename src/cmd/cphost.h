/* The host's side of `igloo cp`: a path on the host, opened without falling for what a box left.
 *
 * Links on the way are followed where no box can have put them: those of root in a folder that only root can write; for
 * root himself, who may have given a box such a folder, only those in "/". Any other one is an error that says where it
 * leads, so that the user can name that. */
#ifndef IGLOO_CMD_CPHOST_H
#define IGLOO_CMD_CPHOST_H

#include "base/err.h"

#include <stdbool.h>

struct cphost {
	int parent;  /* a folder, O_PATH */
	char *name;  /* in it, there or not; NULL: the folder itself */
	char *as;    /* the last name of the path as it was given; "" when there is none */
	bool folder; /* there was a slash at its end */
};

#define CPHOST_INIT                    \
	{                              \
		-1, NULL, NULL, false, \
	}

enum cphost_last {
	CPHOST_KEEP,   /* a link in the last place stays one, but before a slash */
	CPHOST_TRUST,  /* as those on the way */
	CPHOST_FOLLOW, /* is followed whoever made it, and those on the way, too */
};

int cphost_open(const char *path, enum cphost_last last, struct cphost *ret, struct err **e);
void cphost_release(struct cphost *h);
#define _cleanup_cphost_ ATTR_CLEANUP(cphost_release)

#endif
