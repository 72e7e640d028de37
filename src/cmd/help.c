/* igloo help, and --help of every command. */
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/report.h"

#include <errno.h>

#define WIDTH 80
/* Where the second column of a list starts. */
#define COLUMN 28

/* Adds `text` from column `at` on, broken at blanks before WIDTH; further lines are indented by
 * `indent`. Ends the line. */
static void add_wrapped(struct str *s, const char *text, size_t at, size_t indent)
{
	bool fresh = true;

	while (*text) {
		size_t n = strcspn(text, " ");

		if (!fresh && at + 1 + n > WIDTH) {
			str_addf(s, "\n%*s", (int)indent, "");
			at = indent;
			fresh = true;
		}
		if (!fresh) {
			str_addc(s, ' ');
			at++;
		}
		str_add(s, text, n);
		at += n;
		fresh = false;
		text += n;
		text += strspn(text, " ");
	}
	str_addc(s, '\n');
}

/* "  left    right...", the right side on a line of its own when the left one is too long. */
static void add_item(struct str *s, const char *left, const char *right)
{
	str_addf(s, "  %s", left);
	if (strlen(left) + 4 > COLUMN)
		str_addf(s, "\n%*s", COLUMN, "");
	else
		str_addf(s, "%*s", (int)(COLUMN - 2 - strlen(left)), "");
	add_wrapped(s, right, COLUMN, COLUMN);
}

static void add_paragraphs(struct str *s, const char *text)
{
	while (text && *text) {
		const char *end = strstr(text, "\n\n");
		_cleanup_free_ char *one = xstrndup(text, end ? (size_t)(end - text) : strlen(text));

		add_wrapped(s, one, 0, 0);
		str_addc(s, '\n');
		text = end ? end + 2 : NULL;
	}
}

static void add_option(struct str *s, const struct opt *o)
{
	_cleanup_str_ struct str left = STR_INIT;
	_cleanup_str_ struct str right = STR_INIT;

	if (o->letter)
		str_addf(&left, "-%c, ", o->letter);
	else
		str_adds(&left, "    ");
	str_addf(&left, "--%s", o->name);
	if (o->arg)
		str_addf(&left, " %s", o->arg);
	str_adds(&right, o->help);
	for (const char *const *c = o->choices; c && *c; c++)
		str_addf(&right, "%s%s", c == o->choices ? ": " : ", ", *c);
	if (o->env)
		str_addf(&right, " (or $%s)", o->env);
	add_item(s, str_text(&left), str_text(&right));
}

static void add_options(struct str *s, const char *title, const struct opt *opts)
{
	str_addf(s, "%s:\n", title);
	for (; opts->name; opts++)
		add_option(s, opts);
	str_addc(s, '\n');
}

void help_add_usage(struct str *s, const struct cmd *cmd)
{
	str_addf(s, "igloo %s [options]%s%s", cmd->name, *cmd->args ? " " : "", cmd->args);
}

void help_add_command(struct str *s, const struct cmd *cmd)
{
	str_adds(s, "Usage: ");
	help_add_usage(s, cmd);
	str_addf(s, "\n\n%c",
		 cmd->summary[0] >= 'a' && cmd->summary[0] <= 'z' ? cmd->summary[0] - 'a' + 'A' : cmd->summary[0]);
	str_addf(s, "%s.\n\n", cmd->summary + 1);
	add_paragraphs(s, cmd->about);
	for (const struct opt_group *g = cmd->groups; g && g->title; g++)
		add_options(s, g->title, g->opts);
	add_options(s, "General", global_opts);
	if (cmd->examples) {
		str_adds(s, "Examples:\n");
		for (const struct example *x = cmd->examples; x->command; x++) {
			str_addf(s, "  %s\n      ", x->command);
			add_wrapped(s, x->what, 6, 6);
		}
		str_addc(s, '\n');
	}
	s->p[--s->len] = '\0'; /* the empty line behind the last section */
}

/* The commands whose names start with `prefix` ("" for all). */
static void add_commands(struct str *s, const char *prefix)
{
	str_adds(s, "Commands:\n");
	for (const struct cmd *const *c = commands; *c; c++)
		if (!(*c)->hidden && str_starts((*c)->name, prefix))
			add_item(s, (*c)->name, (*c)->summary);
	str_addc(s, '\n');
}

void help_add_overall(struct str *s)
{
	str_adds(s, "Usage: igloo [options] COMMAND ...\n\n");
	add_paragraphs(s, "Runs commands in the environment that a repository's flake.nix declares, sealed off from "
			  "this machine.");
	add_commands(s, "");
	add_options(s, "General", global_opts);
	str_adds(s, "'igloo help COMMAND' shows a command's options; 'man igloo' has it all.\n");
}

void help_add_family(struct str *s, const char *name)
{
	_cleanup_free_ char *prefix = xasprintf("%s ", name);

	str_addf(s, "Usage: igloo %s VERB ...\n\n", name);
	add_commands(s, prefix);
	str_addf(s, "'igloo help %s VERB' shows a verb's options.\n", name);
}

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;
	const struct cmd *cmd = NULL;
	int words = 0;
	int r;

	if (inv->argc == 0) {
		help_add_overall(&s);
	} else if (inv->argc == 1 && cmd_words(inv->argv[0]) == 2) {
		help_add_family(&s, inv->argv[0]);
	} else {
		r = cmd_find(inv->argc, inv->argv, &cmd, &words, e);
		if (r < 0)
			return r;
		if (words < inv->argc)
			return err_set(e, EINVAL, "'igloo %s' has no commands below it", cmd->name);
		help_add_command(&s, cmd);
	}
	return report_out(&s, e);
}

const struct cmd cmd_help = {
	.name = "help",
	.args = "[COMMAND]",
	.summary = "show help for igloo or for one of its commands",
	.max_args = 2,
	.arg_hint = HINT_VERBS,
	.run = run,
};
