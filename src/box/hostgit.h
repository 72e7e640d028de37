/* Running git on the host in the user's own repository, to read from it and to take a clone's result into it.
 *
 * As in nix/gitrun.h nothing of the repository is executed: no hooks, no fsmonitor, no ssh, no lazy fetches, no
 * protocol but `file`, no submodules, no configuration but the repository's own. (What cannot be kept out: a merge
 * driver that the repository's own configuration defines and its attributes ask for, in `git merge-tree`.) */
#ifndef IGLOO_BOX_HOSTGIT_H
#define IGLOO_BOX_HOSTGIT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct hostgit {
	const char *dir;     /* where to run; a work tree */
	const char *git_dir; /* GIT_DIR; NULL: as git finds it from dir */
	struct strv env;     /* further NAME=VALUE; released by hostgit_release() */
	/* For the next run, which resets them: */
	const void *input; /* its stdin: bytes, or else a file when > 0 */
	size_t input_bytes;
	int input_fd;
	bool may_fail; /* exit status 1 is an answer */
};

#define _cleanup_hostgit_ ATTR_CLEANUP(hostgit_release)

/* Runs `git args…`; adds at most 64 MiB of output to `out` (NULL: dropped) without the last line's end. Returns its
 * exit status: 0, or 1 where may_fail; -EIO for any other, with git's own words as detail; -ENOENT when there is no
 * git. */
int hostgit_run(struct hostgit *g, struct str *out, struct err **e, ...) __attribute__((sentinel));
/* The same with a vector. */
int hostgit_runv(struct hostgit *g, const struct strv *args, struct str *out, struct err **e);
/* One value of the user's configuration in that repository (system, global and local), "" when it is not set. */
int hostgit_user_config(const char *dir, const char *key, struct str *out, struct err **e);
void hostgit_release(struct hostgit *g);

#endif
