#include "nix/record.h"

#include "fmt/json.h"

/* Each byte that is not part of a UTF-8 character replaced by U+FFFD. Rare: Nix only hands out UTF-8. jansson itself
 * says what is a character, so that both always agree. */
static json_t *lossy_text(const char *text)
{
	_cleanup_str_ struct str s = STR_INIT;

	while (*text) {
		size_t left = strnlen(text, 4);
		json_t *one = NULL;
		size_t k = 0;

		while (!one && k < left)
			one = json_stringn(text, ++k);
		if (one)
			str_add(&s, text, k);
		else
			str_adds(&s, "\xef\xbf\xbd");
		text += one ? k : 1;
		json_decref(one);
	}
	return json_stringn(str_text(&s), s.len);
}

static json_t *text(const char *t)
{
	const char *bytes = t ? t : "";
	json_t *j = json_string(bytes);

	return j ? j : lossy_text(bytes);
}

static json_t *text_or_null(const char *t)
{
	return str_has(t) ? text(t) : json_null();
}

static void set(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(object, key, value);
}

static json_t *variables(const struct env_record *rec)
{
	json_t *object = json_object();

	for (size_t i = 0; i < rec->n_env; i++) {
		const char *eq = strchr(rec->env[i], '=');
		_cleanup_free_ char *name = eq ? xstrndup(rec->env[i], (size_t)(eq - rec->env[i])) : NULL;

		/* Fails for a name that is no UTF-8, which is no variable a shell could name. */
		if (name)
			set(object, name, text(eq + 1));
	}
	return object;
}

static json_t *closure(const struct env_record *rec)
{
	json_t *array = json_array();

	for (size_t i = 0; i < rec->n_closure; i++) {
		json_t *entry = json_object();

		set(entry, "path", text(rec->closure[i].path));
		set(entry, "host", json_boolean(rec->closure[i].host));
		(void)json_array_append_new(array, entry);
	}
	return array;
}

static json_t *attrs(const struct env_record *rec)
{
	json_t *object;

	if (!str_has(rec->attrs_json) && !str_has(rec->attrs_sh))
		return json_null();
	object = json_object();
	set(object, ".attrs.json", text(rec->attrs_json));
	set(object, ".attrs.sh", text(rec->attrs_sh));
	return object;
}

/* The document itself, which is whatever an evaluation printed. */
static json_t *requests(const struct env_record *rec)
{
	json_t *j = NULL;

	if (!str_has(rec->requests) ||
	    json_parse(rec->requests, strlen(rec->requests), RECORD_REQUESTS_MAX, 16, &j, NULL) < 0)
		return json_null();
	return j;
}

void record_add_json(struct str *to, const struct env_record *rec)
{
	_cleanup_json_ json_t *root = json_object();
	json_t *functions = json_array();
	char key[2 * RECORD_KEY_BYTES + 1];

	for (size_t i = 0; i < RECORD_KEY_BYTES; i++)
		(void)snprintf(key + 2 * i, 3, "%02x", rec->key[i]);
	for (size_t i = 0; i < rec->n_functions; i++)
		(void)json_array_append_new(functions, text(rec->functions[i]));
	set(root, "schema", json_string("igloo.env/1"));
	set(root, "key", json_string(key));
	set(root, "created", json_integer((json_int_t)rec->created));
	set(root, "shell", text(rec->shell));
	set(root, "system", text(rec->platform));
	set(root, "nix", text(rec->nix_version));
	set(root, "flake", text(rec->flake_dir));
	set(root, "envPath", text(rec->env_path));
	set(root, "bash", text_or_null(rec->bash));
	set(root, "bashInteractive", text_or_null(rec->bash_interactive));
	set(root, "hook", json_boolean(rec->has_hook));
	set(root, "variables", variables(rec));
	set(root, "functions", functions);
	set(root, "closure", closure(rec));
	set(root, "script", text(rec->script));
	set(root, "structuredAttrs", attrs(rec));
	set(root, "requests", requests(rec));
	json_add_sorted(to, root);
}
