/* The bash script: three functions of `case` tables and one fixed driver that walks the line. */
#include "cmd/complete.h"
#include "cmd/options.h"

static const char driver[] =
	"# Puts into COMPREPLY what HINT offers for the word $cur.\n"
	"_igloo_reply()\n"
	"{\n"
	"    case $1 in\n"
	"    files) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
	"    dirs) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
	"    vars) mapfile -t COMPREPLY < <(compgen -e -- \"$cur\") ;;\n"
	"    verbs) mapfile -t COMPREPLY < <(compgen -W \"$(_igloo_verbs '')\" -- \"$cur\") ;;\n"
	"    choice:*) mapfile -t COMPREPLY < <(compgen -W \"${1#choice:}\" -- \"$cur\") ;;\n"
	"    boxes|slots|shells)\n"
	"        mapfile -t COMPREPLY < <(compgen -W \"$(igloo __complete \"$1\" 2>/dev/null)\" -- \"$cur\") ;;\n"
	"    esac\n"
	"}\n"
	"\n"
	"_igloo()\n"
	"{\n"
	"    local cur=${COMP_WORDS[COMP_CWORD]} verb= option= dashes= hint= command_at= word i n=0 at=0\n"
	"    COMPREPLY=()\n"
	"    # '--in=x' arrives as the three words '--in', '=', 'x'.\n"
	"    [[ $cur == = ]] && cur=\n"
	"    for ((i = 1; i < COMP_CWORD; i++)); do\n"
	"        word=${COMP_WORDS[i]}\n"
	"        if [[ $option ]]; then\n"
	"            [[ $word == = ]] || option=\n"
	"        elif [[ $dashes ]]; then\n"
	"            _igloo_argument \"$verb\" \"$n\"\n"
	"            [[ $command_at == \"$n\" ]] && at=$i\n"
	"            ((n++))\n"
	"        elif [[ $word == -- ]]; then\n"
	"            dashes=1\n"
	"        elif [[ $word == -* ]]; then\n"
	"            _igloo_option \"$verb\" \"$word\" && option=$word\n"
	"        elif [[ -z $verb ]]; then\n"
	"            verb=$word\n"
	"        elif [[ $(_igloo_verbs \"$verb\") && $verb != *' '* ]]; then\n"
	"            verb=\"$verb $word\"\n"
	"        else\n"
	"            _igloo_argument \"$verb\" \"$n\"\n"
	"            [[ $command_at == \"$n\" ]] && at=$i dashes=1\n"
	"            ((n++))\n"
	"        fi\n"
	"    done\n"
	"    if [[ $option ]]; then\n"
	"        _igloo_option \"$verb\" \"$option\" && _igloo_reply \"$hint\"\n"
	"    elif [[ -z $dashes && $cur == -* ]]; then\n"
	"        mapfile -t COMPREPLY < <(compgen -W \"$(_igloo_options \"$verb\")\" -- \"$cur\")\n"
	"    elif [[ $(_igloo_verbs \"$verb\") && $verb != *' '* ]]; then\n"
	"        mapfile -t COMPREPLY < <(compgen -W \"$(_igloo_verbs \"$verb\")\" -- \"$cur\")\n"
	"    else\n"
	"        _igloo_argument \"$verb\" \"$n\"\n"
	"        if [[ $at -gt 0 ]]; then\n"
	"            # The command's own completion, where bash-completion is loaded.\n"
	"            if declare -F _command_offset >/dev/null; then\n"
	"                _command_offset \"$at\"\n"
	"            else\n"
	"                _igloo_reply files\n"
	"            fi\n"
	"        elif [[ $command_at == \"$n\" ]]; then\n"
	"            mapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
	"        else\n"
	"            _igloo_reply \"$hint\"\n"
	"        fi\n"
	"    fi\n"
	"}\n"
	"complete -F _igloo igloo\n";

static void add_word(const char *word, const char *summary, void *data)
{
	str_addf(data, "%s ", word);
}

