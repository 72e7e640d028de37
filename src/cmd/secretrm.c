/* igloo secret rm: forgets secrets. */
#include "box/secret.h"
#include "cmd/cmd.h"
#include "cmd/report.h"

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_strv_ struct strv removed = STRV_INIT;
	_cleanup_str_ struct str s = STR_INIT;
	int r = 0;
	int k;

	for (int i = 0; i < inv->argc && r == 0; i++) {
		if (strv_has(&removed, inv->argv[i]))
			continue;
		r = secret_remove(inv->argv[i], e);
		if (r == 0)
			strv_add(&removed, inv->argv[i]);
	}
	if (inv->global.json)
		str_adds(&s, "{\"removed\":[");
	for (size_t i = 0; i < removed.n; i++) {
		if (inv->global.json)
			str_addf(&s, "%s\"%s\"", i ? "," : "", removed.v[i]);
		else if (!inv->global.quiet)
			str_addf(&s, "%s\n", removed.v[i]);
	}
	if (inv->global.json)
		str_adds(&s, "],\"schema\":\"igloo.secret.rm/1\"}\n");
	k = report_out(&s, r < 0 ? NULL : e);
	return r < 0 ? r : k;
}

static const struct example examples[] = {
	{"igloo secret rm GITHUB_TOKEN", "boxes that run keep what they were given"},
	{.command = NULL},
};

const struct cmd cmd_secret_rm = {
	.name = "secret rm",
	.args = "NAME...",
	.summary = "forget secrets",
	.about =
		"Removes what igloo keeps: the value, or the command that prints it. A box that runs keeps what it was "
		"given; where the value is valid, that is for whoever issued it to end.",
	.examples = examples,
	.min_args = 1,
	.max_args = -1,
	.arg_hint = HINT_SECRETS,
	.more_hint = HINT_SECRETS,
	.run = run,
};
