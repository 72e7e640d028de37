/* igloo diff: what a clone has beyond the commit it was made from. */
#include "cmd/clonecmd.h"
#include "cmd/report.h"
#include "fmt/json.h"

#include <unistd.h>

struct diff_options {
	struct box_options box;
	bool stat;
};

static const struct opt opts[] = {
	{.name = "stat",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct diff_options, stat),
	 .help = "show only which files changed and how much"},
	{.name = NULL},
};

static const struct opt_group groups[] = {
	{"Clone", clonecmd_opts, 0},
	{"Output", opts, 0},
	{.title = NULL},
};

static void add_json(struct str *s, const struct clone *c, const struct clone_state *state, const struct str *diff)
{
	_cleanup_json_ json_t *object = json_object();

	(void)json_object_set_new(object, "schema", json_string("igloo.diff/1"));
	(void)json_object_set_new(object, "name", json_string(c->name));
	(void)json_object_set_new(object, "branch", json_string(c->branch));
	(void)json_object_set_new(object, "base", json_string(c->base));
	(void)json_object_set_new(object, "head", json_string(state->head));
	(void)json_object_set_new(object, "commits", clonecmd_list(&state->commits));
	(void)json_object_set_new(object, "uncommitted", clonecmd_list(&state->changed));
	(void)json_object_set_new(object, "diff", clonecmd_text(str_text(diff)));
	json_add_sorted(s, object);
	str_addc(s, '\n');
}

static int run(struct invocation *inv, struct err **e)
{
	const struct diff_options *o = inv->options;
	_cleanup_clonecmd_ struct clonecmd c = {0};
	_cleanup_str_ struct str diff = STR_INIT;
	_cleanup_str_ struct str s = STR_INIT;
	struct clone_state state = {0};
	int r = clonecmd_open(&o->box, inv->argv[0], false, true, &c, e);

	/* New files are in a diff only if the index knows of them. While a box holds the index they stay out. */
	if (r == 0)
		(void)clone_git(&c.box, NULL, 0, NULL, NULL, "add", "--all", "--intent-to-add", NULL);
	if (r == 0 && inv->global.json)
		r = clone_state_read(&c.box, &state, e);
	if (r == 0)
		r = clone_git(&c.box, NULL, 0, &diff, e, "diff", "--no-color", "--no-ext-diff", "--no-textconv",
			      "--ignore-submodules=dirty", o->stat ? "--stat" : "--patch", c.clone->base, "--", NULL);
	if (r < 0)
		return r;
	if (inv->global.json)
		add_json(&s, c.clone, &state, &diff);
	else if (isatty(STDOUT_FILENO))
		str_add_printable(&s, str_text(&diff), diff.len, true);
	clone_state_release(&state);
	return report_out(!inv->global.json && s.len == 0 ? &diff : &s, e);
}

static const struct example examples[] = {
	{"igloo diff fix", "what the box 'fix' changed, committed or not"},
	{"igloo diff fix | git apply", "take it over without its commits"},
	{.command = NULL},
};

const struct cmd cmd_diff = {
	.name = "diff",
	.args = "NAME",
	.summary = "show what a box changed in its clone",
	.about = "Shows the difference between the commit that the clone was made from and its files as they are now, "
		 "committed or not. Git runs in a box for this, since whatever worked in the clone may have left traps "
		 "for "
		 "it. On a terminal, control characters are shown as text; in a pipe the bytes are the file's own.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct diff_options),
	.min_args = 1,
	.max_args = 1,
	.arg_hint = HINT_BOXES,
	.run = run,
};
