/* What stays as it is in a workspace that a box may write: whatever the host's tools (git, shells, editors,
 * agents) would later run or obey.
 *
 * Theory of operation
 *
 * Each protected path is mounted onto itself read-only in the box (a pin); the folders on the way to it are
 * pinned writable, since a mount point can be neither renamed nor removed. Links are pinned as links, and so is
 * what they lead to if the box could write it. A name that is not there is held by a placeholder, because a
 * mount needs something to mount on: an empty folder (git does not show it, editors and direnv do not read it,
 * rmdir loses no data), or where git insists on a file an empty one.
 *
 * A placeholder is known by its modification time (PROTECT_MARK) and by being empty; so no journal is needed to
 * tell it from the user's own, and what somebody put something into is nobody's placeholder any more. Every
 * box of a workspace holds workspaces/<hash> of the state folder shared. Whoever can lock it exclusively is the last,
 * and removes the placeholders; after a kill -9 that is the next box to end, or protect_sweep().
 *
 * A rename over a mounted file from outside (`git config` on the host) takes the box's mount away with the old
 * file. An inotify descriptor sees it, and protect_reapply() with kind->repin mounts it anew: see
 * docs/workspace-protection.md for what remains.
 *
 * The workspace is hostile: everything is looked at by held descriptors and nothing is followed. */
#ifndef IGLOO_BOX_PROTECT_H
#define IGLOO_BOX_PROTECT_H

#include "base/err.h"
#include "box/spec.h"
#include "nix/source.h"

#include <stdbool.h>

#define PROTECT_MARK 315619200 /* 1980-01-02, seconds */

struct protect;

/* The rules' names, for --unprotect; NULL-terminated. */
extern const char *const protect_rule_names[];

/* Adds the git folders that lie outside the workspace (of a linked worktree or a submodule) as shares at their own
 * paths: writable in BOX_DIRECT, read-only in BOX_READ_ONLY, none in BOX_CLONE. After the workspace's share. */
int protect_add_git_shares(const struct source *source, struct box_spec *spec, struct err **e);

/* Makes placeholders and adds pins to a spec in BOX_DIRECT mode; after all shares were added. `opened` (may be NULL)
 * names rules that the user gave up. In other modes *ret is NULL. -EINVAL for an unknown rule, for what cannot be
 * protected (a fifo, a link to nothing). *ret is held as long as the box runs. */
int protect_workspace(const struct source *source, const struct strv *opened, struct box_spec *spec,
		      struct protect **ret, struct err **e);
/* Removes the placeholders if this was the workspace's last box: PROTECT_LINGER_MS later, by a process of its own, so
 * that one command after the other neither waits for it nor makes them anew (at once with IGLOO_VIEW_KEEP=0).
 * Accepts NULL. */
#define PROTECT_LINGER_MS 5000
void protect_free(struct protect *p);
/* Only lets go of it, in a process that forked the one that owns the box now: the locks are that one's. Accepts NULL.
 */
void protect_abandon(struct protect *p);

/* Starts watching and returns a descriptor that is readable when something in a watched folder changed; -1 when there
 * is nothing to watch. To be called once, PROTECT_WATCH_AFTER_MS after the box's start, and followed by kind->repin for
 * what happened before: letting go of a watch costs the kernel milliseconds, which a short command need not pay. */
#define PROTECT_WATCH_AFTER_MS 500
int protect_watch(struct protect *p);
/* Reads what is there. True when a protected path may have been replaced: then placeholders were made again
 * where they are missing, and the caller calls kind->repin. */
bool protect_reapply(struct protect *p);
/* Adds one line for the user per rule that stopped somebody (as far as can be seen: git gave up on a
 * configuration's lock); one if a repository was made where there was none; and one per submodule that a box added
 * to the index, since `git status` runs git in it. After the box's end. */
void protect_add_notes(const struct protect *p, struct strv *notes);

/* Keeps the workspace's placeholders where they are as long as the returned descriptor is open, so that they do not
 * vanish under a program that reads the workspace. */
int protect_hold(const struct source *source, struct err **e);

/* Removes what a killed box left in the workspace, unless another box runs in it. */
void protect_sweep(const struct source *source);

static inline void protect_freep(struct protect **p)
{
	protect_free(*p);
}
#define _cleanup_protect_ ATTR_CLEANUP(protect_freep)

#endif
