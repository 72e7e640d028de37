/* What `igloo exec` needs to start a further command as the box's own was started: the file "exec" in the box's folder.
 *
 * Written by the supervisor before the box can be reached, removed with the box; mode 0600, for it holds the values of
 * variables that were given with --env. It goes with the box, so nothing of it is synced. The file:
 *
 *     "igloo.exec/1", the folder (absolute), the number of words and the number of functions, the words, the names of
 * the functions, the environment
 *
 * each ended by a NUL. The words are what stands in front of a command: none, or bash with the program that runs the
 * hook and knows the functions (nix/devscript.h). An environment without a hook needs them for its functions only,
 * whose names are given then; with a hook, every command needs them and none is named. A box that was started without
 * its script (BOX_ENV_SCRIPT) has no words: such an environment has no hook, and all that further commands lack is its
 * functions. */
#ifndef IGLOO_BOX_EXECENV_H
#define IGLOO_BOX_EXECENV_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <sys/types.h>

/* The protocol's bound (wire/exec.h) on what a command is started with, and some. */
enum { EXECENV_BYTES_MAX = 9 << 20, EXECENV_STRINGS_MAX = 65536 };

struct execenv {
	char *cwd;
	struct strv prefix;
	struct strv functions; /* sorted bytewise */
	struct strv env;
};

/* Writes the file into the box's folder. The vectors are the caller's. */
int execenv_write(int box_dir, const struct execenv *x, struct err **e);
/* Whether the command is to stand behind the prefix. */
bool execenv_needs_prefix(const struct execenv *x, const char *command);
/* The argv of `igloo shell BOX`, in a file "shell" beside it: "igloo.shell/1" and the words, each ended by a NUL.
 * Reading gives -ENOENT for a box that was started without. */
int execenv_write_shell(int box_dir, const struct strv *argv, struct err **e);
int execenv_read_shell(const char *name, struct strv *ret, struct err **e);
/* Takes both away, when the box has ended. */
void execenv_remove(int box_dir);
/* Reads the file of the box of that name. */
int execenv_read(const char *name, struct execenv *ret, struct err **e);
/* The file's bytes to their parts: 0, or -EBADMSG and nothing in *ret. */
int execenv_decode(const char *bytes, size_t n, struct execenv *ret);
void execenv_release(struct execenv *x);

static inline void execenv_releasep(struct execenv *x)
{
	execenv_release(x);
}
#define _cleanup_execenv_ ATTR_CLEANUP(execenv_releasep)

#endif
