/* igloo fork: another slot that begins as a copy of one. */
#include "base/name.h"
#include "box/slotcopy.h"
#include "cmd/cmd.h"
#include "cmd/copywatch.h"
#include "cmd/report.h"
#include "cmd/slotalone.h"
#include "fmt/json.h"

#include <errno.h>

static int say(const struct invocation *inv, const struct slot *from, const char *id, const struct copytree *c,
	       struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;

	if (inv->global.json) {
		_cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "schema", "igloo.fork/1", "from",
						     from->id, "slot", id, "files", (json_int_t)c->entries, "bytes",
						     (json_int_t)c->bytes, "sharedBytes", (json_int_t)c->cloned);

		json_add_sorted(&s, j);
		str_addc(&s, '\n');
	} else if (!inv->global.quiet) {
		str_addf(&s, "%s\n", id);
	}
	return report_out(&s, e);
}

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_slot_ struct slot *slot = NULL;
	_cleanup_free_ char *box = NULL;
	_cleanup_free_ char *id = NULL;
	struct copywatch watch;
	int r = slotalone_of(inv->argv[0], &box, &slot, e);

	if (r == 0)
		r = name_check(inv->argv[1], e);
	if (r < 0)
		return r;
	if (!slot->repository)
		return err_set(e, EINVAL, "slot '%s' was never finished: there is nothing to copy", slot->id);
	copywatch_begin(&watch, inv);
	r = copywatch_end(&watch, slotcopy_fork(slot, inv->argv[1], &watch.copy, &id, e), e);
	if (r == -EEXIST)
		(void)err_hint(e, "choose another name; igloo slot ls shows those that are taken");
	if (r == -ENOSPC || r == -EDQUOT)
		(void)err_hint(e, "nothing is left of it; igloo slot gc and igloo snapshot rm free space");
	return r < 0 ? r : say(inv, slot, id, &watch.copy, e);
}

static const struct example examples[] = {
	{"igloo fork app-0a1b2c3d4e5f second", "then: igloo run --slot second"},
	{"igloo fork fix try-it", "the slot of a stopped box"},
	{.command = NULL},
};

const struct cmd cmd_fork = {
	.name = "fork",
	.args = "BOX|SLOT NEW",
	.summary = "make a slot that begins as a copy of another",
	.about =
		"The new slot is of the same repository: `igloo run --slot NEW` uses it. It has all that the first one "
		"has now, its store, home, records and disk, and from then on they know nothing of each other. Prints "
		"its name.\n\n"
		"No box of the first may run meanwhile. It costs what a snapshot does: nothing where the file system "
		"shares blocks, else a copy. What is granted to the repository holds in every slot of it.",
	.examples = examples,
	.min_args = 2,
	.max_args = 2,
	.arg_hint = HINT_BOXES,
	.run = run,
};
