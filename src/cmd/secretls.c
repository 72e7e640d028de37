/* igloo secret ls: which secrets there are, never their values. */
#include "box/secret.h"
#include "cmd/cmd.h"
#include "cmd/report.h"
#include "cmd/table.h"
#include "fmt/json.h"

#include <time.h>

/* The command as one would type it. */
static void add_command(struct str *s, const struct strv *command)
{
	for (size_t i = 0; i < command->n; i++) {
		str_adds(s, i ? " " : "");
		str_add_quoted(s, command->v[i]);
	}
}

static void add_text(struct str *s, const struct secret_info *list, size_t n)
{
	static const struct table_column columns[] = {
		{.title = "SECRET"},
		{.title = "SET"},
		{.title = "FROM", .least = 20},
	};
	struct table t = {columns, ARRAY_SIZE(columns), STRV_INIT};

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *ago = table_ago((int64_t)time(NULL) - (int64_t)list[i].since);
		_cleanup_str_ struct str from = STR_INIT;

		table_add(&t, list[i].name);
		if (list[i].since)
			table_addf(&t, "%s%s", ago, *ago >= '0' && *ago <= '9' ? " ago" : "");
		else
			table_add(&t, "-");
		if (list[i].refused)
			str_addf(&from, "refused: %s", list[i].refused);
		else if (list[i].command.n > 0)
			add_command(&from, &list[i].command);
		else
			str_adds(&from, "kept value");
		table_add(&t, str_text(&from));
	}
	table_show(&t, table_width(), s);
	table_release(&t);
}

static void add_json(struct str *s, const struct secret_info *list, size_t n)
{
	_cleanup_json_ json_t *document = json_object();
	json_t *secrets = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *command = list[i].command.n > 0 ? json_array() : json_null();
		json_t *j = json_object();

		for (size_t k = 0; k < list[i].command.n; k++)
			(void)json_array_append_new(command, json_string(list[i].command.v[k]));
		(void)json_object_set_new(j, "name", json_string(list[i].name));
		(void)json_object_set_new(j, "from",
					  json_string(list[i].refused         ? "refused"
						      : list[i].command.n > 0 ? "command"
									      : "value"));
		(void)json_object_set_new(j, "command", command);
		(void)json_object_set_new(j, "set",
					  list[i].since ? json_integer((json_int_t)list[i].since) : json_null());
		(void)json_object_set_new(j, "refused", list[i].refused ? json_string(list[i].refused) : json_null());
		(void)json_array_append_new(secrets, j);
	}
	(void)json_object_set_new(document, "schema", json_string("igloo.secrets/1"));
	(void)json_object_set_new(document, "secrets", secrets);
	json_add_sorted(s, document);
	str_addc(s, '\n');
}

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;
	struct secret_info *list = NULL;
	size_t n = 0;
	int r = secret_list(&list, &n, e);

	if (r < 0)
		return r;
	if (inv->global.json)
		add_json(&s, list, n);
	else if (!inv->global.quiet)
		add_text(&s, list, n);
	for (size_t i = 0; inv->global.quiet && !inv->global.json && i < n; i++)
		str_addf(&s, "%s\n", list[i].name);
	secret_list_free(list, n);
	return report_out(&s, e);
}

static const struct example examples[] = {
	{"igloo secret ls", "names, when each was set, and where its value comes from"},
	{"igloo secret ls --json | jq -r '.secrets[].name'", "for scripts"},
	{.command = NULL},
};

const struct cmd cmd_secret_ls = {
	.name = "secret ls",
	.args = "",
	.summary = "list the secrets: names, never values",
	.about =
		"FROM is the command that prints the value, or says that the value itself is kept. A secret whose file "
		"is open to others, or is none of yours, is refused.\n\n"
		"With --quiet it prints the names only, one a line.",
	.examples = examples,
	.run = run,
};
