/* A distribution's programs made self-contained: one folder that runs anywhere on this machine's kernel.
 *
 *     bin/NAME, …      the launcher (launcher/launcher.c explains it), or the program if it is static
 *     programs/NAME    the real program
 *     lib/             its loader, also called ld.so, and its libraries
 *     environment      what the launcher sets
 *
 * It is canonical as Nix makes store paths: modes 0444 and 0555, all times 1, so equal sources give equal
 * bytes. Nothing in it names where it lies. */
#ifndef IGLOO_NIX_BUNDLE_H
#define IGLOO_NIX_BUNDLE_H

#include "base/err.h"
#include "base/str.h"

struct bundle {
	int dir;             /* the folder, empty at first; the caller's */
	struct strv sources; /* the absolute paths of all files it was made from … */
	struct str made_of;  /* … and their states, a line of bundle_add_state() each, from before they were read */
	struct str environment; /* the text of the file */
};

/* Puts the program at `source` (absolute, no symbolic link) with all it needs so that it starts as `place`
 * ("bin/nix"); its name is the last part of `place`, unique in the bundle. elfdeps_get()'s errors. */
int bundle_add_program(struct bundle *b, const char *source, const char *place, struct err **e);
/* A library that the programs of the bundle open by themselves, from the folder that libc.so.6 came from; no
 * such library is fine. */
int bundle_add_optional(struct bundle *b, const char *name, struct err **e);
/* A copy of one file, readable, not executable. */
int bundle_add_file(struct bundle *b, const char *source, const char *place, struct err **e);
int bundle_add_folder(struct bundle *b, const char *place, struct err **e);
/* A symbolic link at `place`. */
int bundle_add_link(struct bundle *b, const char *target, const char *place, struct err **e);
/* Has the launcher set `name` to the place `below`. */
void bundle_add_environment(struct bundle *b, const char *name, const char *below);
/* Adds "S <inode> <size> <mtime> <ctime> <path>\n", equal for a file that has not changed since. Not the
 * device: its number may be another after a restart. */
struct stat;
void bundle_add_state(struct str *to, char tag, const struct stat *st, const char *path);
/* Writes the environment and makes everything canonical; nothing can be added after. */
int bundle_finish(struct bundle *b, struct err **e);
/* Leaves `dir` alone. */
void bundle_release(struct bundle *b);

#define _cleanup_bundle_ ATTR_CLEANUP(bundle_release)

#endif
