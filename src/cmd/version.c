/* igloo version: which igloo this is. */
#include "cmd/cmd.h"
#include "cmd/report.h"

const char igloo_version[] = IGLOO_VERSION;

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;

	if (inv->global.json)
		str_addf(&s, "{\"schema\":\"igloo.version/1\",\"version\":\"%s\"}\n", igloo_version);
	else
		str_addf(&s, "igloo %s\n", igloo_version);
	return report_out(&s, e);
}

const struct cmd cmd_version = {
	.name = "version",
	.args = "",
	.summary = "show igloo's version",
	.run = run,
};
