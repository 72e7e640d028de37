/* The fish script: one `complete` line per option, under a condition on the verb. */
#include "cmd/complete.h"
#include "cmd/options.h"

/* More arguments than a line has. */
#define MANY 9999

static const char driver[] =
	"# Prints the verb, then the arguments behind it, one a line. Fails where no options can follow: behind\n"
	"# \"--\" and in a command that has its own.\n"
	"function __igloo_line\n"
	"    set -l words (commandline -opc)\n"
	"    set -l verb\n"
	"    set -l rest\n"
	"    set -l skip\n"
	"    set -l dashes\n"
	"    for word in $words[2..-1]\n"
	"        if test -n \"$skip\"\n"
	"            set skip\n"
	"        else if test -n \"$dashes\"\n"
	"            set -a rest $word\n"
	"        else if test \"$word\" = --\n"
	"            set dashes 1\n"
	"        else if string match -q -- '-*' $word\n"
	"            contains -- \"$verb $word\" $__igloo_with_argument; and set skip 1\n"
	"        else if test -z \"$verb\"\n"
	"            set verb $word\n"
	"        else if contains -- $verb $__igloo_families\n"
	"            set verb \"$verb $word\"\n"
	"        else\n"
	"            contains -- \"$verb \"(count $rest) $__igloo_command_at; and set dashes 1\n"
	"            set -a rest $word\n"
	"        end\n"
	"    end\n"
	"    echo \"$verb\"\n"
	"    string join \\n -- $rest\n"
	"    test -z \"$dashes\"\n"
	"end\n"
	"\n"
	"# VERB: options of VERB may follow.\n"
	"function __igloo_in\n"
	"    set -l line (__igloo_line); or return 1\n"
	"    test \"$line[1]\" = \"$argv[1]\"\n"
	"end\n"
	"\n"
	"function __igloo_own_options\n"
	"    __igloo_line >/dev/null\n"
	"end\n"
	"\n"
	"# VERB FROM TO: an argument of VERB follows, whose number is in this range.\n"
	"function __igloo_argument\n"
	"    set -l line (__igloo_line)\n"
	"    set -l n (math (count $line) - 1)\n"
	"    test \"$line[1]\" = \"$argv[1]\" -a $n -ge $argv[2] -a $n -le $argv[3]\n"
	"end\n"
	"\n"
	"# SKIP: completes the command that follows SKIP arguments.\n"
	"function __igloo_command\n"
	"    set -l line (__igloo_line)\n"
	"    set -e line[1]\n"
	"    test $argv[1] -gt 0; and set -e line[1..$argv[1]]\n"
	"    # The first word may still be an option of igloo's.\n"
	"    test -z \"$line\"; and string match -q -- '-*' (commandline -ct); and return\n"
	"    __fish_complete_subcommand --commandline $line (commandline -ct)\n"
	"end\n"
	"\n"
	"complete -c igloo -f\n";

static const char *const actions[HINTS] = {
	[HINT_NONE] = NULL,
	[HINT_FILES] = "(__fish_complete_path (commandline -ct))",
	[HINT_DIRS] = "(__fish_complete_directories (commandline -ct))",
	[HINT_VARS] = "(set -nx)",
	[HINT_VERBS] = "(__igloo_verbs)",
	[HINT_BOXES] = "(igloo __complete boxes 2>/dev/null)",
	[HINT_SLOTS] = "(igloo __complete slots 2>/dev/null)",
	[HINT_SHELLS] = "(igloo __complete shells 2>/dev/null)",
	[HINT_SECRETS] = "(igloo __complete secrets 2>/dev/null)",
	[HINT_SNAPSHOTS] = "(igloo __complete snapshots 2>/dev/null)",
};

/* In single quotes, where fish knows \' and \\. */
static void add_quoted(struct str *s, const char *text)
{
	str_addc(s, '\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			str_addc(s, '\\');
		str_addc(s, *text);
	}
	str_addc(s, '\'');
}

static void add_action(struct str *s, enum hint hint, const char *const *choices)
{
	if (!choices && !actions[hint])
		return;
	str_adds(s, " -a ");
	if (!choices) {
		add_quoted(s, actions[hint]);
		return;
	}
	str_addc(s, '\'');
	for (; *choices; choices++)
		str_addf(s, "%s ", *choices);
	str_addc(s, '\'');
}

struct verb_options {
	struct str *s;
	const char *verb; /* NULL: whatever the verb */
};

