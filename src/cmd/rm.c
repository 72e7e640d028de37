/* igloo rm: removes boxes that have ended, with their logs; and those that stay. */
#include "box/box.h"
#include "cmd/autounit.h"
#include "cmd/boxset.h"
#include "cmd/cmd.h"
#include "cmd/report.h"

#include <errno.h>
#include <stddef.h>

enum { GRACE_MS = 10000 };

struct rm_options {
	bool all;
	bool force;
};

/* Returns whether it is gone. `was_there`: it may have removed itself when it was stopped. */
static int remove_box(const char *name, bool was_there, struct err **e)
{
	int r = box_remove(name, e);
	bool was;

	/* What would start it at the next boot; another's unit of that name stays. */
	if (r == 0 && autounit_remove(name, &was, NULL) == 0 && was)
		autounit_reload();

	if (r == -ENOENT && was_there) {
		err_clear(e);
		r = 0;
	}
	return r;
}

static int remove_all(const struct strv *names, bool force, struct strv *removed, struct err **e)
{
	struct boxset_stopped stopped = {NULL, 0};
	int r = force ? boxset_stop(names, GRACE_MS, &stopped, e) : 0;
	size_t n = force ? stopped.n : names->n;

	for (size_t i = 0; i < n; i++) {
		const char *name = force ? stopped.v[i].name : names->v[i];
		_cleanup_err_ struct err *later = NULL;
		int k = remove_box(name, force, r == 0 ? e : &later);

		if (k == 0)
			strv_add(removed, name);
		else if (r == 0)
			r = k;
	}
	free(stopped.v);
	return r;
}

static int run(struct invocation *inv, struct err **e)
{
	const struct rm_options *o = inv->options;
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_strv_ struct strv removed = STRV_INIT;
	int r = boxset_names(inv, o->all, o->force ? BOXSET_EVERY : BOXSET_ENDED, &names, e);

	if (r < 0)
		return r;
	r = remove_all(&names, o->force, &removed, e);
	return report_removed(&removed, inv, "igloo.rm/1", r, e);
}

static const struct opt opts[] = {
	{.name = "force",
	 .letter = 'f',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct rm_options, force),
	 .help = "stop boxes that run, with ten seconds to end by themselves"},
	{.name = "all",
	 .letter = 'a',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct rm_options, all),
	 .help = "remove every box that has ended, but for those of igloo create; with --force, every box"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Removing", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo rm fix", "a box that has ended, and its log"},
	{"igloo rm -fa", "everything"},
	{.command = NULL},
};

const struct cmd cmd_rm = {
	.name = "rm",
	.args = "BOX...",
	.summary = "remove boxes that have ended",
	.about =
		"Removes the box's log and state; its slot, and so the home and store that its boxes share, stays: see "
		"`igloo slot rm`. A box that `igloo create` made is forgotten. Prints the names of what it removed.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct rm_options),
	.max_args = -1,
	.arg_hint = HINT_BOXES,
	.more_hint = HINT_BOXES,
	.run = run,
};
