/* igloo deny: takes back what igloo allow granted. */
#include "cmd/granting.h"

#include <errno.h>
#include <stddef.h>

static int run(struct invocation *inv, struct err **e)
{
	const struct granting_options *o = inv->options;

	if (o->requests && inv->argc > 0) {
		(void)err_set(e, EINVAL, "--requests takes no hosts");
		return err_exit_code(e, 2);
	}
	if (o->requests)
		return granting_forget(inv, e);
	if (inv->argc == 0) {
		(void)err_set(e, EINVAL, "which host?");
		(void)err_hint(e, "say: igloo deny HOST, or: igloo deny --requests");
		return err_exit_code(e, 2);
	}
	return granting_change(inv, false, e);
}

static const struct opt opts[] = {
	{.name = "requests",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct granting_options, requests),
	 .help = "forget everything that was granted of what the repository's flake asks for",
	 .clashes = "box always"},
	{.name = NULL},
};

static const struct opt_group groups[] = {
	{"Repository", granting_place_opts, 0},
	{"For whom", granting_scope_opts, 0},
	{"Flake", opts, 0},
	{.title = NULL},
};

static const struct example examples[] = {
	{"igloo deny api.anthropic.com", "not for boxes of this repository any more"},
	{"igloo deny --always all", "what was allowed for all repositories"},
	{.command = NULL},
};

const struct cmd cmd_deny = {
	.name = "deny",
	.args = "[HOST[:PORT]...]",
	.summary = "take back what was allowed",
	.about = "Removes entries that `igloo allow` added, or that the flake asked for and was granted, written as "
		 "they were. Connections of running boxes that "
		 "are no longer allowed are closed. What no entry allows is denied anyway.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct granting_options),
	.max_args = -1,
	.run = run,
};
