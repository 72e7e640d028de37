#include "box/requests.h"

#include "base/size.h"
#include "box/portspec.h"
#include "box/secretbind.h"
#include "fmt/json.h"
#include "net/policy.h"

#include <errno.h>
#include <string.h>

enum { WORD_MAX = 64 }; /* of a kind's, shell's or port's text */

static const char where[] = "the flake's requests (its output 'igloo')";

static const char *const list_names[REQUESTS_LISTS] = {
	[REQUESTS_ALLOW] = "allow", [REQUESTS_PORTS] = "ports", [REQUESTS_SECRETS] = "secrets"};
static const char *const limit_names[REQUESTS_LIMITS] = {[REQUESTS_CPUS] = "cpus",
							 [REQUESTS_MEMORY] = "memory",
							 [REQUESTS_PIDS] = "pids",
							 [REQUESTS_TIMEOUT] = "timeout"};

static int refuse(struct err **e, const char *member, const char *what)
{
	return err_set(e, EINVAL, "%s: '%s' %s", where, member, what);
}

/* --- members ------------------------------------------------------------------------------------------------------ */

/* A number is what its text would be. */
static int scalar_text(const json_t *j, const char *member, char text[WORD_MAX + 1], struct err **e)
{
	if (json_is_string(j) && strlen(json_string_value(j)) <= WORD_MAX)
		(void)snprintf(text, WORD_MAX + 1, "%s", json_string_value(j));
	else if (json_is_integer(j) && json_integer_value(j) >= 0)
		(void)snprintf(text, WORD_MAX + 1, "%lld", (long long)json_integer_value(j));
	else if (json_is_real(j) && json_real_value(j) >= 0 && json_real_value(j) < 1e9)
		(void)snprintf(text, WORD_MAX + 1, "%.3f", json_real_value(j));
	else
		return refuse(e, member, "must be a number, or a short text");
	return 0;
}

/* Kept so that limit_text() says exactly the same again. */
static int parse_limit(enum requests_limit limit, const char *text, uint64_t *ret, struct err **e)
{
	int r;

	switch (limit) {
	case REQUESTS_CPUS:
		return size_parse_cpus(text, ret, e);
	case REQUESTS_PIDS:
		return size_parse_count(text, 1, 4194304, ret, e);
	case REQUESTS_TIMEOUT:
		return size_parse_duration(text, ret, e);
	default:
		r = size_parse(text, SIZE_MEMORY_MIN, SIZE_MEMORY_MAX, ret, e);
		if (r == 0)
			*ret -= *ret % SIZE_KIB;
		return r;
	}
}

static void limit_text(enum requests_limit limit, uint64_t value, struct str *to)
{
	const char *unit = "";

	if (limit == REQUESTS_TIMEOUT) {
		size_add_duration(to, value);
		return;
	}
	if (limit == REQUESTS_CPUS)
		unit = value % 1000 == 0 ? "" : "m";
	if (limit == REQUESTS_CPUS && !*unit)
		value /= 1000;
	if (limit == REQUESTS_MEMORY) {
		unit = value % SIZE_GIB == 0 ? "G" : value % SIZE_MIB == 0 ? "M" : "K";
		value /= *unit == 'G' ? SIZE_GIB : *unit == 'M' ? SIZE_MIB : SIZE_KIB;
	}
	str_addf(to, "%llu%s", (unsigned long long)value, unit);
}

static int take_limit(const json_t *object, enum requests_limit limit, uint64_t *ret, struct err **e)
{
	const json_t *j = json_object_get(object, limit_names[limit]);
	char text[WORD_MAX + 1];
	int r;

	if (!j || json_is_null(j))
		return 0;
	r = scalar_text(j, limit_names[limit], text, e);
	if (r < 0)
		return r;
	r = parse_limit(limit, text, ret, e);
	return r < 0 ? err_wrap(e, "%s: '%s'", where, limit_names[limit]) : 0;
}

