/* igloo slot rm: removes slots with everything in them. */
#include "base/name.h"
#include "base/size.h"
#include "box/slotdisk.h"
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
	bool disk;
};

/* Opens the slot so that no machine can begin to use its disk. */
static int open_disk(const char *id, struct slot **ret, struct err **e)
{
	int r = name_check(id, e);

	if (r == 0)
		r = slot_open_id(id, false, ret, e);
	if (r == 0)
		r = slotdisk_claim(*ret, e);
	if (r != -ENOENT)
		return r;
	(void)err_set(e, ENOENT, "there is no slot '%s'", id);
	return err_hint(e, "igloo slot ls shows those there are");
}

/* Asks on the terminal. Returns 1 for yes, 0 for no. */
static int confirm(struct slot *slot, bool disk, struct err **e)
{
	_cleanup_str_ struct str question = STR_INIT;
	_cleanup_str_ struct str path = STR_INIT;
	char answer[16] = "";
	ssize_t n;

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		(void)err_set(e, EINVAL, "slot '%s': removing it needs a yes", slot->id);
		return err_hint(e, "igloo slot rm --yes %s%s", disk ? "--disk " : "", slot->id);
	}
	str_addf(&question, "Remove %sslot '%s' (", disk ? "the disk of " : "", slot->id);
	size_add(&question, du(slot->dir, disk ? "disk" : "."));
	if (slot->repository) {
		str_add_printable(&path, slot->repository, strlen(slot->repository), false);
		str_addf(&question, ", of %s", str_text(&path));
	}
	str_addf(&question, ") with %s? [y/N] ", disk ? "what machines kept on it" : "its store, caches and home");
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
		r = o->disk ? open_disk(inv->argv[i], &slot, e) : slotalone_open(inv->argv[i], &slot, e);
		if (r != 0)
			break;
		yes = o->yes ? 1 : confirm(slot, o->disk, e);
		if (yes > 0)
			r = o->disk ? slotdisk_remove(slot, e) : slot_remove(slot, e);
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
	{.name = "disk",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct slotrm_options, disk),
	 .help = "remove only the disk of the slot's machines, with what they kept on it; the next one gets a new "
		 "disk"},
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
		 "is; the next box of it begins with an empty slot. A slot that a box uses is left alone.\n\n"
		 "With --disk only the disk of its machines goes (igloo run --in vm), while none has it.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct slotrm_options),
	.min_args = 1,
	.max_args = -1,
	.arg_hint = HINT_SLOTS,
	.more_hint = HINT_SLOTS,
	.run = run,
};