static void add_verbs_of(const char *word, const char *summary, void *data)
{
	struct str *s = data;

	if (summary)
		return;
	str_addf(s, "    %s) echo '", word);
	complete_words(word, add_word, s);
	str_adds(s, "' ;;\n");
}

/* Verbs behind "" or a family's name; nothing behind a command. */
static void add_verbs(struct str *s)
{
	str_adds(s, "_igloo_verbs()\n{\n    case $1 in\n    '') echo '");
	complete_words(NULL, add_word, s);
	str_adds(s, "' ;;\n");
	complete_words(NULL, add_verbs_of, s);
	str_adds(s, "    esac\n}\n\n");
}

static void add_option_names(const struct opt *o, void *data)
{
	if (o->letter)
		str_addf(data, "-%c ", o->letter);
	str_addf(data, "--%s ", o->name);
}

static void add_options(struct str *s)
{
	str_adds(s, "# The options of a verb.\n_igloo_options()\n{\n    echo '");
	for (const struct opt *o = global_opts; o->name; o++)
		add_option_names(o, s);
	str_adds(s, "'\n    case $1 in\n");
	for (const struct cmd *const *c = commands; *c; c++) {
		if ((*c)->hidden || !(*c)->groups)
			continue;
		str_addf(s, "    '%s') echo '", (*c)->name);
		options_each(*c, add_option_names, s);
		str_adds(s, "' ;;\n");
	}
	str_adds(s, "    esac\n}\n\n");
}

static void add_hint(struct str *s, enum hint hint, const char *const *choices)
{
	if (!choices) {
		str_addf(s, "hint=%s", hint_names[hint]);
		return;
	}
	str_adds(s, "hint='choice:");
	for (; *choices; choices++)
		str_addf(s, "%s ", *choices);
	str_addc(s, '\'');
}

struct verb_options {
	struct str *s;
	const char *verb;
};

static void add_option_case(const struct opt *o, void *data)
{
	struct verb_options *v = data;

	if (!opt_takes_arg(o))
		return;
	str_addf(v->s, "    '%s:--%s'", v->verb, o->name);
	if (o->letter)
		str_addf(v->s, "|'%s:-%c'", v->verb, o->letter);
	str_adds(v->s, ") ");
	add_hint(v->s, o->hint, o->choices);
	str_adds(v->s, " ;;\n");
}

static void add_option_cases(struct str *s)
{
	str_adds(s, "# VERB OPTION: sets hint and succeeds if the option takes an argument.\n"
		    "_igloo_option()\n{\n    case $1:$2 in\n");
	for (const struct cmd *const *c = commands; *c; c++)
		if (!(*c)->hidden)
			options_each(*c, add_option_case, &(struct verb_options){s, (*c)->name});
	str_adds(s, "    *) return 1 ;;\n    esac\n}\n\n");
}

static void add_argument_cases(struct str *s)
{
	str_adds(s, "# VERB N: sets hint for the argument number N, and command_at for a verb that takes a command.\n"
		    "_igloo_argument()\n{\n    hint=none command_at=\n    case $1:$2 in\n");
	for (const struct cmd *const *c = commands; *c; c++) {
		const struct cmd *cmd = *c;

		if (cmd->hidden || cmd->max_args == 0)
			continue;
		str_addf(s, "    '%s:0') ", cmd->name);
		add_hint(s, cmd->arg_hint, cmd->arg_choices);
		if (cmd->takes_command)
			str_addf(s, " command_at=%d", cmd->command_at);
		str_adds(s, " ;;\n");
		if (cmd->max_args == 1)
			continue;
		str_addf(s, "    '%s:'*) ", cmd->name);
		add_hint(s, cmd->more_hint, NULL);
		if (cmd->takes_command)
			str_addf(s, " command_at=%d", cmd->command_at);
		str_adds(s, " ;;\n");
	}
	str_adds(s, "    esac\n}\n\n");
}

void complete_bash(struct str *s)
{
	str_addf(s, "# bash completion for igloo %s, made by 'igloo completion bash'.\n\n", igloo_version);
	add_verbs(s);
	add_options(s);
	add_option_cases(s);
	add_argument_cases(s);
	str_adds(s, driver);
}
