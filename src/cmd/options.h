/* Reading a command line by a command's tables. */
#ifndef IGLOO_CMD_OPTIONS_H
#define IGLOO_CMD_OPTIONS_H

#include "cmd/cmd.h"

/* Reads argv[1..] (argv[0] is the program or the verb) by the tables of inv->cmd, or only igloo's own
 * options if that is NULL; then it stops at the first word that is not an option. *inv may hold
 * global options from an earlier call; they add up.
 *
 * With a command: allocates inv->options and inv->argv; checks every value, the clashes, the
 * variables that stand in for options and the number of arguments. When --help or --version was
 * given it stops before those last checks, so that `igloo run --help` needs no COMMAND.
 * Without one: *ret_used is the index of the first word that was not used.
 *
 * Abbreviated long options are refused: they would change their meaning with the next release.
 * Returns 0, or -EINVAL / -ERANGE with an error that names the option. In both cases
 * options_release() frees what was allocated. */
int options_parse(struct invocation *inv, int argc, char **argv, int *ret_used, struct err **e);

/* True if the option with this long name was on the command line or stood in by its variable. */
bool options_given(const struct invocation *inv, const char *name);

/* Whether an option of the command's own was given, but for those that a variable can stand in for. */
bool options_any_given(const struct invocation *inv);

/* Adds the options of the command that were given (by variables, too), except those `without` names (NULL-terminated),
 * in normal form: "--name" or "--name=value", in the order of the tables, sizes and times in the largest unit that is
 * exact, paths absolute and free of symbolic links. options_parse() reads them as the same values. Errors: a path that
 * is not there. */
int options_normal(const struct invocation *inv, const char *const *without, struct strv *to, struct err **e);
/* Of options that came from options_normal() once: do the paths still lead to where they did? -ESTALE when there is a
 * symbolic link in one by now, -ENOENT when it is gone; the error names option and path. */
int options_paths_hold(const struct invocation *inv, struct err **e);

void options_release(struct invocation *inv);

/* Calls `each` for every option of `cmd`, without igloo's own; NULL is a command without any. */
void options_each(const struct cmd *cmd, void (*each)(const struct opt *o, void *data), void *data);

static inline bool opt_takes_arg(const struct opt *o)
{
	return o->kind != OPT_FLAG && o->kind != OPT_COUNTER;
}

#endif
