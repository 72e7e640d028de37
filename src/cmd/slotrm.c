/* igloo slot rm: removes slots with everything in them. */
#include "base/size.h"
#include "cmd/cmd.h"
#include "cmd/du.h"
#include "cmd/report.h"
#include "cmd/slotalone.h"
#include "sys/fd.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

struct slotrm_options {
	bool yes;
};

/* Asks on the terminal. Returns 1 for yes, 0 for no. */
static int confirm(struct slot *slot, struct err **e)
{
	_cleanup_str_ struct str question = STR_INIT;
	_cleanup_str_ struct str path = STR_INIT;
	char answer[16] = "";
	ssize_t n;

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		(void)err_set(e, EINVAL, "slot '%s': removing it needs a yes", slot->id);
		return err_hint(e, "igloo slot rm --yes %s", slot->id);
	}
	str_addf(&question, "Remove slot '%s' (", slot->id);
	size_add(&question, du(slot->dir, "."));
	if (slot->repository) {
		str_add_printable(&path, slot->repository, strlen(slot->repository), false);
		str_addf(&question, ", of %s", str_text(&path));
	}
	str_adds(&question, ") with its store, caches and home? [y/N] ");
	(void)fd_write_all(STDERR_FILENO, question.p, question.len);
	do
		n = read(STDIN_FILENO, answer, sizeof(answer));
	while (n < 0 && errno == EINTR);
	return n > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

static int run(struct invocation *inv, struct err **e)
{
	const struct slotrm_options *o = inv->options;
	_cleanup_strv_ struct strv removed = STRV_INIT;
	int r = 0;

	for (int i = 0; i < inv->argc && r == 0; i++) {
		_cleanup_slot_ struct slot *slot = NULL;
		int yes;

		if (strv_has(&removed, inv->argv[i]))
			continue;
		r = slotalone_open(inv->argv[i], &slot, e);
		if (r != 0)
			break;
		yes = o->yes ? 1 : confirm(slot, e);
		if (yes > 0)
			r = slot_remove(slot, e);
		else
			r = yes;
		if (yes > 0 && r == 0)
			strv_add(&removed, inv->argv[i]);
	}
	return report_removed(&removed, inv, "igloo.slot.rm/1", r, e);
}

static const struct opt opts[] = {
	{.name = "yes",
	 .letter = 'y',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct slotrm_options, yes),
	 .help = "do not ask"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Removing", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo slot rm app-0a1b2c3d4e5f", "after asking"},
	{"igloo slot rm --yes $(igloo slot ls -q)", "all that no box uses; it stops at the first that one does"},
	{.command = NULL},
};

const struct cmd cmd_slot_rm = {
	.name = "slot rm",
	.args = "SLOT...",
	.summary = "remove slots with everything in them",
	.about = "Removes the slot's store, caches, home (with the logins and histories in it) and records. The "
		 "repository stays as it "
		 "is; the next box of it begins with an empty slot. A slot that a box uses is left alone.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct slotrm_options),
	.min_args = 1,
	.max_args = -1,
	.arg_hint = HINT_SLOTS,
	.more_hint = HINT_SLOTS,
	.run = run,
};
