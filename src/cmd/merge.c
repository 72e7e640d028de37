/* igloo merge: a clone's commits into the user's repository, without touching what is checked out there. */
#include "box/clonemerge.h"
#include "cmd/clonecmd.h"
#include "cmd/report.h"

#include <errno.h>
#include <string.h>

struct merge_options {
	struct box_options box;
	const char *into;
	const char *commit;
};

static const struct opt opts[] = {
	{.name = "into",
	 .arg = "BRANCH",
	 .kind = OPT_TEXT,
	 .offset = offsetof(struct merge_options, into),
	 .help = "merge into BRANCH too, which no work tree has checked out"},
	{.name = "commit",
	 .arg = "MESSAGE",
	 .kind = OPT_TEXT,
	 .offset = offsetof(struct merge_options, commit),
	 .help = "first commit what is uncommitted in the clone"},
	{.name = NULL},
};

static const struct opt_group groups[] = {
	{"Clone", clonecmd_opts, 0},
	{"Merging", opts, 0},
	{.title = NULL},
};

static const char *const how_names[] = {
	[CLONEMERGE_NOTHING] = "up-to-date",
	[CLONEMERGE_FAST_FORWARD] = "fast-forward",
	[CLONEMERGE_MERGED] = "merge",
	[CLONEMERGE_CONFLICTS] = "conflict",
};

static int commit_all(struct clonecmd *c, const char *message, struct err **e)
{
	_cleanup_free_ char *text = xasprintf("%s\n", message);
	int r;

	if (clone_in_use(c->clone))
		return err_set(e, EBUSY, "a box is at work in clone '%s': let it end, or stop it, before --commit",
			       c->clone->name);
	r = clone_git(&c->box, NULL, 0, NULL, e, "add", "--all", NULL);
	return r < 0 ? r
		     : clone_git(&c->box, text, 0, NULL, e, "commit", "--quiet", "--no-verify", "--no-gpg-sign", "-F",
				 "-", NULL);
}

static int uncommitted(const struct clone *c, const struct clone_state *state, struct err **e)
{
	_cleanup_str_ struct str list = STR_INIT;

	clonecmd_add_lines(&list, "", &state->changed);
	(void)err_set(e, EBUSY, "clone '%s' has %zu file%s with uncommitted changes", c->name, state->changed.n,
		      state->changed.n == 1 ? "" : "s");
	(void)err_detail(e, list.p);
	return err_hint(e, "commit them with: igloo merge %s --commit MESSAGE", c->name);
}

static int prepare(struct clonecmd *c, const char *message, struct clone_state *state, struct err **e)
{
	int r = clone_state_read(&c->box, state, e);

	if (r < 0 || state->changed.n == 0)
		return r;
	if (!message)
		return uncommitted(c->clone, state, e);
	r = commit_all(c, message, e);
	if (r < 0)
		return r;
	clone_state_release(state);
	return clone_state_read(&c->box, state, e);
}

static void add_json(struct str *s, const struct clone *c, const struct clone_state *state, const char *into,
		     const struct clonemerge *m)
{
	_cleanup_json_ json_t *object = json_object();

	(void)json_object_set_new(object, "schema", json_string("igloo.merge/1"));
	(void)json_object_set_new(object, "name", json_string(c->name));
	(void)json_object_set_new(object, "branch", json_string(c->branch));
	(void)json_object_set_new(object, "base", json_string(c->base));
	(void)json_object_set_new(object, "head", json_string(state->head));
	(void)json_object_set_new(object, "commits", clonecmd_list(&state->commits));
	(void)json_object_set_new(object, "into", into ? clonecmd_text(into) : json_null());
	(void)json_object_set_new(object, "how", into ? json_string(how_names[m->how]) : json_null());
	(void)json_object_set_new(object, "commit", m->commit ? json_string(m->commit) : json_null());
	(void)json_object_set_new(object, "conflicts", clonecmd_list(&m->conflicts));
	json_add_sorted(s, object);
	str_addc(s, '\n');
}

static void add_text(struct str *s, const struct clone *c, const struct clone_state *state, const char *into,
		     const struct clonemerge *m)
{
	_cleanup_str_ struct str branch = STR_INIT;

	str_addf(s, "%s: %zu commit%s\n", c->branch, state->commits.n, state->commits.n == 1 ? "" : "s");
	clonecmd_add_lines(s, "  ", &state->commits);
	if (!into) {
		str_addf(s, "merge it with: git merge %s\n", c->branch);
		return;
	}
	str_add_printable(&branch, into, strlen(into), false);
	if (m->how != CLONEMERGE_CONFLICTS)
		str_addf(s, "%s: %s, now %.12s\n", str_text(&branch), how_names[m->how], m->commit);
}

static int conflict(const struct clone *c, const char *into, const struct clonemerge *m, struct err **e)
{
	_cleanup_str_ struct str list = STR_INIT;

	clonecmd_add_lines(&list, "", &m->conflicts);
	(void)err_set(e, EEXIST, "'%s' and '%s' changed the same lines of %zu file%s; '%s' is as it was", c->branch,
		      into, m->conflicts.n, m->conflicts.n == 1 ? "" : "s", into);
	(void)err_detail(e, str_text(&list));
	return err_hint(e, "resolve it in a work tree: git switch %s && git merge %s", into, c->branch);
}

static int run(struct invocation *inv, struct err **e)
{
	const struct merge_options *o = inv->options;
	_cleanup_clonecmd_ struct clonecmd c = {0};
	_cleanup_str_ struct str s = STR_INIT;
	struct clone_state state = {0};
	struct clonemerge m = {0};
	int r = clonecmd_open(&o->box, inv->argv[0], false, true, &c, e);

	if (r == 0)
		r = prepare(&c, o->commit, &state, e);
	if (r == 0)
		r = clonemerge_fetch(&c.box, &c.in.source, state.head, e);
	if (r == 0 && o->into)
		r = clonemerge_into(c.clone, &c.in.source, o->into, &m, e);
	if (r == 0 && inv->global.json)
		add_json(&s, c.clone, &state, o->into, &m);
	else if (r == 0)
		add_text(&s, c.clone, &state, o->into, &m);
	if (r == 0)
		r = report_out(&s, e);
	if (r == 0 && m.how == CLONEMERGE_CONFLICTS && o->into) {
		inv->exit_code = 1;
		r = inv->global.json ? 0 : conflict(c.clone, o->into, &m, e);
	}
	clonemerge_release(&m);
	clone_state_release(&state);
	return r;
}

static const struct example examples[] = {
	{"igloo merge fix", "branch igloo/fix now holds the clone's commits"},
	{"igloo merge fix --commit 'Mend the tests' --into next", "commit what is left, then merge into branch next"},
	{.command = NULL},
};

const struct cmd cmd_merge = {
	.name = "merge",
	.args = "NAME",
	.summary = "bring a clone's commits into the repository",
	.about = "Moves branch igloo/NAME of the repository to the clone's HEAD. Git packs the commits in a box; the "
		 "host's "
		 "git checks every object of them before the branch refers to it. Work trees and indexes are never "
		 "touched.\n\n"
		 "With --into the branch is merged further: by fast-forward, or with a merge commit that is made "
		 "without a work "
		 "tree. On conflicts nothing changes, the files are listed, and igloo fails; with --json it exits with "
		 "1 then.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct merge_options),
	.min_args = 1,
	.max_args = 1,
	.arg_hint = HINT_BOXES,
	.run = run,
};
