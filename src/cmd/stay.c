#include "cmd/stay.h"

#include "base/log.h"
#include "box/box.h"
#include "cmd/enter.h"
#include "cmd/options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

const struct opt_group stay_groups[] = {
	BOX_GROUP_PLACE(offsetof(struct stay_options, box)),   BOX_GROUP_FILES(offsetof(struct stay_options, box)),
	BOX_GROUP_LIMITS(offsetof(struct stay_options, box)),  BOX_GROUP_MACHINE(offsetof(struct stay_options, box)),
	BOX_GROUP_RUNNING(offsetof(struct stay_options, box)), {.title = NULL},
};

int stay_define(const struct invocation *inv, const char *const *without, char *const *command, struct definition *ret,
		struct err **e)
{
	const struct stay_options *o = inv->options;
	_cleanup_enter_ struct enter in = {.kind = NULL};
	struct definition d = {.directory = NULL};
	int r;

	if (o->box.detach) {
		(void)err_set(e, EINVAL, "--detach: a box that stays always runs in the background");
		return err_hint(e, "leave it out; igloo attach shows its terminal");
	}
	r = enter_check(&o->box, &in, e);
	if (r == 0)
		r = options_normal(inv, without, &d.options, e);
	if (r < 0) {
		definition_release(&d);
		return r;
	}
	/* What was answered is not asked again. */
	for (size_t i = 0; i < in.shares.n; i++)
		if (in.shares.v[i].risk && !strv_has(&d.options, "--yes"))
			strv_add(&d.options, "--yes");
	d.directory = xstrdup(in.cwd);
	d.repository = xstrdup(in.source.repo_dir);
	d.slot = xstrdup(in.slot->id);
	d.kind = xstrdup(o->box.kind ? o->box.kind : "");
	d.mode = xstrdup(o->box.clone ? "clone" : o->box.read_only ? "read-only" : "direct");
	d.created = (int64_t)time(NULL);
	if (command)
		strv_add_all(&d.command, command);
	*ret = d;
	return 0;
}

/* --- starting ------------------------------------------------------------------------------------------------------
 */

static const struct cmd reader = {
	.name = "create", .args = "", .groups = stay_groups, .options_size = sizeof(struct stay_options)};

/* What the definition's options say. The strings are its own; options_release() in either case. */
static int read_options(const char *box, const struct definition *d, struct invocation *ret, struct err **e)
{
	static char verb[] = "create";
	_cleanup_free_ char **argv = xcalloc(d->options.n + 2, sizeof(*argv));
	struct stay_options *o;
	int r;

	*ret = (struct invocation){.cmd = &reader, .no_variables = true};
	argv[0] = verb;
	for (size_t i = 0; i < d->options.n; i++)
		argv[i + 1] = d->options.v[i];
	r = options_parse(ret, (int)d->options.n + 1, argv, NULL, e);
	if (r < 0)
		return r;
	o = ret->options;
	o->box.dir = d->directory;
	o->box.name = box;
	o->box.detach = true;
	return options_paths_hold(ret, e);
}

/* The slot that it had when it was started last, as --slot names it: its disk and home are there, whatever else of the
 * repository runs now. NULL for a box that was not started yet. The caller frees it. */
static char *last_slot(const char *name)
{
	struct box_info info = {0};
	const char *dash = box_look(name, &info, NULL) == 0 && info.json ? strrchr(info.slot, '-') : NULL;
	char *slot = dash && dash > info.slot ? xstrndup(info.slot, (size_t)(dash - info.slot)) : NULL;

	box_info_release(&info);
	return slot;
}

/* A box can rename and replace what is in its workspace, and so where a path leads: it is not to choose what the next
 * start takes for its workspace. */
static int check_place(const struct definition *d, struct err **e)
{
	_cleanup_source_ struct source source = {.flake_dir = NULL};
	_cleanup_free_ char *real = realpath(d->directory, NULL);
	_cleanup_str_ struct str shown = STR_INIT;
	int r;

	str_add_printable(&shown, d->directory, strlen(d->directory), false);
	if (!real)
		return err_errno(e, errno, "its folder '%s' cannot be opened", str_text(&shown));
	r = strcmp(real, d->directory) != 0 ? -ESTALE : source_find(real, &source, e);
	if (r == 0 && strcmp(source.repo_dir, d->repository) != 0)
		r = -ESTALE;
	return r == -ESTALE ? err_set(e, ESTALE,
				      "its folder '%s' leads to another place, or is in another repository, "
				      "than when it was created",
				      str_text(&shown))
			    : r;
}

static int start(const struct definition *d, const struct box_options *o, int *lock, bool json, bool silent,
		 struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	char *const none[] = {NULL};
	char *const *command = d->command.n > 0 ? d->command.v : none;
	struct enter in;
	int signo;
	int code;
	int r = enter_prepare(o, d->command.n == 0, &in, e);

	if (r == 0 && strcmp(in.source.repo_dir, d->repository) != 0)
		r = err_set(e, ESTALE, "its folder was replaced just now");
	if (r == 0) {
		in.spec.defined = true;
		in.starting = lock;
		in.silent = silent;
		enter_command(&in, command, &argv);
		enter_keep_shell(&in);
		r = enter_run(&in, o, json, command, &argv, &code, &signo, e);
	}
	enter_release(&in);
	return r;
}

int stay_start(const char *name, bool json, bool silent, struct stay_started *ret, struct err **e)
{
	_cleanup_definition_ struct definition d = {.directory = NULL};
	_cleanup_err_ struct err *problem = NULL;
	_cleanup_close_ int lock = box_lock_start(name, &problem);
	_cleanup_free_ char *slot = NULL;
	struct invocation inv = {.cmd = NULL};
	int r = 0;

	*ret = (struct stay_started){.already = false};
	if (lock == -EALREADY) {
		log_note("%s", err_message(problem));
		ret->already = true;
		return 0;
	}
	if (lock < 0) {
		if (e)
			*e = take_ptr(problem);
		return lock;
	}
	r = box_definition(name, &d, e);
	if (r < 0)
		return r;
	r = read_options(name, &d, &inv, e);
	if (r == 0)
		r = check_place(&d, e);
	if (r < 0) {
		(void)err_wrap(e, "box '%s'", name);
		(void)err_hint(e, "to make it anew: igloo rm %s, then igloo create", name);
	} else {
		struct box_options *o = &((struct stay_options *)inv.options)->box;

		slot = o->slot ? NULL : last_slot(name);
		o->slot = o->slot ? o->slot : slot;
		r = start(&d, o, &lock, json, silent, e);
	}
	options_release(&inv);
	return r;
}
