#include "box/definition.h"

#include "fmt/base64.h"
#include "fmt/json.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static const char schema_prefix[] = "igloo.definition/";

/* --- texts ---------------------------------------------------------------------------------------------------------
 */

static json_t *put_text(const char *text)
{
	_cleanup_str_ struct str digits = STR_INIT;
	json_t *j = json_string(text);

	if (j)
		return j;
	base64_encode(text, strlen(text), &digits);
	return json_pack("{s:s}", "base64", str_text(&digits));
}

static json_t *put_list(const struct strv *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->n; i++)
		(void)json_array_append_new(list, put_text(v->v[i]));
	return list;
}

/* NULL when it is no text. */
static char *take_text(const json_t *j)
{
	const json_t *encoded = json_object_get(j, "base64");
	_cleanup_str_ struct str bytes = STR_INIT;

	if (json_is_string(j))
		return xstrdup(json_string_value(j));
	if (!json_is_string(encoded) ||
	    !base64_decode(json_string_value(encoded), json_string_length(encoded), &bytes) ||
	    memchr(str_text(&bytes), '\0', bytes.len))
		return NULL;
	return xstrdup(str_text(&bytes));
}

static int damaged(struct err **e, const char *what)
{
	return err_set(e, EBADMSG, "its definition is damaged: %s", what);
}

static int take_member(const json_t *j, const char *key, char **ret, struct err **e)
{
	*ret = take_text(json_object_get(j, key));
	return *ret ? 0 : damaged(e, key);
}

static int take_list(const json_t *j, const char *key, struct strv *ret, struct err **e)
{
	const json_t *list = json_object_get(j, key);

	if (!json_is_array(list) || json_array_size(list) > DEFINITION_WORDS_MAX)
		return damaged(e, key);
	for (size_t i = 0; i < json_array_size(list); i++) {
		char *text = take_text(json_array_get(list, i));

		if (!text)
			return damaged(e, key);
		strv_add_take(ret, text);
	}
	return 0;
}

/* --- the whole -----------------------------------------------------------------------------------------------------
 */

int definition_encode(const struct definition *d, struct str *to, struct err **e)
{
	_cleanup_json_ json_t *j = json_object();
	size_t before = to->len;

	if (d->options.n > DEFINITION_WORDS_MAX || d->command.n > DEFINITION_WORDS_MAX)
		return err_set(e, E2BIG, "a box has at most %d options and %d words of its command",
			       DEFINITION_WORDS_MAX, DEFINITION_WORDS_MAX);
	(void)json_object_set_new(j, "schema", json_sprintf("%s%d", schema_prefix, DEFINITION_VERSION));
	(void)json_object_set_new(j, "created", json_integer((json_int_t)d->created));
	(void)json_object_set_new(j, "directory", put_text(d->directory));
	(void)json_object_set_new(j, "repository", put_text(d->repository));
	(void)json_object_set_new(j, "slot", put_text(d->slot));
	(void)json_object_set_new(j, "kind", put_text(d->kind));
	(void)json_object_set_new(j, "mode", put_text(d->mode));
	(void)json_object_set_new(j, "options", put_list(&d->options));
	(void)json_object_set_new(j, "command", put_list(&d->command));
	json_add_sorted(to, j);
	str_addc(to, '\n');
	if (to->len - before > DEFINITION_BYTES_MAX)
		return err_set(e, E2BIG, "the box's options and command are more than %d KiB",
			       DEFINITION_BYTES_MAX / 1024);
	return 0;
}

/* 1 for "igloo.definition/1"; 0 when it is none. */
static unsigned long version_of(const json_t *j)
{
	const char *schema = json_string_value(json_object_get(j, "schema"));
	const char *digits = schema && str_starts(schema, schema_prefix) ? schema + sizeof(schema_prefix) - 1 : "";
	size_t n = strspn(digits, "0123456789");

	return n > 0 && n < 9 && digits[n] == '\0' ? strtoul(digits, NULL, 10) : 0;
}

static int take_all(const json_t *j, struct definition *d, struct err **e)
{
	const json_t *created = json_object_get(j, "created");
	int r;

	if (!json_is_integer(created))
		return damaged(e, "created");
	d->created = json_integer_value(created);
	r = take_member(j, "directory", &d->directory, e);
	if (r == 0)
		r = take_member(j, "repository", &d->repository, e);
	if (r == 0 && (*d->directory != '/' || *d->repository != '/'))
		r = damaged(e, "a path is not absolute");
	if (r == 0)
		r = take_member(j, "slot", &d->slot, e);
	if (r == 0)
		r = take_member(j, "kind", &d->kind, e);
	if (r == 0)
		r = take_member(j, "mode", &d->mode, e);
	if (r == 0)
		r = take_list(j, "options", &d->options, e);
	return r < 0 ? r : take_list(j, "command", &d->command, e);
}

int definition_decode(const char *bytes, size_t n, struct definition *ret, struct err **e)
{
	struct definition d = {.directory = NULL};
	_cleanup_json_ json_t *j = NULL;
	unsigned long version;
	int r;

	if (json_parse(bytes, n, DEFINITION_BYTES_MAX, 4, &j, NULL) < 0)
		return damaged(e, n == 0 ? "the file is empty" : "it is no JSON, or cut off");
	version = version_of(j);
	if (version == 0)
		return damaged(e, "it has no version");
	if (version > DEFINITION_VERSION)
		return err_set(e, ENOTSUP, "a newer igloo defined it (version %lu, and this igloo knows %d)", version,
			       DEFINITION_VERSION);
	r = take_all(j, &d, e);
	if (r < 0)
		definition_release(&d);
	else
		*ret = d;
	return r;
}

int definition_write(int box_dir, const struct definition *d, struct err **e)
{
	_cleanup_str_ struct str bytes = STR_INIT;
	int r = definition_encode(d, &bytes, e);

	return r < 0 ? r : file_replace(box_dir, DEFINITION_FILE, bytes.p, bytes.len, 0600, true, e);
}

int definition_read(int box_dir, struct definition *ret, struct err **e)
{
	_cleanup_str_ struct str bytes = STR_INIT;
	int r = file_read(box_dir, DEFINITION_FILE, DEFINITION_BYTES_MAX, &bytes, e);

	if (r == -EFBIG) {
		err_clear(e);
		return damaged(e, "it is larger than a definition may be");
	}
	return r < 0 ? r : definition_decode(str_text(&bytes), bytes.len, ret, e);
}

bool definition_exists(int box_dir)
{
	struct stat st;

	return fstatat(box_dir, DEFINITION_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

void definition_release(struct definition *d)
{
	free(d->directory);
	free(d->repository);
	free(d->slot);
	free(d->kind);
	free(d->mode);
	strv_release(&d->options);
	strv_release(&d->command);
	*d = (struct definition){.directory = NULL};
}
