/* igloo snapshot create: keeps a slot as it is now. */
#include "base/name.h"
#include "base/size.h"
#include "box/snapshot.h"
#include "cmd/cmd.h"
#include "cmd/copywatch.h"
#include "cmd/report.h"
#include "cmd/slotalone.h"
#include "fmt/json.h"

#include <errno.h>

static int say(const struct invocation *inv, const char *name, const struct slot *slot, const struct copytree *c,
	       struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;

	if (inv->global.json) {
		_cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "schema",
						     "igloo.snapshot.create/1", "name", name, "slot", slot->id, "files",
						     (json_int_t)c->entries, "bytes", (json_int_t)c->bytes,
						     "sharedBytes", (json_int_t)c->cloned);

		json_add_sorted(&s, j);
		str_addc(&s, '\n');
	} else if (!inv->global.quiet) {
		str_addf(&s, "%s\n", name);
	}
	return report_out(&s, e);
}

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_slot_ struct slot *slot = NULL;
	_cleanup_free_ char *box = NULL;
	_cleanup_free_ char *name = NULL;
	struct copywatch watch;
	int r = slotalone_of(inv->argv[0], &box, &slot, e);

	if (r < 0)
		return r;
	if (inv->argc > 1)
		name = xstrdup(inv->argv[1]);
	r = name ? name_check(name, e) : snapshot_name(inv->argv[0], &name, e);
	if (r < 0)
		return r;
	copywatch_begin(&watch, inv);
	r = copywatch_end(&watch, snapshot_create(name, slot, box, &watch.copy, e), e);
	if (r == -EEXIST)
		(void)err_hint(e, "choose another name, or: igloo snapshot rm %s", name);
	if (r == -ENOSPC || r == -EDQUOT)
		(void)err_hint(e, "nothing is left of it; igloo slot gc and igloo snapshot rm free space");
	return r < 0 ? r : say(inv, name, slot, &watch.copy, e);
}

static const struct example examples[] = {
	{"igloo snapshot create app-0a1b2c3d4e5f before-upgrade", "of a slot, by the name of `igloo slot ls`"},
	{"igloo snapshot create fix", "of a stopped box; the snapshot is called fix-1, then fix-2"},
	{.command = NULL},
};

const struct cmd cmd_snapshot_create = {
	.name = "snapshot create",
	.args = "BOX|SLOT [SNAPSHOT]",
	.summary = "keep a slot as it is now",
	.about =
		"Copies all that a slot keeps: its Nix store and database, the home with its logins and histories, the "
		"records of environments, and a machine's disk image. Not the workspace, which is the repository's, "
		"and "
		"not the store paths that are the host's: these are kept from the host's garbage collection as long as "
		"the snapshot is there.\n\n"
		"No box of the slot may run meanwhile. Where the file system shares blocks between files (btrfs, XFS, "
		"bcachefs) it takes no time and no space; elsewhere everything is copied, holes as holes. Until it is "
		"whole it is not there: what is interrupted leaves nothing.",
	.examples = examples,
	.min_args = 1,
	.max_args = 2,
	.arg_hint = HINT_BOXES,
	.run = run,
};
