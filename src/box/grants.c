#include "box/grants.h"

#include "box/dirs.h"
#include "fmt/json.h"
#include "net/policy.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { GRANTS_BYTES_MAX = 2 << 20 };

/* A file. */
struct grants {
	struct strv allow;
	struct requests requests;
};

static void grants_release(struct grants *g)
{
	strv_release(&g->allow);
	requests_release(&g->requests);
}
#define _cleanup_grants_ ATTR_CLEANUP(grants_release)

/* All slots of a repository end with the same digits, which are its path's hash. */
static char *file_name(enum grants_scope scope, const struct slot *slot)
{
	const char *dash = scope == GRANTS_REPOSITORY ? strrchr(slot->id, '-') : NULL;

	return scope == GRANTS_ALWAYS ? xstrdup("always.json") : xasprintf("%s.json", dash ? dash + 1 : slot->id);
}

int grants_path(enum grants_scope scope, const struct slot *slot, char **ret, struct err **e)
{
	_cleanup_free_ char *name = file_name(scope, slot);
	_cleanup_free_ char *sub = xasprintf("grants/%s", name);

	return dirs_path(DIRS_CONFIG, sub, ret, e);
}

static int parse_requests(const json_t *j, const char *file, struct requests *to, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;
	json_t *object = NULL;
	int r = json_opt_object(j, "requests", "the grants", &object, e);

	if (r == 0 && object) {
		json_add_sorted(&text, object);
		r = requests_parse_granted(str_text(&text), text.len, to, e);
	}
	return r < 0 ? err_wrap(e, "%s", file) : 0;
}

static int parse(const struct str *text, const char *file, struct grants *to, struct err **e)
{
	_cleanup_json_ json_t *j = NULL;
	json_t *allow = NULL;
	const json_t *item;
	size_t i;
	int r = json_parse(str_text(text), text->len, GRANTS_BYTES_MAX, 4, &j, e);

	if (r == 0)
		r = json_want_array(j, "allow", "the grants", &allow, e);
	if (r < 0)
		return err_wrap(e, "%s", file);
	json_array_foreach(allow, i, item)
	{
		_cleanup_str_ struct str entry = STR_INIT;

		if (!json_is_string(item))
			return err_set(e, EINVAL, "%s: entry %zu is no text", file, i + 1);
		r = policy_entry_normalise(json_string_value(item), &entry, e);
		if (r < 0) {
			(void)err_wrap(e, "%s: entry %zu", file, i + 1);
			return r;
		}
		strv_add(&to->allow, str_text(&entry));
	}
	return parse_requests(j, file, &to->requests, e);
}

static int read_file(int dir, enum grants_scope scope, const struct slot *slot, struct grants *to, struct err **e)
{
	_cleanup_free_ char *name = file_name(scope, slot);
	_cleanup_free_ char *path = NULL;
	_cleanup_str_ struct str text = STR_INIT;
	int r = grants_path(scope, slot, &path, e);

	if (r < 0)
		return r;
	r = file_read(dir, name, GRANTS_BYTES_MAX, &text, e);
	if (r == -ENOENT) {
		err_clear(e);
		return 0;
	}
	return r < 0 ? err_wrap(e, "the grants in %s", path) : parse(&text, path, to, e);
}

static int read_list(int dir, enum grants_scope scope, const struct slot *slot, struct strv *to, struct err **e)
{
	_cleanup_grants_ struct grants g = {0};
	int r = read_file(dir, scope, slot, &g, e);

	if (r == 0)
		strv_add_all(to, g.allow.v);
	return r;
}

int grants_list(enum grants_scope scope, const struct slot *slot, struct strv *to, struct err **e)
{
	_cleanup_close_ int dir = dirs_open(DIRS_CONFIG, "grants", e);

	return dir < 0 ? dir : read_list(dir, scope, slot, to, e);
}

int grants_load(const struct slot *slot, struct strv *to, struct err **e)
{
	_cleanup_close_ int dir = dirs_open(DIRS_CONFIG, "grants", e);
	int r = dir < 0 ? dir : read_list(dir, GRANTS_REPOSITORY, slot, to, e);

	return r < 0 ? r : read_list(dir, GRANTS_ALWAYS, slot, to, e);
}

