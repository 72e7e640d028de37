/* What git says about a repository, and the files of git's own folder whose change would alter it. */
#ifndef IGLOO_NIX_GITSTATE_H
#define IGLOO_NIX_GITSTATE_H

#include "nix/gitrun.h"
#include "nix/indexbuild.h"

struct gitstate {
	char *head;         /* HEAD's commit in hex, "" when there is none yet */
	char *volatile_why; /* NULL, or why no key may be kept for this repository */
	uint8_t lists[32];  /* SHA-256 over the list of tracked files and HEAD of it and its submodules */
	bool flake_tracked;
};

/* Asks git (nix/gitrun.h; a few processes) about `repo` and its checked-out submodules. Adds to `b` as
 * entries all tracked files, and for each folder with some `.gitattributes` whether tracked or not
 * (git diff, and so Nix's notion of a dirty tree, heeds it); as watches the files below git's folder.
 * The watches are read before git is asked. `rootfd` is the work tree; `flake` is flake.nix's path in it. */
int gitstate_read(const struct gitrepo *repo, int rootfd, const char *flake, struct indexbuild *b, struct gitstate *ret,
		  struct err **e);
void gitstate_release(struct gitstate *s);

static inline void gitstate_releasep(struct gitstate *s)
{
	gitstate_release(s);
}
#define _cleanup_gitstate_ ATTR_CLEANUP(gitstate_releasep)

#endif
