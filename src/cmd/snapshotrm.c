/* igloo snapshot rm: removes snapshots. */
#include "box/snapshot.h"
#include "cmd/cmd.h"
#include "cmd/report.h"

#include <errno.h>

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_strv_ struct strv removed = STRV_INIT;
	int r = 0;

	for (int i = 0; i < inv->argc && r == 0; i++) {
		if (strv_has(&removed, inv->argv[i]))
			continue;
		r = snapshot_remove(inv->argv[i], e);
		if (r == 0)
			strv_add(&removed, inv->argv[i]);
	}
	return report_removed(&removed, inv, "igloo.snapshot.rm/1", r, e);
}

static const struct example examples[] = {
	{"igloo snapshot rm before-upgrade", "one that is not needed any more"},
	{"igloo snapshot rm $(igloo snapshot ls -q)", "all of them"},
	{.command = NULL},
};

const struct cmd cmd_snapshot_rm = {
	.name = "snapshot rm",
	.args = "SNAPSHOT...",
	.summary = "remove snapshots",
	.about = "The slots that they are of stay as they are. Nothing else removes a snapshot: not `igloo slot rm`, "
		 "after "
		 "which it can bring the slot back, nor `igloo slot gc`.",
	.examples = examples,
	.min_args = 1,
	.max_args = -1,
	.arg_hint = HINT_SNAPSHOTS,
	.more_hint = HINT_SNAPSHOTS,
	.run = run,
};
