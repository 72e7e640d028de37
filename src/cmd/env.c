/* igloo env: the environment that boxes of this repository get, from its record. */
#include "cmd/cmd.h"
#include "cmd/enter.h"
#include "cmd/report.h"
#include "cmd/table.h"
#include "fmt/json.h"
#include "nix/devscript.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

enum { LINE = 100 };

struct env_options {
	struct box_options box;
	bool refresh;
	bool why;
	bool export;
};

static void add_printable(struct str *s, const char *text)
{
	str_add_printable(s, text, strlen(text), false);
}

static void add_line(struct str *s, const char *what, const char *value)
{
	if (!str_has(value))
		return;
	str_addf(s, "%-10s ", what);
	add_printable(s, value);
	str_addc(s, '\n');
}

/* Names in lines of at most LINE columns. */
static void add_names(struct str *s, const char *what, const struct strv *names)
{
	size_t column = 0;

	str_addf(s, "%-10s %zu\n", what, names->n);
	for (size_t i = 0; i < names->n; i++) {
		size_t n = strlen(names->v[i]);

		if (column > 0 && column + 1 + n > LINE) {
			str_addc(s, '\n');
			column = 0;
		}
		str_adds(s, column ? " " : "  ");
		add_printable(s, names->v[i]);
		column += n + (column ? 1 : 2);
	}
	if (column > 0)
		str_addc(s, '\n');
}

static void variable_names(const struct env_record *rec, struct strv *names)
{
	for (size_t i = 0; i < rec->n_env; i++)
		strv_add_take(names, xstrndup(rec->env[i], strcspn(rec->env[i], "=")));
	strv_sort_unique(names);
}

static void add_closure(struct str *s, const struct env_record *rec)
{
	size_t host = 0;

	for (size_t i = 0; i < rec->n_closure; i++)
		host += rec->closure[i].host;
	str_addf(s, "%-10s %zu store paths: %zu of the host's, %zu of the slot's own\n", "closure", rec->n_closure,
		 host, rec->n_closure - host);
}

