#include "cmd/granting.h"

#include "base/log.h"
#include "box/grants.h"
#include "cmd/client.h"
#include "cmd/report.h"
#include "fmt/json.h"
#include "net/policy.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

enum { ANSWER_MS = 5000 };

#define AT(member) offsetof(struct granting_options, member)

const struct opt granting_place_opts[] = {
	{.name = "dir",
	 .letter = 'C',
	 .arg = "DIR",
	 .kind = OPT_PATH,
	 .hint = HINT_DIRS,
	 .offset = AT(box.dir),
	 .help = "use the repository DIR instead of the one around the current folder"},
	{.name = NULL},
};

const struct opt granting_scope_opts[] = {
	{.name = "repo",
	 .kind = OPT_FLAG,
	 .offset = AT(repo),
	 .help = "for the boxes of the repository (the default)",
	 .clashes = "box always"},
	{.name = "box",
	 .arg = "BOX",
	 .kind = OPT_NAME,
	 .hint = HINT_BOXES,
	 .offset = AT(to_box),
	 .help = "for the running box BOX alone, until it ends",
	 .clashes = "always dir"},
	{.name = "always",
	 .kind = OPT_FLAG,
	 .offset = AT(always),
	 .help = "for the boxes of every repository",
	 .clashes = "dir"},
	{.name = NULL},
};

/* --- telling boxes ------------------------------------------------------------------------------------------------ */

static int tell(const char *name, char op, const char *entry, struct err **e)
{
	_cleanup_client_ struct link *l = NULL;
	_cleanup_free_ char *payload = xasprintf("%c%s", op, entry);
	struct frame f = {0};
	int r = client_open(name, &l, e);

	if (r < 0)
		return r;
	r = link_send(l, 0, FRAME_GRANT, 0, payload, strlen(payload), NULL, 0);
	if (r == 0)
		r = link_drain(l, ANSWER_MS);
	if (r == 0)
		r = client_answer(l, FRAME_GRANT, ANSWER_MS, &f);
	if (r < 0)
		return err_errno(e, -r, "box '%s' does not answer", name);
	r = client_result(&f, e);
	return r < 0 ? err_wrap(e, "box '%s'", name) : 0;
}

/* All slots of a repository end with the same digits. */
static bool is_concerned(const struct box_info *box, const struct slot *slot)
{
	const char *a = slot ? strrchr(slot->id, '-') : NULL;
	const char *b = box->slot ? strrchr(box->slot, '-') : NULL;

	return !slot || (a && b && strcmp(a, b) == 0);
}

/* A box that cannot be told keeps what it has; said, but no failure of the grant. */
static int tell_running(const struct slot *slot, struct err **e)
{
	struct box_info *boxes = NULL;
	size_t n = 0;
	int r = box_list(&boxes, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++) {
		_cleanup_err_ struct err *problem = NULL;
		int k;

		if (!boxes[i].running || !boxes[i].json || !is_concerned(&boxes[i], slot))
			continue;
		k = tell(boxes[i].name, '!', "", &problem);
		if (k < 0 && k != -ENETDOWN)
			log_note("not yet for a running box: %s", problem ? err_message(problem) : strerror(-k));
	}
	box_list_free(boxes, n);
	return r;
}

/* --- the lists ---------------------------------------------------------------------------------------------------- */

static int check(char *const *entries, struct err **e)
{
	_cleanup_policy_ struct policy *policy = policy_new();
	int r = 0;

	for (; r == 0 && *entries; entries++)
		r = policy_add(policy, *entries, e);
	return r;
}

static int change_list(const struct granting_options *o, struct slot *slot, char *const *entries, bool add,
		       size_t *ret_changed, struct err **e)
{
	_cleanup_strv_ struct strv given = STRV_INIT;
	const struct strv none = STRV_INIT;

	strv_add_all(&given, entries);
	return grants_change(o->always ? GRANTS_ALWAYS : GRANTS_REPOSITORY, slot, add ? &given : &none,
			     add ? &none : &given, ret_changed, e);
}