static int take_word(const json_t *object, const char *member, char **ret, struct err **e)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+'";
	const char *text = NULL;
	int r = json_opt_string(object, member, where, &text, e);

	if (r < 0 || !text)
		return r;
	if (!*text || strlen(text) > WORD_MAX || text[strspn(text, good)])
		return refuse(e, member, "is no name");
	*ret = xstrdup(text);
	return 0;
}

static int take_secret(const char *given, struct str *to, struct err **e)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_free_ char *host = NULL;
	_cleanup_free_ char *text = NULL;
	int r = secretbind_parse(given, &name, &host, e);

	if (r < 0)
		return r;
	text = secretbind_text(name, host);
	str_adds(to, text);
	return 0;
}

static int take_entry(enum requests_list list, const json_t *j, struct strv *to, struct err **e)
{
	_cleanup_str_ struct str normal = STR_INIT;
	char text[WORD_MAX + 1] = "";
	struct portspec port;
	int r;

	switch (list) {
	case REQUESTS_ALLOW:
		if (!json_is_string(j))
			return err_set(e, EINVAL, "it is no text");
		r = policy_entry_normalise(json_string_value(j), &normal, e);
		break;
	case REQUESTS_PORTS:
		if (json_is_real(j) || scalar_text(j, "ports", text, NULL) < 0)
			return err_set(e, EINVAL, "it is no port, such as 3000 or \"8080:80\"");
		r = portspec_parse(text, &port, e);
		if (r == 0 && port.one)
			str_addf(&normal, "%u:%u", port.guest, port.guest);
		else
			str_adds(&normal, text);
		break;
	default:
		if (!json_is_string(j))
			return err_set(e, EINVAL, "it is no text");
		r = take_secret(json_string_value(j), &normal, e);
	}
	if (r == 0)
		strv_add(to, str_text(&normal));
	return r;
}

static int take_list(const json_t *object, enum requests_list list, size_t max, struct strv *to, struct err **e)
{
	json_t *entries = NULL;
	const json_t *entry;
	size_t i;
	int r = json_opt_array(object, list_names[list], where, &entries, e);

	if (r < 0 || !entries)
		return r;
	if (json_array_size(entries) > max)
		return err_set(e, E2BIG, "%s: '%s' has %zu entries, more than %zu", where, list_names[list],
			       json_array_size(entries), max);
	json_array_foreach(entries, i, entry)
	{
		_cleanup_err_ struct err *problem = NULL;

		r = take_entry(list, entry, to, &problem);
		if (r < 0)
			return err_set(e, -r, "%s: '%s', entry %zu: %s", where, list_names[list], i + 1,
				       err_message(problem));
	}
	strv_sort_unique(to);
	return 0;
}

static bool is_known(const char *member)
{
	for (size_t i = 0; i < REQUESTS_LISTS; i++)
		if (strcmp(member, list_names[i]) == 0)
			return true;
	for (size_t i = 0; i < REQUESTS_LIMITS; i++)
		if (strcmp(member, limit_names[i]) == 0)
			return true;
	return strcmp(member, "shell") == 0 || strcmp(member, "kind") == 0;
}

static void take_unknown(json_t *object, struct strv *to)
{
	const char *member;
	const json_t *value;

	json_object_foreach(object, member, value)
	{
		_cleanup_str_ struct str shown = STR_INIT;

		if (is_known(member) || to->n == REQUESTS_UNKNOWN_MAX)
			continue;
		str_add_printable(&shown, member, strnlen(member, WORD_MAX), false);
		strv_add(to, str_text(&shown));
	}
}

static int take_all(json_t *object, size_t max, struct requests *r, struct err **e)
{
	int k = take_word(object, "shell", &r->shell, e);

	if (k == 0)
		k = take_word(object, "kind", &r->kind, e);
	for (size_t i = 0; i < REQUESTS_LISTS && k == 0; i++)
		k = take_list(object, i, max, &r->list[i], e);
	for (size_t i = 0; i < REQUESTS_LIMITS && k == 0; i++)
		k = take_limit(object, i, &r->limit[i], e);
	take_unknown(object, &r->unknown);
	return k;
}

