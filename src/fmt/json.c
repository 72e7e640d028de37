#include "fmt/json.h"

#include <errno.h>

enum { DEPTH_LIMIT = 1000 /* below jansson's own 2048 */ };

/* Counts brackets outside of strings; whether they match is jansson's to say. */
static bool too_deep(const char *p, size_t n, unsigned limit)
{
	bool in_string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < n; i++) {
		if (in_string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				in_string = false;
		} else if (p[i] == '"') {
			in_string = true;
		} else if (p[i] == '[' || p[i] == '{') {
			if (++depth > limit)
				return true;
		} else if ((p[i] == ']' || p[i] == '}') && depth > 0) {
			depth--;
		}
	}
	return false;
}

int json_parse(const char *bytes, size_t n, size_t max, unsigned depth, json_t **ret, struct err **e)
{
	_cleanup_str_ struct str why = STR_INIT;
	json_error_t error;
	json_t *j;

	if (n > max)
		return err_set(e, EFBIG, "JSON larger than %zu bytes", max);
	if (depth > DEPTH_LIMIT)
		depth = DEPTH_LIMIT;
	if (too_deep(bytes, n, depth))
		return err_set(e, EINVAL, "JSON nested more than %u deep", depth);
	j = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, &error);
	if (!j) {
		/* The text quotes the document. */
		str_add_printable(&why, error.text, strnlen(error.text, sizeof(error.text)), false);
		return err_set(e, EINVAL, "not JSON: line %d, column %d: %s", error.line, error.column, str_text(&why));
	}
	*ret = j;
	return 0;
}

static const char *type_name(json_type type)
{
	switch (type) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "a number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a truth value";
	case JSON_NULL:
		break;
	}
	return "null";
}

static int wrong_type(const json_t *object, const json_t *value, const char *key, const char *where, const char *wanted,
		      struct err **e)
{
	if (!json_is_object(object))
		return err_set(e, EINVAL, "%s: not an object", where);
	if (!value)
		return err_set(e, EINVAL, "%s: '%s' is missing", where, key);
	return err_set(e, EINVAL, "%s: '%s' is %s, not %s", where, key, type_name(json_typeof(value)), wanted);
}

static bool absent(const json_t *object, const json_t *value)
{
	return json_is_object(object) && (!value || json_is_null(value));
}

int json_want_string(const json_t *object, const char *key, const char *where, const char **ret, struct err **e)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_string(value))
		return wrong_type(object, value, key, where, "a string", e);
	*ret = json_string_value(value);
	return 0;
}

int json_want_int(const json_t *object, const char *key, const char *where, json_int_t *ret, struct err **e)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		return wrong_type(object, value, key, where, "an integer", e);
	*ret = json_integer_value(value);
	return 0;
}

int json_want_object(const json_t *object, const char *key, const char *where, json_t **ret, struct err **e)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_object(value))
		return wrong_type(object, value, key, where, "an object", e);
	*ret = value;
	return 0;
}

int json_want_array(const json_t *object, const char *key, const char *where, json_t **ret, struct err **e)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_array(value))
		return wrong_type(object, value, key, where, "an array", e);
	*ret = value;
	return 0;
}

int json_opt_string(const json_t *object, const char *key, const char *where, const char **ret, struct err **e)
{
	return absent(object, json_object_get(object, key)) ? 0 : json_want_string(object, key, where, ret, e);
}

int json_opt_int(const json_t *object, const char *key, const char *where, json_int_t *ret, struct err **e)
{
	return absent(object, json_object_get(object, key)) ? 0 : json_want_int(object, key, where, ret, e);
}

int json_opt_bool(const json_t *object, const char *key, const char *where, bool *ret, struct err **e)
{
	const json_t *value = json_object_get(object, key);

	if (absent(object, value))
		return 0;
	if (!json_is_boolean(value))
		return wrong_type(object, value, key, where, "true or false", e);
	*ret = json_is_true(value);
	return 0;
}

int json_opt_object(const json_t *object, const char *key, const char *where, json_t **ret, struct err **e)
{
	return absent(object, json_object_get(object, key)) ? 0 : json_want_object(object, key, where, ret, e);
}

int json_opt_array(const json_t *object, const char *key, const char *where, json_t **ret, struct err **e)
{
	return absent(object, json_object_get(object, key)) ? 0 : json_want_array(object, key, where, ret, e);
}

static int add_piece(const char *bytes, size_t n, void *to)
{
	str_add(to, bytes, n);
	return 0;
}

void json_add_sorted(struct str *to, const json_t *document)
{
	/* Fails only for values jansson cannot make (memory out, invalid UTF-8 set unchecked). */
	if (json_dump_callback(document, add_piece, to, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) != 0)
		abort();
}
