/* igloo fork: another slot that begins as a copy of one. */
#include "base/name.h"
#include "box/box.h"
#include "box/slotcopy.h"
#include "cmd/cmd.h"
#include "cmd/copywatch.h"
#include "cmd/report.h"
#include "cmd/slotalone.h"
#include "fmt/json.h"

#include <errno.h>
#include <time.h>

/* What `igloo create` keeps of the box, if it does; -EEXIST when the new one's name is a box's already. */
static int read_definition(const char *box, const char *name, struct definition *ret, struct err **e)
{
	struct box_info info = {0};
	bool taken;
	int r;

	if (!box)
		return 0;
	r = box_look(box, &info, e);
	if (r == 0)
		r = info.defined ? box_definition(box, ret, e) : 0;
	box_info_release(&info);
	if (r < 0 || !ret->slot)
		return r;
	taken = box_look(name, &info, NULL) == 0;
	box_info_release(&info);
	if (!taken)
		return 0;
	(void)err_set(e, EEXIST, "there is a box called '%s' already", name);
	return err_hint(e, "choose another name; igloo ls -a shows those that are taken");
}

/* The same box with the other slot. */
static int define(struct definition *d, const char *name, const char *slot_id, struct err **e)
{
	_cleanup_strv_ struct strv options = STRV_INIT;

	for (size_t i = 0; i < d->options.n; i++)
		if (!str_starts(d->options.v[i], "--slot="))
			strv_add(&options, d->options.v[i]);
	strv_addf(&options, "--slot=%s", name);
	strv_release(&d->options);
	d->options = options;
	options = (struct strv)STRV_INIT;
	free(d->slot);
	d->slot = xstrdup(slot_id);
	d->created = (int64_t)time(NULL);
	return box_define(name, d, e);
}

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
	_cleanup_definition_ struct definition d = {.slot = NULL};
	struct copywatch watch;
	int r = slotalone_of(inv->argv[0], &box, &slot, e);

	if (r == 0)
		r = name_check(inv->argv[1], e);
	if (r == 0)
		r = read_definition(box, inv->argv[1], &d, e);
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
	if (r == 0 && d.slot)
		r = define(&d, inv->argv[1], id, e);
	return r < 0 ? r : say(inv, slot, id, &watch.copy, e);
}

static const struct example examples[] = {
	{"igloo fork app-0a1b2c3d4e5f second", "then: igloo run --slot second"},
	{"igloo fork dev try-it", "a box that stays, and its slot; then: igloo start try-it"},
	{.command = NULL},
};

const struct cmd cmd_fork = {
	.name = "fork",
	.args = "BOX|SLOT NEW",
	.summary = "make a slot, or a box that stays, that begins as a copy",
	.about =
		"The new slot is of the same repository: `igloo run --slot NEW` uses it. It has all that the first one "
		"has now, its store, home, records and disk, and from then on they know nothing of each other. Prints "
		"its name. Of a box that stays (`igloo create`) it makes another box NEW with the same options, in "
		"that "
		"slot.\n\n"
		"No box of the first may run meanwhile. It costs what a snapshot does: nothing where the file system "
		"shares blocks, else a copy. What is granted to the repository holds in every slot of it.",
	.examples = examples,
	.min_args = 2,
	.max_args = 2,
	.arg_hint = HINT_BOXES,
	.run = run,
};
