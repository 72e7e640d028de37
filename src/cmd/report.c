#include "cmd/report.h"

#include "cmd/cmd.h"
#include "fmt/json.h"
#include "sys/fd.h"

#include <errno.h>

/* Text as JSON can hold it: bytes that are no UTF-8 and control characters shown as \xNN. */
static json_t *printable(const char *text)
{
	_cleanup_str_ struct str clean = STR_INIT;

	str_add_printable(&clean, text, strlen(text), true);
	return json_stringn(str_text(&clean), clean.len);
}

/* Each line of `text` as one piece that a terminal only prints. */
static void split_lines(struct strv *lines, const char *text)
{
	for (const char *end; *text; text = *end ? end + 1 : end) {
		_cleanup_str_ struct str line = STR_INIT;

		end = text + strcspn(text, "\n");
		str_add_printable(&line, text, (size_t)(end - text), true);
		strv_add_take(lines, str_take(&line));
	}
}

static void add_error_json(struct str *s, const struct err *e, const char *command)
{
	_cleanup_strv_ struct strv lines = STRV_INIT;
	_cleanup_json_ json_t *object = json_object();
	json_t *hints = json_array();

	split_lines(&lines, err_hints(e));
	for (size_t i = 0; i < lines.n; i++)
		(void)json_array_append_new(hints, json_string(lines.v[i]));
	(void)json_object_set_new(object, "schema", json_string("igloo.error/1"));
	(void)json_object_set_new(object, "command", command ? json_string(command) : json_null());
	(void)json_object_set_new(object, "message", printable(err_message(e)));
	(void)json_object_set_new(object, "detail", str_has(err_details(e)) ? printable(err_details(e)) : json_null());
	(void)json_object_set_new(object, "hints", hints);
	(void)json_object_set_new(object, "errno", json_integer(err_number(e)));
	(void)json_object_set_new(object, "exit", json_integer(err_exit(e)));
	json_add_sorted(s, object);
	str_addc(s, '\n');
}

void report_add_error(struct str *s, const struct err *e, const char *command, bool json)
{
	_cleanup_strv_ struct strv details = STRV_INIT;
	_cleanup_strv_ struct strv hints = STRV_INIT;

	if (json) {
		add_error_json(s, e, command);
		return;
	}
	str_adds(s, "igloo: ");
	str_add_printable(s, err_message(e), strlen(err_message(e)), true);
	str_addc(s, '\n');
	split_lines(&details, err_details(e));
	split_lines(&hints, err_hints(e));
	for (size_t i = 0; i < details.n; i++)
		str_addf(s, "  %s\n", details.v[i]);
	for (size_t i = 0; i < hints.n; i++)
		str_addf(s, "hint: %s\n", hints.v[i]);
}

void report_error(const struct err *e, const char *command, bool json)
{
	_cleanup_str_ struct str s = STR_INIT;

	report_add_error(&s, e, command, json);
	(void)fd_write_all(STDERR_FILENO, s.p, s.len);
}

int report_out(const struct str *s, struct err **e)
{
	int r = fd_write_all(STDOUT_FILENO, str_text(s), s->len);

	if (r < 0 && r != -EPIPE)
		return err_errno(e, -r, "cannot write to standard output");
	return 0;
}

int report_removed(const struct strv *removed, const struct invocation *inv, const char *schema, int r, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;
	int k;

	if (inv->global.json)
		str_adds(&s, "{\"removed\":[");
	for (size_t i = 0; i < removed->n; i++) {
		if (inv->global.json)
			str_addf(&s, "%s\"%s\"", i ? "," : "", removed->v[i]);
		else if (!inv->global.quiet)
			str_addf(&s, "%s\n", removed->v[i]);
	}
	if (inv->global.json)
		str_addf(&s, "],\"schema\":\"%s\"}\n", schema);
	k = report_out(&s, r < 0 ? NULL : e);
	return r < 0 ? r : k;
}
