/* Every command, in the order in which help, completions and the manual list them. */
#include "cmd/cmd.h"

/* One line per command. */
/* clang-format off */
const struct cmd *const commands[] = {
	&cmd_completion,
	&cmd_help,
	&cmd_version,
	&cmd_complete,
	&cmd_generate_man,
	NULL,
};
/* clang-format on */
