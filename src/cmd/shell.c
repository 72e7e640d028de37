/* igloo shell: an interactive shell in a box: one made around it, or one that is there. */
#include "base/log.h"
#include "base/name.h"
#include "box/box.h"
#include "cmd/enter.h"
#include "cmd/exec.h"
#include "cmd/options.h"
#include "cmd/stay.h"

#include <errno.h>

static const struct opt_group groups[] = {
	BOX_GROUP_PLACE(0),   BOX_GROUP_FILES(0),   BOX_GROUP_LIMITS(0),
	BOX_GROUP_MACHINE(0), BOX_GROUP_RUNNING(0), {.title = NULL},
};

/* A shell in the box of that name, which is started if it stays and does not run. */
static int run_in_box(struct invocation *inv, const char *name, int *ret_signal, struct err **e)
{
	struct box_info info = {0};
	struct stay_started started;
	bool start;
	int r = name_check(name, e);

	if (r == 0 && options_any_given(inv)) {
		(void)err_set(e, EINVAL, "box '%s' is what it was made as: options are for a box that is made now",
			      name);
		return err_hint(e, "igloo inspect %s shows what it is", name);
	}
	if (r == 0)
		r = box_look(name, &info, e);
	start = info.defined && !info.running;
	box_info_release(&info);
	if (r == 0 && start) {
		log_note("starting box '%s'; it runs on afterwards: igloo stop %s", name, name);
		r = stay_start(name, false, true, &started, e);
	}
	return r < 0 ? r : exec_shell(name, &inv->exit_code, ret_signal, e);
}

static int run_in_new_box(struct invocation *inv, int *ret_signal, struct err **e)
{
	static char name[] = "bash";
	char *const shown[] = {name, NULL};
	const struct box_options *o = inv->options;
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct enter in;
	int r = enter_prepare(o, true, &in, e);

	if (r == 0)
		r = enter_shell(&in, &argv, e);
	if (r == 0)
		r = enter_run(&in, o, inv->global.json, shown, &argv, &inv->exit_code, ret_signal, e);
	enter_release(&in);
	return r;
}

static int run(struct invocation *inv, struct err **e)
{
	int signo = 0;
	int r = inv->argc > 0 ? run_in_box(inv, inv->argv[0], &signo, e) : run_in_new_box(inv, &signo, e);

	if (r == 0 && signo)
		enter_die_like(signo);
	return r;
}

static const struct example examples[] = {
	{"igloo shell --read-only", "a look around, in a box that goes when it ends"},
	{"igloo shell dev", "in the box that igloo create called dev"},
	{.command = NULL},
};

const struct cmd cmd_shell = {
	.name = "shell",
	.args = "[BOX]",
	.summary = "open a shell in the repository's environment, in a box",
	.about = "As igloo run, with the environment's bash on the terminal: variables, functions and shellHook in "
		 "effect, "
		 "and job control. Its history lies in the slot's home.\n\n"
		 "With the name of a box, the shell is opened in that one, as by igloo exec; a box that igloo create "
		 "made "
		 "is "
		 "started first if it does not run, and runs on when the shell ends.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct box_options),
	.max_args = 1,
	.arg_hint = HINT_BOXES,
	.run = run,
};
