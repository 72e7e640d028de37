/* The bash text that puts an environment into effect beyond its exported variables, and the two small programs that
 * use it: one around a command, one that a shell on a terminal starts from.
 *
 * None of it sources $stdenv/setup (which leaves traps, pipefail and nullglob behind): Nix did that when it built the
 * environment, and the script holds what came of it. None of it runs the hook but the two programs, once each.
 * The text is as trusted as the environment itself: it runs only in a box. */
#ifndef IGLOO_NIX_DEVSCRIPT_H
#define IGLOO_NIX_DEVSCRIPT_H

#include "nix/devenv.h"

/* Adds the script: variables that are not exported, arrays, tables and functions. To be sourced by the
 * environment's bash that was started with devenv.env. It ends by setting __igloo_sourced, so that the programs
 * below notice a script that bash could not read to its end. */
void devscript_add(struct str *to, const struct devenv *env);

/* Adds `text` single-quoted for bash, whatever its bytes are (no NUL). */
void devscript_add_quoted(struct str *to, const char *text);

/* The program around a command, for `bash -c`; its arguments: the script's path, the command, its arguments. It
 *   - sources the script and evaluates the hook, as the main program and with no positional parameters, like
 *     `nix develop -c`: a hook that exits ends it with that status; a hook that fails does not; folder, umask,
 *     exported variables, ignored signals and what was read from stdin carry over to the command;
 *   - calls the command if it is a function of the environment (`nix develop -c` cannot), keeping its status;
 *   - else executes it: 127 when there is none of that name, 126 when it cannot be executed; it says so itself on
 *     stderr, because whoever waits cannot tell such a status from the command's own. 125: the script is not
 *     readable or has a syntax error. */
extern const char devscript_run[];

/* argv for a command: bash, -c, devscript_run, "igloo" (bash's name in its own messages), script, command. */
void devscript_run_argv(struct strv *argv, const char *bash, const char *script, char *const *command);

/* Adds the rcfile of a shell on a terminal: history in HOME, a prompt unless ~/.bashrc, the environment or the hook
 * sets one, ~/.bashrc (of the box's own home) first as `nix develop` does, then script and hook. `interactive` is the
 * path of bashInteractive, whose folder `nix develop` puts first in PATH, or NULL. */
void devscript_add_rc(struct str *to, const char *script, const char *interactive);
/* argv for that shell: bash --noprofile --rcfile RC -i. */
void devscript_shell_argv(struct strv *argv, const char *bash, const char *rc);

#endif
