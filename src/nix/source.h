/* Where the flake is and what kind of source it is: found as Nix finds it, by reading files only.
 *
 * Nix (2.8 to 2.34, parsePathFlakeRefWithFragment in libexpr/flake/flakeref.cc) goes from the start
 * folder upward to the first one with a flake.nix, and gives up at a folder that holds `.git`, at
 * another file system and at "/". From the flake's folder it goes upward again to the first one with
 * `.git` (a folder or a file): that is the repository and the flake a `git+file:` source, of which
 * evaluation sees tracked files only; without one the flake is a `path:` source, all of its folder. */
#ifndef IGLOO_NIX_SOURCE_H
#define IGLOO_NIX_SOURCE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

/* Paths are absolute, free of symbolic links, and any bytes but NUL; all strings are owned. */
struct source {
	char *flake_dir;  /* holds flake.nix */
	char *repo_dir;   /* the top of the work tree; flake_dir when not git */
	char *subdir;     /* flake_dir below repo_dir, "" when they are the same */
	char *git_dir;    /* NULL when not git: `.git`, or what a `.git` file names (worktree, submodule) */
	char *common_dir; /* NULL when not git: git_dir, or the main repository's of a worktree */
	bool is_git;
};

/* Finds the flake from `start_dir` (absolute or relative to the working directory) on. Starts no
 * process. -ENOENT with a hint when there is no flake.nix; -EINVAL for a flake in "/" and for a
 * `.git` that is no repository. Whether git tracks flake.nix is sourceindex_check()'s to say. */
int source_find(const char *start_dir, struct source *ret, struct err **e);
void source_release(struct source *s);

/* The git folder and the common folder of the work tree at the absolute path `work_dir`, whose `.git`
 * is a folder, a link to one, or a file "gitdir: PATH" (gitrepository-layout(5)). -ENOENT when it has
 * no `.git`, -EINVAL when that is no repository. */
int source_git_dirs(const char *work_dir, char **ret_git_dir, char **ret_common_dir, struct err **e);

static inline void source_releasep(struct source *s)
{
	source_release(s);
}
#define _cleanup_source_ ATTR_CLEANUP(source_releasep)

#endif
