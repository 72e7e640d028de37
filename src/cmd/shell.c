/* igloo shell: an interactive shell in a box. */
#include "cmd/enter.h"

static const struct opt_group groups[] = {
	BOX_GROUP_PLACE(0),   BOX_GROUP_FILES(0),   BOX_GROUP_LIMITS(0),
	BOX_GROUP_MACHINE(0), BOX_GROUP_RUNNING(0), {.title = NULL},
};

static int run(struct invocation *inv, struct err **e)
{
	static char name[] = "bash";
	char *const shown[] = {name, NULL};
	const struct box_options *o = inv->options;
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct enter in;
	int signo = 0;
	int r = enter_prepare(o, true, &in, e);

	if (r == 0)
		r = enter_shell(&in, &argv, e);
	if (r == 0)
		r = enter_run(&in, o, inv->global.json, shown, &argv, &inv->exit_code, &signo, e);
	enter_release(&in);
	if (r == 0 && signo)
		enter_die_like(signo);
	return r;
}

const struct cmd cmd_shell = {
	.name = "shell",
	.args = "",
	.summary = "open a shell in the repository's environment, in a box",
	.about = "As igloo run, with the environment's bash on the terminal: variables, functions and shellHook in "
		 "effect, "
		 "and job control. Its history lies in the slot's home.",
	.groups = groups,
	.options_size = sizeof(struct box_options),
	.max_args = 0,
	.run = run,
};
