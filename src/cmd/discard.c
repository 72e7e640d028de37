/* igloo discard: a clone and its box's record go. */
#include "box/box.h"
#include "cmd/asking.h"
#include "cmd/clonecmd.h"
#include "cmd/report.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct discard_options {
	struct box_options box;
	bool yes;
};

static const struct opt opts[] = {
	{.name = "yes",
	 .letter = 'y',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct discard_options, yes),
	 .help = "do not ask"},
	{.name = NULL},
};

static const struct opt_group groups[] = {
	{"Clone", clonecmd_opts, 0},
	{"Confirming", opts, 0},
	{.title = NULL},
};

static int confirm(const struct clone *c, struct err **e)
{
	_cleanup_str_ struct str question = STR_INIT;
	char answer[16] = "";
	ssize_t n;

	if (!asking_terminal()) {
		(void)err_set(e, ECANCELED, "not discarding clone '%s' without being told so", c->name);
		return err_hint(e, "say: igloo discard %s --yes", c->name);
	}
	str_addf(&question, "Discard clone '%s' with everything in it that was not merged? [y/N] ", c->name);
	(void)!write(STDERR_FILENO, question.p, question.len);
	n = read(STDIN_FILENO, answer, sizeof(answer) - 1);
	if (n > 0 && (*answer == 'y' || *answer == 'Y'))
		return 0;
	return err_set(e, ECANCELED, "clone '%s' stays", c->name);
}

static int run(struct invocation *inv, struct err **e)
{
	const struct discard_options *o = inv->options;
	_cleanup_clonecmd_ struct clonecmd c = {0};
	_cleanup_str_ struct str s = STR_INIT;
	int r = clonecmd_open(&o->box, inv->argv[0], true, false, &c, e);

	if (r == 0 && !o->yes)
		r = confirm(c.clone, e);
	if (r == 0)
		r = clone_remove(c.in.slot, c.clone, e);
	/* A box that was made for the clone may be gone already, or the name be another's that runs. */
	if (r == 0) {
		struct box_info info = {0};

		if (box_look(c.clone->name, &info, NULL) == 0 && !info.running && info.slot &&
		    strcmp(info.slot, c.in.slot->id) == 0)
			(void)box_remove(c.clone->name, NULL);
		box_info_release(&info);
	}
	if (r < 0)
		return r;
	if (inv->global.json)
		str_addf(&s, "{\"discarded\":\"%s\",\"schema\":\"igloo.discard/1\"}\n", c.clone->name);
	return report_out(&s, e);
}

const struct cmd cmd_discard = {
	.name = "discard",
	.args = "NAME",
	.summary = "remove a clone and what its box left",
	.about = "Removes the clone with everything in it that was not merged, after asking on a terminal. Branch "
		 "igloo/NAME of "
		 "the repository, if there is one, stays.",
	.groups = groups,
	.options_size = sizeof(struct discard_options),
	.min_args = 1,
	.max_args = 1,
	.arg_hint = HINT_BOXES,
	.run = run,
};