static void add_option(const struct opt *o, void *data)
{
	const struct verb_options *v = data;

	str_adds(v->s, "complete -c igloo");
	if (v->verb)
		str_addf(v->s, " -n '__igloo_in \"%s\"'", v->verb);
	else
		str_adds(v->s, " -n __igloo_own_options");
	if (o->letter)
		str_addf(v->s, " -s %c", o->letter);
	str_addf(v->s, " -l %s", o->name);
	if (opt_takes_arg(o)) {
		str_adds(v->s, " -x");
		add_action(v->s, o->hint, o->choices);
	}
	str_adds(v->s, " -d ");
	add_quoted(v->s, o->help);
	str_addc(v->s, '\n');
}

static void add_with_argument(const struct opt *o, void *data)
{
	const struct verb_options *v = data;

	if (!opt_takes_arg(o))
		return;
	str_addf(v->s, " '%s --%s'", v->verb, o->name);
	if (o->letter)
		str_addf(v->s, " '%s -%c'", v->verb, o->letter);
}

static void add_family_name(const char *word, const char *summary, void *data)
{
	if (!summary)
		str_addf(data, " %s", word);
}

static void add_variables(struct str *s)
{
	str_adds(s, "set -g __igloo_with_argument");
	for (const struct cmd *const *c = commands; *c; c++)
		if (!(*c)->hidden)
			options_each(*c, add_with_argument, &(struct verb_options){s, (*c)->name});
	str_adds(s, "\nset -g __igloo_families");
	complete_words(NULL, add_family_name, s);
	str_adds(s, "\nset -g __igloo_command_at");
	for (const struct cmd *const *c = commands; *c; c++)
		if (!(*c)->hidden && (*c)->takes_command)
			str_addf(s, " '%s %d'", (*c)->name, (*c)->command_at);
	str_adds(s, "\n\n");
}

static void add_verb_line(const char *word, const char *summary, void *data)
{
	_cleanup_free_ char *family = summary ? NULL : xasprintf("commands of igloo %s", word);

	str_addf(data, "    echo %s\\t", word);
	add_quoted(data, summary ? summary : family);
	str_addc(data, '\n');
}

static void add_family_verbs(const char *word, const char *summary, void *data)
{
	struct str *s = data;

	if (summary)
		return;
	str_addf(s, "function __igloo_verbs_%s\n", word);
	complete_words(word, add_verb_line, s);
	str_addf(s, "end\ncomplete -c igloo -n '__igloo_in \"%s\"' -a '(__igloo_verbs_%s)'\n", word, word);
}

/* The arguments from number `from` to `to`. */
static void add_argument(struct str *s, const struct cmd *cmd, int from, int to)
{
	enum hint hint = from == 0 ? cmd->arg_hint : cmd->more_hint;
	const char *const *choices = from == 0 ? cmd->arg_choices : NULL;

	if (to < from || (hint == HINT_NONE && !choices))
		return;
	str_addf(s, "complete -c igloo -n '__igloo_argument \"%s\" %d %d'", cmd->name, from, to);
	add_action(s, hint, choices);
	str_addc(s, '\n');
}

static void add_arguments(struct str *s, const struct cmd *cmd)
{
	int n = cmd->takes_command ? cmd->command_at : cmd->max_args;

	if (n < 0)
		n = MANY;
	add_argument(s, cmd, 0, n > 0 ? 0 : -1);
	add_argument(s, cmd, 1, n - 1);
	if (cmd->takes_command)
		str_addf(s, "complete -c igloo -n '__igloo_argument \"%s\" %d %d' -a '(__igloo_command %d)'\n",
			 cmd->name, n, MANY, n);
}

void complete_fish(struct str *s)
{
	str_addf(s, "# fish completion for igloo %s, made by 'igloo completion fish'.\n\n", igloo_version);
	add_variables(s);
	str_adds(s, driver);
	str_adds(s,
		 "\nfunction __igloo_own_options\n    set -l line (__igloo_line)\n    __igloo_in \"$line[1]\"\nend\n");
	str_adds(s, "\nfunction __igloo_verbs\n");
	complete_words(NULL, add_verb_line, s);
	str_adds(s, "end\n\ncomplete -c igloo -n '__igloo_in \"\"' -a '(__igloo_verbs)'\n");
	complete_words(NULL, add_family_verbs, s);
	for (const struct opt *o = global_opts; o->name; o++)
		add_option(o, &(struct verb_options){s, NULL});
	for (const struct cmd *const *c = commands; *c; c++) {
		if ((*c)->hidden)
			continue;
		options_each(*c, add_option, &(struct verb_options){s, (*c)->name});
		add_arguments(s, *c);
	}
}
