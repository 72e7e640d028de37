/* igloo deny: takes back what igloo allow granted. */
#include "cmd/granting.h"

static int run(struct invocation *inv, struct err **e)
{
	return granting_change(inv, false, e);
}

static const struct opt_group groups[] = {
	{"Repository", granting_place_opts, 0},
	{"For whom", granting_scope_opts, 0},
	{.title = NULL},
};

static const struct example examples[] = {
	{"igloo deny api.anthropic.com", "not for boxes of this repository any more"},
	{"igloo deny --always all", "what was allowed for all repositories"},
	{.command = NULL},
};

const struct cmd cmd_deny = {
	.name = "deny",
	.args = "HOST[:PORT]...",
	.summary = "take back what was allowed",
	.about = "Removes entries that `igloo allow` added, written as they were. Connections of running boxes that "
		 "are no longer allowed are closed. What no entry allows is denied anyway.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct granting_options),
	.min_args = 1,
	.max_args = -1,
	.run = run,
};
