/* The state of one file of a source: what stat(2) says and the SHA-256 of what is in it.
 *
 * The signature is always taken before the content is read, so that a change in between shows as a
 * different signature at the next look. Nothing but regular files is opened, and never through a
 * symbolic link (except by filestate_follow()). */
#ifndef IGLOO_NIX_FILESTATE_H
#define IGLOO_NIX_FILESTATE_H

#include "fmt/digest.h"
#include "nix/indexfile.h"

#include <sys/stat.h>

/* Signature and type of `name` in the folder. What is not there has type '-' (also below something
 * that is no folder). Unless `dir_times`, a folder's signature is its type alone: git knows no
 * folders. Sets sig and type only. Returns 0 or -errno. */
int filestate_look(int dirfd, const char *name, bool dir_times, struct filestate *ret);
/* The same with the content's digest. `path` is for messages. */
int filestate_read(int dirfd, const char *name, bool dir_times, struct digest *d, const char *path,
		   struct filestate *ret, struct err **e);
/* The state of an absolute path of git's own, links followed; a folder's digest is over its signature
 * (zeros with WATCH_TYPE in `flags`). When `content` is given, what was read (at most 1 MiB) is added. */
int filestate_follow(const char *path, uint32_t flags, struct digest *d, struct str *content, struct filestate *ret,
		     struct err **e);
/* Signature and type only, as filestate_follow() would set them. */
int filestate_follow_look(const char *path, uint32_t flags, struct filestate *ret);

/* Same type and signature. */
bool filestate_same_sig(const struct filestate *a, const struct filestate *b);
/* Same type, executable bit and content: what evaluation can tell apart. */
bool filestate_same_content(const struct filestate *a, const struct filestate *b);
/* Not there, or empty: for git's own files (a configuration, attributes) that is the same. igloo makes such a
 * config.worktree while a box runs (box/protect.h), which must not look like a change. */
static inline bool filestate_is_nothing(const struct filestate *s)
{
	return s->type == '-' || (s->type == 'f' && s->sig.size == 0);
}
static inline bool filestate_executable(const struct filestate *s)
{
	return s->type == 'f' && (s->sig.mode & S_IXUSR);
}

#endif