static void add_made(struct str *s, const struct env_record *rec)
{
	_cleanup_free_ char *ago = table_ago((int64_t)time(NULL) - (int64_t)rec->created);
	time_t made = (time_t)rec->created;
	struct tm tm;
	char text[64] = "";

	if (localtime_r(&made, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	str_addf(s, "%-10s %s (%s%s)\n", "made", text, ago, *ago >= '0' && *ago <= '9' ? " ago" : "");
}

/* The program; behind it the record has the file's identity (nix/toolchain.h), "PATH DEV:INO SIZE MTIME". */
static void add_nix(struct str *s, const char *identity)
{
	size_t n = strlen(identity);

	for (int i = 0; i < 3; i++) {
		const char *blank = memrchr(identity, ' ', n);

		if (!blank)
			break;
		n = (size_t)(blank - identity);
	}
	str_addf(s, "%-10s ", "nix");
	str_add_printable(s, identity, n, false);
	str_addc(s, '\n');
}

/* Whether they are granted is said when a box is made. */
static void add_requests(struct str *s, const char *json)
{
	_cleanup_requests_ struct requests requests = {0};
	_cleanup_err_ struct err *problem = NULL;
	_cleanup_strv_ struct strv lines = STRV_INIT;

	if (requests_parse(json, strlen(json), &requests, &problem) < 0) {
		add_line(s, "requests", err_message(problem));
		return;
	}
	if (requests.kind)
		strv_addf(&lines, "%-8s %s", "kind", requests.kind);
	requests_add_lines(&lines, &requests, NULL);
	for (size_t i = 0; i < lines.n; i++)
		add_line(s, "requests", lines.v[i]);
}

static void add_text(struct str *s, const struct enter *in)
{
	const struct env_record *rec = &in->record;
	_cleanup_strv_ struct strv variables = STRV_INIT;
	_cleanup_strv_ struct strv functions = STRV_INIT;

	variable_names(rec, &variables);
	strv_add_all(&functions, rec->functions);
	add_line(s, "flake", rec->flake_dir);
	add_line(s, "shell", rec->shell);
	add_line(s, "platform", rec->platform);
	add_line(s, "slot", in->slot->id);
	add_nix(s, rec->nix_version);
	add_made(s, rec);
	add_line(s, "path", rec->env_path);
	add_closure(s, rec);
	add_line(s, "bash", *rec->bash ? rec->bash : "none");
	add_line(s, "hook", rec->has_hook ? "yes: commands start through bash" : "no");
	add_requests(s, rec->requests);
	add_names(s, "variables", &variables);
	add_names(s, "functions", &functions);
}

static void add_why(struct str *s, const struct strv *why)
{
	if (why->n == 0)
		str_adds(s, "nothing has changed: the record is used as it is\n");
	else
		str_adds(s, "the environment was evaluated, because of:\n");
	for (size_t i = 0; i < why->n; i++) {
		str_adds(s, "  ");
		add_printable(s, why->v[i]);
		str_addc(s, '\n');
	}
}

static bool is_shell_name(const char *name, size_t n)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

	return n > 0 && !(*name >= '0' && *name <= '9') && strspn(name, letters) == n;
}

static void add_exports(struct str *s, const struct env_record *rec)
{
	for (size_t i = 0; i < rec->n_env; i++) {
		size_t n = strcspn(rec->env[i], "=");

		/* Others cannot be set by a shell. */
		if (!is_shell_name(rec->env[i], n))
			continue;
		str_addf(s, "export %.*s=", (int)n, rec->env[i]);
		devscript_add_quoted(s, rec->env[i] + n + 1);
		str_addc(s, '\n');
	}
}

/* The record's own JSON, with "why" beside it when it was asked for. */
static int add_json(struct str *s, const struct env_record *rec, const struct strv *why, bool with_why, struct err **e)
{
	_cleanup_json_ json_t *document = NULL;
	_cleanup_str_ struct str text = STR_INIT;
	json_t *list;
	int r;

	record_add_json(&text, rec);
	if (!with_why) {
		str_add(s, str_text(&text), text.len);
		if (!str_ends(str_text(s), "\n"))
			str_addc(s, '\n');
		return 0;
	}
	r = json_parse(str_text(&text), text.len, text.len, 16, &document, e);
	if (r < 0)
		return r;
	list = json_array();
	for (size_t i = 0; i < why->n; i++) {
		_cleanup_str_ struct str line = STR_INIT;

		add_printable(&line, why->v[i]);
		(void)json_array_append_new(list, json_string(str_text(&line)));
	}
	(void)json_object_set_new(document, "why", list);
	json_add_sorted(s, document);
	str_addc(s, '\n');
	return 0;
}

static int show(const struct invocation *inv, const struct enter *in, const struct strv *why, struct err **e)
{
	const struct env_options *o = inv->options;
	_cleanup_str_ struct str s = STR_INIT;
	int r = 0;

	if (inv->global.json)
		r = add_json(&s, &in->record, why, o->why, e);
	else if (o->export)
		add_exports(&s, &in->record);
	else if (o->why)
		add_why(&s, why);
	else
		add_text(&s, in);
	return r < 0 ? r : report_out(&s, e);
}

static int run(struct invocation *inv, struct err **e)
{
	const struct env_options *o = inv->options;
	_cleanup_strv_ struct strv why = STRV_INIT;
	struct enter in = {.kind = NULL};
	int r = enter_repository(&o->box, &in, e);

	if (r == 0)
		r = enter_environment(&o->box, o->refresh, false, &in, &why, e);
	if (r == 0)
		r = show(inv, &in, &why, e);
	enter_release(&in);
	return r;
}

static const struct opt opts[] = {
	{.name = "dir",
	 .letter = 'C',
	 .arg = "DIR",
	 .kind = OPT_PATH,
	 .hint = HINT_DIRS,
	 .offset = offsetof(struct env_options, box.dir),
	 .help = "use the repository DIR instead of the one around the current folder"},
	{.name = "shell",
	 .arg = "NAME",
	 .kind = OPT_TEXT,
	 .hint = HINT_SHELLS,
	 .offset = offsetof(struct env_options, box.shell),
	 .help = "the environment: devShells.<system>.NAME of the flake"},
	{.name = "slot",
	 .arg = "NAME",
	 .kind = OPT_NAME,
	 .hint = HINT_SLOTS,
	 .offset = offsetof(struct env_options, box.slot),
	 .help = "use the slot NAME: store, caches and home apart from other slots",
	 .env = "IGLOO_SLOT"},
	{.name = "offline",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct env_options, box.offline),
	 .help = "evaluate without a network"},
	{.name = "no-host-cache",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct env_options, box.no_host_cache),
	 .help = "evaluate without what else is in this machine's Nix store"},
	{.name = "refresh",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct env_options, refresh),
	 .help = "evaluate even if nothing has changed"},
	{.name = "why",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct env_options, why),
	 .help = "say what made igloo evaluate the flake now, if anything",
	 .clashes = "export"},
	{.name = "export",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct env_options, export),
	 .help = "print the variables as lines for a shell: export NAME='value'",
	 .clashes = "json"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Environment", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo env", "what boxes of this repository get"},
	{"igloo env --why", "did something change?"},
	{"igloo env --refresh", "after a change that igloo cannot see, as in a registry"},
	{"igloo env --json | jq -r .variables.PATH", "one variable"},
	{.command = NULL},
};

const struct cmd cmd_env = {
	.name = "env",
	.args = "",
	.summary = "show, refresh or explain a repository's environment",
	.about = "Shows the record of the environment that the flake's dev shell declares. When something that "
		 "evaluation could have "
		 "read has changed, or there is no record yet, the flake is evaluated first, in a box: --why says what "
		 "it was.\n\n"
		 "The paths in what --export prints are those of a box: store paths that the host does not have lie in "
		 "the slot.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct env_options),
	.run = run,
};
