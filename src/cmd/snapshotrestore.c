/* igloo snapshot restore: a slot as it was. */
#include "box/snapshot.h"
#include "cmd/cmd.h"
#include "cmd/copywatch.h"
#include "cmd/report.h"
#include "cmd/slotalone.h"
#include "fmt/json.h"
#include "sys/fd.h"

#include <errno.h>
#include <stddef.h>

struct snapshotrestore_options {
	bool yes;
};

/* Asks on the terminal. Returns 1 for yes, 0 for no. */
static int confirm(const struct snapshot *s, struct err **e)
{
	_cleanup_str_ struct str question = STR_INIT;
	char answer[16] = "";
	ssize_t n;

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		(void)err_set(e, EINVAL, "slot '%s' is there: putting snapshot '%s' in its place needs a yes", s->slot,
			      s->name);
		return err_hint(e, "igloo snapshot restore --yes %s", s->name);
	}
	str_addf(&question, "Replace slot '%s', its store, home and disk, by snapshot '%s'? [y/N] ", s->slot, s->name);
	(void)fd_write_all(STDERR_FILENO, question.p, question.len);
	do
		n = read(STDIN_FILENO, answer, sizeof(answer));
	while (n < 0 && errno == EINTR);
	return n > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

static int say(const struct invocation *inv, const struct snapshot *s, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;

	if (inv->global.json) {
		_cleanup_json_ json_t *j = json_pack("{s:s, s:s, s:s}", "schema", "igloo.snapshot.restore/1", "name",
						     s->name, "slot", s->slot);

		json_add_sorted(&text, j);
		str_addc(&text, '\n');
	} else if (!inv->global.quiet) {
		str_addf(&text, "%s\n", s->slot);
	}
	return report_out(&text, e);
}

static int run(struct invocation *inv, struct err **e)
{
	const struct snapshotrestore_options *o = inv->options;
	_cleanup_snapshot_ struct snapshot s = {0};
	_cleanup_slot_ struct slot *old = NULL;
	struct copywatch watch;
	int r = snapshot_look(inv->argv[0], &s, e);

	if (r < 0)
		return r;
	r = slotalone_open(s.slot, &old, e);
	if (r == -ENOENT)
		err_clear(e);
	else if (r < 0)
		return r;
	if (old && !o->yes) {
		r = confirm(&s, e);
		if (r <= 0)
			return r;
	}
	copywatch_begin(&watch, inv);
	r = copywatch_end(&watch, snapshot_restore(&s, old, &watch.copy, e), e);
	if (r == -ENOSPC || r == -EDQUOT)
		(void)err_hint(e, "the slot is as it was; igloo slot gc and igloo snapshot rm free space");
	return r < 0 ? r : say(inv, &s, e);
}

static const struct opt opts[] = {
	{.name = "yes",
	 .letter = 'y',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct snapshotrestore_options, yes),
	 .help = "do not ask"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Restoring", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo snapshot restore before-upgrade", "after asking"},
	{.command = NULL},
};

const struct cmd cmd_snapshot_restore = {
	.name = "snapshot restore",
	.args = "SNAPSHOT",
	.summary = "put a slot back to how it was",
	.about = "The slot that the snapshot is of becomes what it was, as a whole or not at all; what it is now is "
		 "gone "
		 "(a snapshot of that first brings it back). A slot that was removed is there again. The snapshot "
		 "stays.\n\n"
		 "No box of the slot may run. It needs room for another copy, where the file system does not share "
		 "blocks. Store paths that the host has lost meanwhile are made anew by the next start.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct snapshotrestore_options),
	.min_args = 1,
	.max_args = 1,
	.arg_hint = HINT_SNAPSHOTS,
	.run = run,
};
