/* Running git on a repository that may be hostile, so that nothing of it is executed.
 *
 * What a repository could make git run, and what stops it here (planted in tests/unit/gitstate.c):
 * fsmonitor hooks and hooks by `-c`; pagers, editors, askpass and ssh by environment; lazy fetches of
 * a partial clone by GIT_NO_LAZY_FETCH, and for git before 2.44 by GIT_ALLOW_PROTOCOL, which (unlike
 * protocol.allow) overrides the repository's own protocol.ext.allow; filters because the commands
 * used do not read contents; discovery, safe.directory and core.worktree because GIT_DIR and
 * GIT_WORK_TREE are given. The environment holds nothing else but a fixed PATH. A git program
 * that lies below the work tree is not used. A time limit covers the FIFO that a configuration includes. */
#ifndef IGLOO_NIX_GITRUN_H
#define IGLOO_NIX_GITRUN_H

#include "base/err.h"
#include "base/str.h"

struct gitrepo {
	const char *work_dir; /* absolute, canonical, as are the others */
	const char *git_dir;
	const char *common_dir;
};

/* What every run of git begins with, here and in box/hostgit.c: adds `git` and options that keep it from running hooks,
 * fsmonitor, ssh and askpass, and an environment without the user's and the system's configuration. */
void gitrun_begin(struct strv *argv, struct strv *envp);
/* The git to run, which does not lie below the folder; the caller frees it. NULL with *e set when there is none. */
char *gitrun_find(const char *not_below, struct err **e);

/* Exit status 0, but with "error: …" on stderr: git lists what it can of an index whose objects are gone. */
enum { GITRUN_COMPLAINED = 256 };

/* Runs `git args…` (NULL-terminated) in repo->work_dir and adds its output, at most `max` bytes, to
 * `out`. *ret_status is its exit status when it is 0 or 1, or
 * GITRUN_COMPLAINED. Any other end is -EIO with git's own words
 * as detail; -ENOENT when there is no git, -ETIMEDOUT after a minute, -EFBIG beyond `max`. */
int gitrun(const struct gitrepo *repo, const char *const *args, size_t max, int *ret_status, struct str *out,
	   struct err **e);

#endif