static int parse(const char *bytes, size_t n, size_t max_bytes, size_t max_entries, struct requests *ret,
		 struct err **e)
{
	_cleanup_json_ json_t *j = NULL;
	_cleanup_requests_ struct requests r = {0};
	int k;

	if (n == 0) {
		*ret = r;
		return 0;
	}
	/* As Nix prints it: no blanks before. */
	if (*bytes != '{')
		return err_set(e, EINVAL, "%s: it is no set of attributes", where);
	k = json_parse(bytes, n, max_bytes, 4, &j, e);
	if (k < 0)
		return err_wrap(e, "%s", where);
	k = take_all(j, max_entries, &r, e);
	if (k < 0)
		return k;
	*ret = r;
	r = (struct requests){0};
	return 0;
}

int requests_parse(const char *bytes, size_t n, struct requests *ret, struct err **e)
{
	return parse(bytes, n, REQUESTS_BYTES_MAX, REQUESTS_ENTRIES_MAX, ret, e);
}

int requests_parse_granted(const char *bytes, size_t n, struct requests *ret, struct err **e)
{
	return parse(bytes, n, (size_t)1 << 20, REQUESTS_GRANTED_MAX, ret, e);
}

void requests_release(struct requests *r)
{
	free(r->shell);
	free(r->kind);
	for (size_t i = 0; i < REQUESTS_LISTS; i++)
		strv_release(&r->list[i]);
	strv_release(&r->unknown);
	*r = (struct requests){0};
}

/* --- sets --------------------------------------------------------------------------------------------------------- */

size_t requests_count(const struct requests *r)
{
	size_t n = 0;

	for (size_t i = 0; i < REQUESTS_LISTS; i++)
		n += r->list[i].n;
	for (size_t i = 0; i < REQUESTS_LIMITS; i++)
		n += r->limit[i] > 0;
	return n;
}

void requests_missing(const struct requests *wanted, const struct requests *granted, struct requests *ret)
{
	struct requests r = {0};

	for (size_t l = 0; l < REQUESTS_LISTS; l++)
		for (size_t i = 0; i < wanted->list[l].n; i++)
			if (strv_find_sorted(&granted->list[l], wanted->list[l].v[i]) < 0)
				strv_add(&r.list[l], wanted->list[l].v[i]);
	for (size_t i = 0; i < REQUESTS_LIMITS; i++)
		if (wanted->limit[i] > granted->limit[i])
			r.limit[i] = wanted->limit[i];
	requests_release(ret);
	*ret = r;
}

void requests_add(struct requests *to, const struct requests *from)
{
	for (size_t l = 0; l < REQUESTS_LISTS; l++) {
		if (to->list[l].n + from->list[l].n > REQUESTS_GRANTED_MAX)
			strv_release(&to->list[l]);
		strv_add_all(&to->list[l], from->list[l].v);
		strv_sort_unique(&to->list[l]);
	}
	for (size_t i = 0; i < REQUESTS_LIMITS; i++)
		if (from->limit[i] > to->limit[i])
			to->limit[i] = from->limit[i];
}

