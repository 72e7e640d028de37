/* igloo create: defines a box that stays. */
#include "base/log.h"
#include "base/name.h"
#include "box/box.h"
#include "cmd/createmenu.h"
#include "cmd/menu.h"
#include "cmd/options.h"
#include "cmd/report.h"
#include "cmd/startscript.h"
#include "cmd/stay.h"
#include "fmt/json.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

struct create_options {
	struct stay_options stay; /* first: see stay_define() */
	bool script;
};

/* The name is an argument, or --name for those who are used to that. */
static int find_name(const struct invocation *inv, const char **ret, struct err **e)
{
	const struct create_options *o = inv->options;
	const char *given = o->stay.box.name;

	if (inv->argc > 0 && given && strcmp(inv->argv[0], given) != 0)
		return err_set(e, EINVAL, "two names: '%s' and --name %s", inv->argv[0], given);
	if (inv->argc == 0 && !given) {
		(void)err_set(e, EINVAL, "what is the box to be called?");
		return err_hint(e, "igloo create NAME [options] [-- COMMAND...]");
	}
	*ret = inv->argc > 0 ? inv->argv[0] : given;
	return name_check(*ret, e);
}

/* With --script alone: for a box that is there. */
static bool is_script_only(const struct invocation *inv)
{
	const struct create_options *o = inv->options;
	struct box_info info = {0};
	const char *name = inv->argc == 1 ? inv->argv[0] : NULL;
	_cleanup_strv_ struct strv others = STRV_INIT;
	static const char *const script[] = {"script", "yes", "in", "slot", NULL};
	bool there;

	if (!o->script || !name || options_normal(inv, script, &others, NULL) < 0 || others.n > 0)
		return false;
	there = name_is_valid(name) && box_look(name, &info, NULL) == 0 && info.defined;
	box_info_release(&info);
	return there;
}

static int write_script(const char *name, const struct definition *d, bool yes, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_str_ struct str shown = STR_INIT;
	int r = startscript_write(name, d, yes, &path, e);

	if (r < 0)
		return r;
	str_add_quoted(&shown, path);
	log_note("%s starts it", str_text(&shown));
	return 0;
}

static int say(const char *name, const struct definition *d, bool json, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;

	if (json) {
		_cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:s}", "schema", "igloo.created/1", "name", name,
						     "slot", d->slot);

		json_add_sorted(&s, j);
		str_addc(&s, '\n');
	} else {
		str_addf(&s, "%s\n", name);
	}
	return report_out(&s, e);
}

static int create(const struct invocation *inv, struct err **e)
{
	static const char *const own[] = {"name", "dir", "script", NULL};
	const struct create_options *o = inv->options;
	_cleanup_definition_ struct definition d = {.directory = NULL};
	const char *name = NULL;
	int r = find_name(inv, &name, e);

	if (r == 0 && is_script_only(inv)) {
		r = box_definition(name, &d, e);
		return r < 0 ? r : write_script(name, &d, o->stay.box.yes, e);
	}
	if (r == 0)
		r = stay_define(inv, own, inv->argc > 1 ? inv->argv + 1 : NULL, &d, e);
	if (r == 0)
		r = box_define(name, &d, e);
	if (r == 0)
		r = say(name, &d, inv->global.json, e);
	return r < 0 || !o->script ? r : write_script(name, &d, o->stay.box.yes, e);
}

/* The answers as the command line that they stand for, which is said. */
static int ask_and_create(const struct invocation *inv, struct err **e)
{
	struct invocation answered = {.cmd = inv->cmd, .global = inv->global, .no_variables = true};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str line = STR_INIT;
	_cleanup_str_ struct str shown = STR_INIT;
	int r = createmenu_ask(inv->cmd, &argv, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < argv.n; i++) {
		str_addc(&line, ' ');
		str_add_quoted(&line, argv.v[i]);
	}
	str_add_printable(&shown, str_text(&line), line.len, false);
	log_note("the same by options: igloo%s", str_text(&shown));
	r = options_parse(&answered, (int)argv.n, argv.v, NULL, e);
	if (r == 0)
		r = create(&answered, e);
	options_release(&answered);
	return r;
}

static int run(struct invocation *inv, struct err **e)
{
	if (inv->argc == 0 && !options_any_given(inv) && !inv->global.json && menu_possible())
		return ask_and_create(inv, e);
	return create(inv, e);
}

static const struct opt opts[] = {
	{.name = "script",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct create_options, script),
	 .help = "write start-NAME.sh, too, which starts the box and says what it is: here, or where boxes can write "
		 "here, in ~/.local/share/igloo. Of a box that is there if nothing else is given. A file that igloo "
		 "did not "
		 "write is replaced with --yes only"},
	{.name = NULL},
};

static const struct opt_group groups[] = {
	BOX_GROUP_PLACE(offsetof(struct create_options, stay.box)),
	BOX_GROUP_FILES(offsetof(struct create_options, stay.box)),
	BOX_GROUP_LIMITS(offsetof(struct create_options, stay.box)),
	BOX_GROUP_MACHINE(offsetof(struct create_options, stay.box)),
	BOX_GROUP_RUNNING(offsetof(struct create_options, stay.box)),
	{"Creating", opts, 0},
	{.title = NULL},
};

static const struct example examples[] = {
	{"igloo create dev --in vm --memory 8G -p 3000 -- make serve",
	 "a machine for this repository; igloo start dev runs it"},
	{"igloo create", "asks, on a terminal"},
	{"igloo create --script dev", "writes start-dev.sh for a box that is there"},
	{"igloo create lab --share-ro ~/data", "without a command: it waits for igloo shell lab"},
	{.command = NULL},
};

const struct cmd cmd_create = {
	.name = "create",
	.args = "[NAME] [[--] COMMAND [ARGUMENT...]]",
	.summary = "define a box that stays",
	.about = "Keeps under NAME how a box is to be: the folder, the repository and the options of igloo run. "
		 "Nothing is "
		 "started. "
		 "'igloo start' runs it in the background, again and again; 'igloo stop' ends it and it stays defined; "
		 "'igloo rm' "
		 "removes it. The environment is looked up at each start, so the box follows its flake.\n\n"
		 "Without a name and options, on a terminal, it asks for memory, processors, disk, name, kind, "
		 "features, "
		 "ports and "
		 "shares: by fzf if that is installed, else with numbered lists. It says the options that the answers "
		 "stand "
		 "for.\n\n"
		 "Without a COMMAND the box runs nothing of its own and waits for igloo shell and igloo exec.\n\n"
		 "Paths are kept as they are now, absolute: when one leads elsewhere later, the box does not start. "
		 "Secrets "
		 "are kept by name, their values are looked up at each start; so is --env NAME, from the environment "
		 "of igloo "
		 "start. --env NAME=VALUE is kept as it is.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct create_options),
	.max_args = -1,
	.takes_command = true,
	.command_at = 1,
	.run = run,
};
