/* The zsh script: one function per command, each a call of _arguments with its options. */
#include "cmd/complete.h"
#include "cmd/options.h"

static const char names_function[] = "_igloo_names()\n"
				     "{\n"
				     "    local -a names\n"
				     "    names=(${(f)\"$(igloo __complete $1 2>/dev/null)\"})\n"
				     "    compadd -a names\n"
				     "}\n"
				     "\n";

static const char *const actions[HINTS] = {
	[HINT_NONE] = " ",
	[HINT_FILES] = "_files",
	[HINT_DIRS] = "_files -/",
	[HINT_VARS] = "_parameters -g \"*export*\"",
	[HINT_VERBS] = "_igloo_verbs",
	[HINT_BOXES] = "{_igloo_names boxes}",
	[HINT_SLOTS] = "{_igloo_names slots}",
	[HINT_SHELLS] = "{_igloo_names shells}",
	[HINT_SECRETS] = "{_igloo_names secrets}",
	[HINT_SNAPSHOTS] = "{_igloo_names snapshots}",
};

/* Text within '...' and within a spec, where ':', '[' and ']' are syntax. */
static void add_text(struct str *s, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			str_adds(s, "'\\''");
		else if (strchr(":[]\\", *text))
			str_addf(s, "\\%c", *text);
		else
			str_addc(s, *text);
	}
}

static void add_action(struct str *s, enum hint hint, const char *const *choices)
{
	if (!choices) {
		str_adds(s, actions[hint]);
		return;
	}
	str_addc(s, '(');
	for (; *choices; choices++)
		str_addf(s, "%s ", *choices);
	str_addc(s, ')');
}

static bool is_repeatable(const struct opt *o)
{
	return o->kind == OPT_COUNTER || o->kind == OPT_LIST || o->kind == OPT_PATHS || o->kind == OPT_VARS;
}

/* '(-m --memory)'{-m+,--memory=}'[help]:SIZE:action' */
static void add_option(const struct opt *o, void *data)
{
	struct str *s = data;
	const char *plus = opt_takes_arg(o) ? "+" : "";
	const char *equals = opt_takes_arg(o) ? "=" : "";

	str_adds(s, "        ");
	if (is_repeatable(o))
		str_adds(s, "'*'");
	else if (o->letter)
		str_addf(s, "'(-%c --%s)'", o->letter, o->name);
	if (o->letter)
		str_addf(s, "{-%c%s,--%s%s}", o->letter, plus, o->name, equals);
	else
		str_addf(s, "--%s%s", o->name, equals);
	str_adds(s, "'[");
	add_text(s, o->help);
	str_addc(s, ']');
	if (opt_takes_arg(o)) {
		str_addc(s, ':');
		add_text(s, o->arg);
		str_addc(s, ':');
		add_action(s, o->hint, o->choices);
	}
	str_adds(s, "' \\\n");
}

static void add_argument(struct str *s, int number, enum hint hint, const char *const *choices)
{
	if (number > 0)
		str_addf(s, "        '%d: :", number);
	else
		str_adds(s, "        '*: :");
	add_action(s, hint, choices);
	str_adds(s, "' \\\n");
}

static void add_arguments(struct str *s, const struct cmd *cmd)
{
	int n = cmd->takes_command ? cmd->command_at : cmd->max_args;

	if (n != 0)
		add_argument(s, 1, cmd->arg_hint, cmd->arg_choices);
	for (int i = 2; i <= n; i++)
		add_argument(s, i, cmd->more_hint, NULL);
	if (n < 0)
		add_argument(s, 0, cmd->more_hint, NULL);
	if (!cmd->takes_command)
		return;
	str_addf(s, "        '(-)%d: :{_command_names -e}' \\\n", n + 1);
	str_adds(s, "        '*::arguments: _normal' \\\n");
}

static void add_command(struct str *s, const struct cmd *cmd)
{
	str_adds(s, "_igloo_cmd_");
	complete_add_id(s, cmd->name);
	str_adds(s, "()\n{\n    _arguments -s -S \\\n");
	for (const struct opt *o = global_opts; o->name; o++)
		add_option(o, s);
	options_each(cmd, add_option, s);
	add_arguments(s, cmd);
	str_adds(s, "        && return 0\n    return 1\n}\n\n");
}

static void add_verb(const char *word, const char *summary, void *data)
{
	struct str *s = data;

	str_addf(s, "        '%s:", word);
	if (summary)
		add_text(s, summary);
	else
		str_addf(s, "commands of igloo %s", word);
	str_adds(s, "'\n");
}

/* The function that offers the verbs of a family, or igloo's own for NULL, and the one that goes on
 * with the verb's options. */
static void add_family(struct str *s, const char *family)
{
	_cleanup_str_ struct str id = STR_INIT;

	if (family)
		complete_add_id(&id, family);
	str_addf(s, "_igloo_verbs%s%s()\n{\n    local -a verbs\n    verbs=(\n", family ? "_" : "", str_text(&id));
	complete_words(family, add_verb, s);
	str_adds(s, "    )\n    _describe -t commands command verbs\n}\n\n");
	str_addf(s, "_igloo%s%s()\n", family ? "_cmd_" : "_main", str_text(&id));
	str_adds(s, "{\n    local curcontext=$curcontext state line ret=1\n    local -A opt_args\n"
		    "    _arguments -s -S -C \\\n");
	for (const struct opt *o = global_opts; o->name; o++)
		add_option(o, s);
	str_addf(s, "        '(-)1: :_igloo_verbs%s%s' \\\n", family ? "_" : "", str_text(&id));
	str_adds(s, "        '*:: :->verb' && ret=0\n    [[ $state == verb ]] || return ret\n"
		    "    curcontext=${curcontext%:*}-$words[1]:\n");
	str_addf(s, "    (( $+functions[_igloo_cmd_%s%s${words[1]//-/_}] )) || return 1\n", str_text(&id),
		 family ? "_" : "");
	str_addf(s, "    _igloo_cmd_%s%s${words[1]//-/_}\n}\n\n", str_text(&id), family ? "_" : "");
}

static void add_if_family(const char *word, const char *summary, void *data)
{
	if (!summary)
		add_family(data, word);
}

void complete_zsh(struct str *s)
{
	str_adds(s, "#compdef igloo\n");
	str_addf(s, "# zsh completion for igloo %s, made by 'igloo completion zsh'.\n\n", igloo_version);
	str_adds(s, names_function);
	for (const struct cmd *const *c = commands; *c; c++)
		if (!(*c)->hidden)
			add_command(s, *c);
	complete_words(NULL, add_if_family, s);
	add_family(s, NULL);
	/* Both ways in: autoloaded as _igloo by compinit, or sourced. */
	str_adds(s, "_igloo()\n{\n    _igloo_main \"$@\"\n}\n\n"
		    "if [[ $funcstack[1] == _igloo ]]; then\n    _igloo \"$@\"\nelse\n    compdef _igloo igloo\nfi\n");
}
