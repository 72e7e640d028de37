/* igloo run: one command in a box, made and removed around it. */
#include "cmd/enter.h"

#include <stddef.h>

static const struct opt_group groups[] = {
	BOX_GROUP_PLACE(0),   BOX_GROUP_FILES(0),   BOX_GROUP_LIMITS(0),
	BOX_GROUP_MACHINE(0), BOX_GROUP_RUNNING(0), {.title = NULL},
};

static int run(struct invocation *inv, struct err **e)
{
	const struct box_options *o = inv->options;
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct enter in;
	int signo = 0;
	int r = enter_prepare(o, false, &in, e);

	if (r == 0) {
		enter_command(&in, inv->argv, &argv);
		r = enter_run(&in, o, inv->global.json, inv->argv, &argv, &inv->exit_code, &signo, e);
	}
	enter_release(&in);
	if (r == 0 && signo)
		enter_die_like(signo);
	return r;
}

static const struct example examples[] = {
	{"igloo run -- make test", "in the environment of the repository around the current folder"},
	{"igloo run --clone --name fix -- claude -p 'mend the tests'",
	 "on a clone; then: igloo diff fix, igloo merge fix"},
	{"igloo run --read-only --memory 2G -- npm test", "without writing to the workspace, in 2 GiB"},
	{"igloo run --secret API_KEY -- make publish", "with a secret that 'igloo secret set API_KEY' keeps"},
	{.command = NULL},
};

const struct cmd cmd_run = {
	.name = "run",
	.args = "[--] COMMAND [ARGUMENT...]",
	.summary = "run a command in the repository's environment, in a box made around it",
	.about = "Finds the repository's flake.nix, resolves its dev shell inside a box (or takes it from the record, "
		 "when "
		 "nothing has changed), seals a box and runs the command there: with the dev shell's variables, its "
		 "functions "
		 "and its shellHook in effect, and with the terminal, signals and exit status passed through.\n\n"
		 "The box sees the workspace, the store paths of its environment and a home of its own; not the user's "
		 "home, "
		 "not the host's processes, and of the network what was allowed by name. It is gone when the command "
		 "ends.\n\n"
		 "Exit status: the command's own; if a signal killed it, igloo dies of the same signal. 124 when "
		 "--timeout "
		 "ended it, 125 when igloo failed, 126 when the command cannot be executed, 127 when it was not found.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct box_options),
	.min_args = 1,
	.max_args = -1,
	.takes_command = true,
	.run = run,
};
