/* Shared by protect.c (the table and the locks), protectgit.c (what git's own files name) and protectwatch.c. */
#ifndef IGLOO_BOX_PROTECT_IMPL_H
#define IGLOO_BOX_PROTECT_IMPL_H

#include "box/protect.h"
#include "box/protectpath.h"

#include <stdint.h>
#include <sys/stat.h>

enum { PROTECT_ENTRIES_MAX = 4096 };

struct watch {
	int wd;
	char *dir;
};

struct protect {
	struct heldset held;
	char *workspace;
	char *git_dir; /* NULL when not git */
	char *common_dir;
	struct stat index; /* of git's index at the start */
	bool is_git;
	struct strv opened; /* rules that the user gave up */
	int lock;           /* shared while the box runs */
	int change;         /* the file whose lock is held while placeholders are made or removed */
	int inotify;
	struct watch *watches;
	size_t n_watches;
	struct strv locks;  /* "<path>.lock" seen to come, not yet to go */
	struct strv denied; /* protected paths whose ".lock" went away without becoming the path */
};

/* What is gathered from: the source, the rules that stay, and where to put it. */
struct gather {
	const struct source *source;
	const struct strv *opened;
	struct heldset *set;
	int configs; /* read so far */
};

static inline bool protect_is_closed(const struct gather *g, const char *rule)
{
	return !g->opened || !strv_has(g->opened, rule);
}

/* Links in a folder of hooks lead to scripts that run as hooks: pins what they lead to. */
int protect_add_links(struct gather *g, const char *rule, const char *dir, struct err **e);
/* Adds a line for each submodule that came into the index since the start, with a repository in its place. */
void protect_add_submodule_notes(const struct protect *p, struct strv *notes);
/* Adds a line for each protected name that appeared in a workspace without git. */
void protect_add_made_notes(const struct protect *p, struct strv *notes);
/* Looks at git's index; zeros when there is none. */
void protect_stat_index(const struct protect *p, struct stat *ret);
/* What is protected because the repository's configuration or layout names it. */
int protect_add_git(struct gather *g, struct err **e);
#endif