static int write_file(int dir, enum grants_scope scope, const struct slot *slot, const struct grants *g, struct err **e)
{
	_cleanup_free_ char *name = file_name(scope, slot);
	_cleanup_json_ json_t *j = json_pack("{s:s, s:[]}", "schema", "igloo.grants/1", "allow");
	_cleanup_str_ struct str text = STR_INIT;
	json_t *allow = json_object_get(j, "allow");
	int r;

	if (scope == GRANTS_REPOSITORY) {
		_cleanup_str_ struct str path = STR_INIT;

		str_add_printable(&path, slot->repository, strlen(slot->repository), false);
		(void)json_object_set_new(j, "repository", json_string(str_text(&path)));
	}
	for (size_t i = 0; i < g->allow.n; i++)
		(void)json_array_append_new(allow, json_string(g->allow.v[i]));
	if (requests_count(&g->requests) > 0) {
		_cleanup_str_ struct str requests = STR_INIT;

		requests_add_json(&requests, &g->requests);
		(void)json_object_set_new(j, "requests", json_loads(str_text(&requests), 0, NULL));
	}
	json_add_sorted(&text, j);
	str_addc(&text, '\n');
	r = file_replace(dir, name, text.p, text.len, 0600, true, e);
	return r < 0 ? err_wrap(e, "the grants") : 0;
}

static int normalise(const struct strv *from, struct strv *to, struct err **e)
{
	int r = policy_normalise_all(from, to, e);

	if (r == 0)
		strv_sort_unique(to);
	return r;
}

/* Both are sorted, no two equal. */
static size_t change_allow(struct grants *g, const struct strv *more, const struct strv *less)
{
	struct strv new = STRV_INIT;
	size_t changed = 0;

	for (size_t i = 0; i < g->allow.n; i++) {
		if (strv_find_sorted(less, g->allow.v[i]) >= 0)
			changed++;
		else
			strv_add(&new, g->allow.v[i]);
	}
	for (size_t i = 0; i < more->n; i++)
		if (strv_find_sorted(&g->allow, more->v[i]) < 0)
			changed++;
	strv_add_all(&new, more->v);
	strv_sort_unique(&new);
	strv_release(&g->allow);
	g->allow = new;
	return changed + requests_remove(&g->requests, REQUESTS_ALLOW, less);
}

int grants_change(enum grants_scope scope, const struct slot *slot, const struct strv *add, const struct strv *remove,
		  size_t *ret_changed, struct err **e)
{
	_cleanup_close_ int dir = dirs_open(DIRS_CONFIG, "grants", e);
	_cleanup_close_ int lock = dir < 0 ? -1 : file_lock(dir, "lock", false, true, e);
	_cleanup_strv_ struct strv more = STRV_INIT;
	_cleanup_strv_ struct strv less = STRV_INIT;
	_cleanup_grants_ struct grants g = {0};
	size_t changed = 0;
	int r = dir < 0 ? dir : lock < 0 ? lock : normalise(add, &more, e);

	if (r == 0)
		r = normalise(remove, &less, e);
	if (r == 0)
		r = read_file(dir, scope, slot, &g, e);
	if (r < 0)
		return r;
	strv_sort_unique(&g.allow);
	changed = change_allow(&g, &more, &less);
	r = changed > 0 ? write_file(dir, scope, slot, &g, e) : 0;
	if (r == 0)
		*ret_changed = changed;
	return r;
}

int grants_requests(const struct slot *slot, struct requests *ret, struct err **e)
{
	_cleanup_close_ int dir = dirs_open(DIRS_CONFIG, "grants", e);
	_cleanup_grants_ struct grants g = {0};
	int r = dir < 0 ? dir : read_file(dir, GRANTS_REPOSITORY, slot, &g, e);

	if (r < 0)
		return r;
	*ret = g.requests;
	g.requests = (struct requests){0};
	return 0;
}

static int change_requests(const struct slot *slot, const struct requests *more, size_t *ret_before, struct err **e)
{
	_cleanup_close_ int dir = dirs_open(DIRS_CONFIG, "grants", e);
	_cleanup_close_ int lock = dir < 0 ? -1 : file_lock(dir, "lock", false, true, e);
	_cleanup_grants_ struct grants g = {0};
	int r = dir < 0 ? dir : lock < 0 ? lock : read_file(dir, GRANTS_REPOSITORY, slot, &g, e);

	if (r < 0)
		return r;
	*ret_before = requests_count(&g.requests);
	if (more)
		requests_add(&g.requests, more);
	else
		requests_release(&g.requests);
	return write_file(dir, GRANTS_REPOSITORY, slot, &g, e);
}

int grants_add_requests(const struct slot *slot, const struct requests *more, struct err **e)
{
	size_t before;

	return change_requests(slot, more, &before, e);
}

int grants_forget_requests(const struct slot *slot, size_t *ret_changed, struct err **e)
{
	return change_requests(slot, NULL, ret_changed, e);
}
