/* igloo autostart: boxes that stay and start with the user's systemd. */
#include "base/log.h"
#include "base/name.h"
#include "box/box.h"
#include "cmd/autounit.h"
#include "cmd/cmd.h"
#include "cmd/report.h"

#include <errno.h>
#include <pwd.h>
#include <stddef.h>
#include <unistd.h>

struct autostart_options {
	bool off;
};

/* Whether the user's systemd runs without a login: logind(5) keeps a file for each user that lingers. */
static bool lingers(void)
{
	const struct passwd *pw = getpwuid(geteuid());
	_cleanup_free_ char *path = pw ? xasprintf("/var/lib/systemd/linger/%s", pw->pw_name) : NULL;

	return path && access(path, F_OK) == 0;
}

static int switch_on(const char *name, struct err **e)
{
	_cleanup_definition_ struct definition d = {.directory = NULL};
	int r = box_definition(name, &d, e);

	return r < 0 ? r : autounit_write(name, e);
}

static int switch_off(const char *name, struct err **e)
{
	struct box_info info = {0};
	bool was;
	int r = autounit_remove(name, &was, e);

	/* Its box may be gone; what was never there is a slip. */
	if (r == 0 && !was)
		r = box_look(name, &info, e);
	box_info_release(&info);
	return r;
}

static int show(const struct strv *names, bool json, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;

	if (json)
		str_adds(&s, "{\"boxes\":[");
	for (size_t i = 0; i < names->n; i++) {
		if (json)
			str_addf(&s, "%s\"%s\"", i ? "," : "", names->v[i]);
		else
			str_addf(&s, "%s\n", names->v[i]);
	}
	if (json)
		str_adds(&s, "],\"schema\":\"igloo.autostart/1\"}\n");
	return report_out(&s, e);
}

static int run(struct invocation *inv, struct err **e)
{
	const struct autostart_options *o = inv->options;
	_cleanup_strv_ struct strv names = STRV_INIT;
	int r = 0;

	if (o->off && inv->argc == 0)
		return err_set(e, EINVAL, "which box? igloo autostart --off BOX...");
	for (int i = 0; i < inv->argc && r == 0; i++)
		r = name_check(inv->argv[i], e);
	for (int i = 0; i < inv->argc && r == 0; i++)
		r = o->off ? switch_off(inv->argv[i], e) : switch_on(inv->argv[i], e);
	if (inv->argc > 0)
		autounit_reload();
	if (r == 0 && inv->argc > 0 && !o->off)
		log_note(
			"%s",
			lingers()
				? "from the next boot on"
				: "from your next login on; to have it start with the machine: loginctl enable-linger");
	if (r == 0)
		r = autounit_list(&names, e);
	return r < 0 || (inv->argc > 0 && !inv->global.json) ? r : show(&names, inv->global.json, e);
}

static const struct opt opts[] = {
	{.name = "off",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct autostart_options, off),
	 .help = "do not start the boxes any more"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Starting", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo autostart dev", "when the user logs in, or, with loginctl enable-linger, when the machine boots"},
	{"igloo autostart", "the boxes that do"},
	{.command = NULL},
};

const struct cmd cmd_autostart = {
	.name = "autostart",
	.args = "[BOX...]",
	.summary = "start boxes with the machine, by a systemd user unit",
	.about = "Writes ~/.config/systemd/user/igloo-BOX.service, which starts and stops the box, and enables it; "
		 "'igloo rm' "
		 "removes it with the box. The unit has the PATH and the XDG folders of now. Without a box it lists "
		 "those that "
		 "start so.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct autostart_options),
	.max_args = -1,
	.arg_hint = HINT_BOXES,
	.more_hint = HINT_BOXES,
	.run = run,
};