size_t requests_remove(struct requests *from, enum requests_list list, const struct strv *entries)
{
	struct strv kept = STRV_INIT;
	size_t removed;

	for (size_t i = 0; i < from->list[list].n; i++)
		if (!strv_has(entries, from->list[list].v[i]))
			strv_add(&kept, from->list[list].v[i]);
	removed = from->list[list].n - kept.n;
	strv_release(&from->list[list]);
	from->list[list] = kept;
	return removed;
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

void requests_add_json(struct str *to, const struct requests *r)
{
	_cleanup_json_ json_t *object = json_object();

	for (size_t l = 0; l < REQUESTS_LISTS; l++) {
		json_t *list = json_array();

		for (size_t i = 0; i < r->list[l].n; i++)
			(void)json_array_append_new(list, json_string(r->list[l].v[i]));
		(void)json_object_set_new(object, list_names[l], list);
	}
	for (size_t i = 0; i < REQUESTS_LIMITS; i++) {
		_cleanup_str_ struct str text = STR_INIT;

		if (r->limit[i] == 0)
			continue;
		limit_text(i, r->limit[i], &text);
		(void)json_object_set_new(object, limit_names[i], json_string(str_text(&text)));
	}
	json_add_sorted(to, object);
}

void requests_add_options(struct str *to, const struct requests *r)
{
	static const char *const options[REQUESTS_LISTS] = {
		[REQUESTS_ALLOW] = "--allow", [REQUESTS_PORTS] = "-p", [REQUESTS_SECRETS] = "--secret"};

	for (size_t l = 0; l < REQUESTS_LISTS; l++) {
		for (size_t i = 0; i < r->list[l].n; i++) {
			str_addf(to, " %s ", options[l]);
			str_add_quoted(to, r->list[l].v[i]);
		}
	}
	for (size_t i = 0; i < REQUESTS_LIMITS; i++) {
		if (r->limit[i] == 0)
			continue;
		str_addf(to, " --%s ", limit_names[i]);
		limit_text(i, r->limit[i], to);
	}
}

/* What a reader in a hurry should not miss. */
static const char *remark(enum requests_list list, const char *entry)
{
	const size_t n = strlen(entry);
	const bool every_port = n > 2 && strcmp(entry + n - 2, ":*") == 0;
	struct portspec port;

	if (list == REQUESTS_PORTS && portspec_parse(entry, &port, NULL) == 0 && !port.loopback)
		return " (on an address of this machine that others may reach)";
	if (list == REQUESTS_SECRETS)
		return strchr(entry, '@') ? " (in requests to that host, which it may reach; not in the box)" : "";
	if (list != REQUESTS_ALLOW)
		return "";
	if (strcmp(entry, "all") == 0)
		return " (every public host)";
	if (strcmp(entry, "nix") == 0)
		return " (what flakes and binary caches need)";
	if (str_starts(entry, "*."))
		return every_port ? " (every name below it, every port)" : " (every name below it)";
	if (every_port)
		return " (every port)";
	if (strchr(entry, '/'))
		return " (a whole network)";
	if (entry[0] == '[' || !entry[strspn(entry, "0123456789.:")])
		return " (an address, which may be in your own network)";
	return "";
}

static void add_line(struct strv *to, const char *what, const char *text, const char *more, bool is_new)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, text, strlen(text), false);
	strv_addf(to, "%-8s %s%s%s", what, str_text(&shown), more, is_new ? "  (new)" : "");
}

void requests_add_lines(struct strv *to, const struct requests *r, const struct requests *fresh)
{
	static const char *const verbs[REQUESTS_LISTS] = {
		[REQUESTS_ALLOW] = "reach", [REQUESTS_PORTS] = "port", [REQUESTS_SECRETS] = "secret"};

	for (size_t l = 0; l < REQUESTS_LISTS; l++) {
		for (size_t i = 0; i < r->list[l].n; i++) {
			const char *entry = r->list[l].v[i];
			bool is_new = fresh && strv_find_sorted(&fresh->list[l], entry) >= 0;

			add_line(to, verbs[l], entry, remark(l, entry), is_new);
		}
	}
	for (size_t i = 0; i < REQUESTS_LIMITS; i++) {
		_cleanup_str_ struct str text = STR_INIT;

		if (r->limit[i] == 0)
			continue;
		limit_text(i, r->limit[i], &text);
		add_line(to, limit_names[i], str_text(&text), "", fresh && fresh->limit[i] > 0);
	}
}
