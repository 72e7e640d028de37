/* igloo stop: asks boxes to end, and sees to it that they do. */
#include "base/log.h"
#include "base/name.h"
#include "cmd/boxset.h"
#include "cmd/client.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/report.h"

#include <errno.h>
#include <stddef.h>

enum { GRACE_S = 10 };

struct stop_options {
	bool all;
	uint64_t seconds;
};

/* How a machine ended that did not in the time it had. */
static bool add_machine(struct str *s, const struct client_stop *stop)
{
	unsigned after = stop->ended.ms / 1000;

	if (!stop->machine || stop->how != CLIENT_KILLED)
		return false;
	if (stop->ended.how == MSG_STOPPED_TOLD)
		str_addf(s,
			 "%s was killed: its machine did not switch itself off, so QEMU was told to end after %u s\n",
			 stop->name, after);
	else if (stop->ended.how == MSG_STOPPED_KILLED)
		str_addf(s,
			 "%s was killed: its machine did not switch itself off, nor did QEMU end; killed after %u s\n",
			 stop->name, after);
	else if (stop->ended.how == MSG_STOPPED_ITSELF)
		str_addf(s,
			 "%s stopped: its machine switched itself off after %u s, what ran longer than %u s was "
			 "killed\n",
			 stop->name, after, stop->grace_ms / 1000);
	else
		return false;
	return true;
}

static void add_text(struct str *s, const struct client_stop *stop)
{
	if (add_machine(s, stop))
		return;
	switch (stop->how) {
	case CLIENT_NOT_RUNNING:
		str_addf(s, "%s was not running\n", stop->name);
		break;
	case CLIENT_START_ENDED:
		str_addf(s, "%s stopped while it started\n", stop->name);
		break;
	case CLIENT_STOPPED:
		str_addf(s, "%s stopped\n", stop->name);
		break;
	case CLIENT_KILLED:
		str_addf(s, "%s was killed: it did not end within %u s\n", stop->name, stop->grace_ms / 1000);
		break;
	case CLIENT_SUPERVISOR_KILLED:
		str_addf(s, "%s was killed with its supervisor, which did not answer\n", stop->name);
		break;
	}
}

static void add_json(struct str *s, const struct client_stop *stop)
{
	static const char *const hows[] = {"itself", "told", "killed", "command"};

	str_addf(s, "{\"name\":\"%s\",\"how\":\"%s\"", stop->name, client_stopped_name(stop->how));
	if (stop->machine)
		str_addf(s, ",\"machine\":{\"ended\":\"%s\",\"ms\":%u}", hows[stop->ended.how], stop->ended.ms);
	str_adds(s, "}");
}

static int run(struct invocation *inv, struct err **e)
{
	const struct stop_options *o = inv->options;
	uint32_t grace_ms = (uint32_t)(options_given(inv, "time") ? o->seconds : GRACE_S) * 1000;
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_str_ struct str s = STR_INIT;
	struct boxset_stopped stopped = {NULL, 0};
	bool first = true;
	int r = boxset_names(inv, o->all, BOXSET_RUNNING, &names, e);
	int k;

	if (r < 0)
		return r;
	r = boxset_stop(&names, grace_ms, &stopped, e);
	if (inv->global.json)
		str_adds(&s, "{\"schema\":\"igloo.stop/1\",\"boxes\":[");
	for (size_t i = 0; i < stopped.n; i++) {
		if (inv->global.json) {
			str_adds(&s, first ? "" : ",");
			add_json(&s, &stopped.v[i]);
		} else if (!inv->global.quiet)
			add_text(&s, &stopped.v[i]);
		first = false;
	}
	if (inv->global.json)
		str_adds(&s, "]}\n");
	free(stopped.v);
	k = report_out(&s, r < 0 ? NULL : e);
	return r < 0 ? r : k;
}

static const struct opt opts[] = {
	{.name = "time",
	 .letter = 't',
	 .arg = "SECONDS",
	 .kind = OPT_COUNT,
	 .offset = offsetof(struct stop_options, seconds),
	 .help = "kill what has not ended after SECONDS; 10 unless given, 0 at once",
	 .max = 86400},
	{.name = "all",
	 .letter = 'a',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct stop_options, all),
	 .help = "stop every box that runs"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Stopping", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo stop fix", "with ten seconds to end by itself"},
	{"igloo stop -a -t 0", "everything, at once"},
	{.command = NULL},
};

const struct cmd cmd_stop = {
	.name = "stop",
	.args = "BOX...",
	.summary = "stop running boxes",
	.about =
		"Every process in the box gets SIGTERM, and SIGKILL when the time is over. A supervisor that does not "
		"answer is "
		"killed; the box ends with it. A machine then has 6 s to switch itself off; after them QEMU is told to "
		"end, and "
		"killed 2 s later, and it is said which of these it was. Several boxes are stopped side by side. A box "
		"that does not run is no "
		"error.\n\n"
		"A detached box stays in the list, with its log, until `igloo rm`. One that `igloo create` made can be "
		"started "
		"again; one that is just being started is told to leave that.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct stop_options),
	.max_args = -1,
	.arg_hint = HINT_BOXES,
	.more_hint = HINT_BOXES,
	.run = run,
};