static int nothing_to_remove(struct invocation *inv, struct err **e)
{
	(void)err_set(e, ENOENT, "'%s' was not allowed there", inv->argv[0]);
	return err_hint(e, "igloo allow --ls shows what is allowed, and where");
}

static int report_changed(const struct invocation *inv, size_t changed, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;

	if (inv->global.json)
		str_addf(&s, "{\"changed\":%zu,\"schema\":\"igloo.grant/1\"}\n", changed);
	return report_out(&s, e);
}

int granting_forget(struct invocation *inv, struct err **e)
{
	const struct granting_options *o = inv->options;
	_cleanup_enter_ struct enter in = {.kind = NULL};
	size_t changed = 0;
	int r = enter_repository(&o->box, &in, e);

	if (r == 0)
		r = grants_forget_requests(in.slot, &changed, e);
	if (r == 0)
		r = tell_running(in.slot, e);
	return r < 0 ? r : report_changed(inv, changed, e);
}

int granting_change(struct invocation *inv, bool add, struct err **e)
{
	const struct granting_options *o = inv->options;
	_cleanup_enter_ struct enter in = {.kind = NULL};
	size_t changed = 0;
	int r = check(inv->argv, e);

	if (r == 0 && o->to_box) {
		for (int i = 0; r == 0 && i < inv->argc; i++)
			r = tell(o->to_box, add ? '+' : '-', inv->argv[i], e);
		changed = (size_t)inv->argc;
	} else if (r == 0) {
		if (!o->always)
			r = enter_repository(&o->box, &in, e);
		if (r == 0)
			r = change_list(o, in.slot, inv->argv, add, &changed, e);
		if (r == 0 && !add && changed == 0)
			r = nothing_to_remove(inv, e);
		if (r == 0)
			r = tell_running(in.slot, e);
	}
	return r < 0 ? r : report_changed(inv, changed, e);
}

static void add_lines(struct str *s, const char *scope, const struct strv *entries)
{
	for (size_t i = 0; i < entries->n; i++)
		str_addf(s, "%-11s %s\n", scope, entries->v[i]);
}

static void add_requests(struct str *s, const struct requests *requests)
{
	_cleanup_strv_ struct strv lines = STRV_INIT;

	requests_add_lines(&lines, requests, NULL);
	add_lines(s, "flake", &lines);
}

static json_t *requests_json(const struct requests *requests)
{
	_cleanup_str_ struct str text = STR_INIT;

	requests_add_json(&text, requests);
	return json_loads(str_text(&text), 0, NULL);
}

static json_t *as_json(const struct strv *entries)
{
	json_t *list = json_array();

	for (size_t i = 0; i < entries->n; i++)
		(void)json_array_append_new(list, json_string(entries->v[i]));
	return list;
}

int granting_show(struct invocation *inv, struct err **e)
{
	const struct granting_options *o = inv->options;
	_cleanup_enter_ struct enter in = {.kind = NULL};
	_cleanup_strv_ struct strv here = STRV_INIT;
	_cleanup_strv_ struct strv always = STRV_INIT;
	_cleanup_requests_ struct requests requests = {0};
	_cleanup_str_ struct str s = STR_INIT;
	int r = o->always ? 0 : enter_repository(&o->box, &in, e);

	if (r == 0 && in.slot)
		r = grants_list(GRANTS_REPOSITORY, in.slot, &here, e);
	if (r == 0 && in.slot)
		r = grants_requests(in.slot, &requests, e);
	if (r == 0 && !o->repo)
		r = grants_list(GRANTS_ALWAYS, NULL, &always, e);
	if (r < 0)
		return r;
	if (inv->global.json) {
		_cleanup_json_ json_t *j = json_pack("{s:s, s:o, s:o, s:o}", "schema", "igloo.grants/1", "repository",
						     as_json(&here), "always", as_json(&always), "requests",
						     requests_json(&requests));

		json_add_sorted(&s, j);
		str_addc(&s, '\n');
	} else {
		add_lines(&s, "repository", &here);
		add_lines(&s, "always", &always);
		add_requests(&s, &requests);
		if (s.len == 0)
			log_note("nothing is allowed: boxes have no network; igloo allow HOST");
	}
	return report_out(&s, e);
}
