/* A clone of the repository for one box: `igloo run --clone --name NAME`.
 *
 *     $XDG_STATE_HOME/igloo/clones/<slot>/<name>/lock   held shared by its boxes, exclusively by discard
 *                                                base   the commit it started from, and the user's branch then
 *                                                tree   the work tree; at the workspace's path in the box
 *                                         .<name>.lock  held while it is made
 *                                         .<name>.tmp   it, before it is whole
 *
 * It is made by fetching, not by copying or linking the user's objects: it holds what branches, tags and HEAD reach
 * and nothing that was amended away; a box cannot write the user's object files; and a `git gc` at the same time
 * does no harm. It costs a fifth of a second for 50 000 files more than copying, and checking these out costs more
 * than either. Uncommitted changes and ignored files are not in it, nor are submodules' contents.
 *
 * Once a box has written it, the clone is hostile: git runs on it only in a box (clone_git()). What comes to the host
 * is a pack, which git checks object by object before the user's repository refers to it. */
#ifndef IGLOO_BOX_CLONE_H
#define IGLOO_BOX_CLONE_H

#include "base/err.h"
#include "box/kind.h"
#include "box/slot.h"
#include "nix/source.h"

#include <stdbool.h>

#define CLONE_BRANCH_PREFIX "igloo/"
enum { CLONE_HEX_MAX = 64 };

struct clone {
	char *name;
	char *path;   /* of its folder */
	char *tree;   /* of its work tree, to be shared as the workspace */
	char *branch; /* igloo/NAME */
	char *base;   /* commit, hex */
	char *from;   /* the user's branch when it was made, "" for none */
	int dir;
	int lock;
	bool made;       /* by this call, not found */
	size_t left_out; /* then: files with uncommitted changes, which it does not have */
};

/* Opens the clone, making it from the source's HEAD when there is none. Takes its lock shared. -ENOENT for a
 * repository without git or without a commit; -EBUSY while it is being discarded. */
int clone_make(const struct source *source, const struct slot *slot, const char *name, struct clone **ret,
	       struct err **e);
/* Opens an existing one; with `exclusive`, -EBUSY while a box uses it. -ENOENT says which there are. */
int clone_open(const struct slot *slot, const char *name, bool exclusive, struct clone **ret, struct err **e);
/* Names of the slot's clones, sorted. */
int clone_list(const struct slot *slot, struct strv *ret, struct err **e);
/* True while a box uses it. */
bool clone_in_use(const struct clone *c);
/* Removes an exclusively opened clone. */
int clone_remove(const struct slot *slot, struct clone *c, struct err **e);
void clone_free(struct clone *c);

static inline void clone_freep(struct clone **c)
{
	clone_free(*c);
}
#define _cleanup_clone_ ATTR_CLEANUP(clone_freep)

/* How to run git in a box on the clone. */
struct clone_box {
	const struct kind *kind;
	struct slot *slot;
	const char *workspace; /* the path the clone has in boxes */
	const struct clone *clone;
	char *git; /* path of git in the box; found by clone_box_init() */
};

/* Finds git among the store paths that the slot's boxes see. */
int clone_box_init(struct clone_box *b, const struct kind *kind, struct slot *slot, const char *workspace,
		   const struct clone *c, struct err **e);
void clone_box_release(struct clone_box *b);
/* Runs `git args…` in a box without network. Its stdout goes to output_fd when that is > 0 (at most 4 GiB), else to
 * `output` (64 MiB). A failure of git is -EBADE with its words as detail. */
int clone_git(const struct clone_box *b, const char *input, int output_fd, struct str *output, struct err **e, ...)
	__attribute__((sentinel));

/* What a clone has beyond its base; hostile text throughout. */
struct clone_state {
	char *head;          /* commit, hex: checked */
	struct strv changed; /* paths with uncommitted changes, as git status -z prints them: "XY path" */
	struct strv commits; /* "<short id> <subject>", newest first; at most 1000 */
};
int clone_state_read(const struct clone_box *b, struct clone_state *ret, struct err **e);
void clone_state_release(struct clone_state *s);

#endif
