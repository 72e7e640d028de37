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

void options_release(struct invocation *inv);

/* Calls `each` for every option of `cmd`, without igloo's own; NULL is a command without any. */
void options_each(const struct cmd *cmd, void (*each)(const struct opt *o, void *data), void *data);

static inline bool opt_takes_arg(const struct opt *o)
{
	return o->kind != OPT_FLAG && o->kind != OPT_COUNTER;
}

#endif
