#include "box/grants.h"

#include "box/dirs.h"
#include "fmt/json.h"
#include "net/policy.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { GRANTS_BYTES_MAX = 2 << 20 };

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

static int parse(const struct str *text, const char *file, struct strv *to, struct err **e)
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
		strv_add(to, str_text(&entry));
	}
	return 0;
}

static int read_list(int dir, enum grants_scope scope, const struct slot *slot, struct strv *to, struct err **e)
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

static int write_list(int dir, enum grants_scope scope, const struct slot *slot, const struct strv *entries,
		      struct err **e)
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
	for (size_t i = 0; i < entries->n; i++)
		(void)json_array_append_new(allow, json_string(entries->v[i]));
	json_add_sorted(&text, j);
	str_addc(&text, '\n');
	r = file_replace(dir, name, text.p, text.len, 0600, true, e);
	return r < 0 ? err_wrap(e, "the grants") : 0;
}

static int normalise(const struct strv *from, struct strv *to, struct err **e)
{
	for (size_t i = 0; i < from->n; i++) {
		_cleanup_str_ struct str entry = STR_INIT;
		int r = policy_entry_normalise(from->v[i], &entry, e);

		if (r < 0)
			return r;
		strv_add(to, str_text(&entry));
	}
	strv_sort_unique(to);
	return 0;
}

int grants_change(enum grants_scope scope, const struct slot *slot, const struct strv *add, const struct strv *remove,
		  size_t *ret_changed, struct err **e)
{
	_cleanup_close_ int dir = dirs_open(DIRS_CONFIG, "grants", e);
	_cleanup_close_ int lock = dir < 0 ? -1 : file_lock(dir, "lock", false, true, e);
	_cleanup_strv_ struct strv more = STRV_INIT;
	_cleanup_strv_ struct strv less = STRV_INIT;
	_cleanup_strv_ struct strv old = STRV_INIT;
	_cleanup_strv_ struct strv new = STRV_INIT;
	size_t changed = 0;
	int r = dir < 0 ? dir : lock < 0 ? lock : normalise(add, &more, e);

	if (r == 0)
		r = normalise(remove, &less, e);
	if (r == 0)
		r = read_list(dir, scope, slot, &old, e);
	if (r < 0)
		return r;
	strv_sort_unique(&old);
	for (size_t i = 0; i < old.n; i++) {
		if (strv_find_sorted(&less, old.v[i]) >= 0)
			changed++;
		else
			strv_add(&new, old.v[i]);
	}
	for (size_t i = 0; i < more.n; i++)
		if (strv_find_sorted(&old, more.v[i]) < 0)
			changed++;
	strv_add_all(&new, more.v);
	strv_sort_unique(&new);
	r = changed > 0 ? write_list(dir, scope, slot, &new, e) : 0;
	if (r == 0)
		*ret_changed = changed;
	return r;
}
