/* igloo generate-man: igloo(1) in mdoc(7), made from the command tables when igloo is built.
 *
 * Prose that no table holds stands here. Text from tables never stands at the start of a macro's
 * line without "\&" in front, so that no word of it is taken for a macro. */
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/report.h"

static const char head[] = ".Dd November 21, 2026\n"
			   ".Dt IGLOO 1\n"
			   ".Os\n"
			   ".Sh NAME\n"
			   ".Nm igloo\n"
			   ".Nd run commands in a flake's environment, sealed off from the machine\n"
			   ".Sh SYNOPSIS\n"
			   ".Nm\n"
			   ".Op Ar options\n"
			   ".Ar command ...\n";

static const char description[] = ".Sh DESCRIPTION\n"
				  ".Nm\n"
				  "runs a command \\(en an agent, a build, a shell \\(en inside the environment\n"
				  "that the repository's\n"
				  ".Pa flake.nix\n"
				  "declares, sealed off from the machine it runs on.\n"
				  ".Pp\n"
				  "Its words are these:\n"
				  ".Bl -tag -width workspace\n"
				  ".It environment\n"
				  "What\n"
				  ".Ql devShells.<system>.<name>\n"
				  "of the flake declares: variables, shell functions and the shell hook.\n"
				  "Its closure is the set of store paths it needs.\n"
				  ".It box\n"
				  "One sealed place: an environment, a workspace, a policy and some state.\n"
				  ".It kind\n"
				  "How a box is sealed.\n"
				  ".It slot\n"
				  "What the boxes of one project share and what outlives them: a writable Nix\n"
				  "store with its database, caches, a home and records of environments.\n"
				  ".It workspace\n"
				  "The repository inside the box, at the same absolute path as outside.\n"
				  ".El\n"
				  ".Pp\n"
				  "A flake is evaluated inside the box, never on the host.\n"
				  "What it asks for takes effect only as far as the user granted it on the host.\n"
				  ".Pp\n"
				  "Of an option that takes one value and is given twice, the last one counts.\n"
				  "Long options cannot be abbreviated.\n";

static const char exit_status[] = ".Sh EXIT STATUS\n"
				  "The exit status of a command that ran in a box is passed through; a command\n"
				  "that a signal ended gives 128 and the signal's number.\n"
				  "Else:\n"
				  ".Pp\n"
				  ".Bl -tag -width Ds -compact\n"
				  ".It 0\n"
				  "Success.\n"
				  ".It 125\n"
				  ".Nm\n"
				  "failed, or was called wrongly.\n"
				  ".It 126\n"
				  "The command was found but could not be executed.\n"
				  ".It 127\n"
				  "The command was not found.\n"
				  ".El\n"
				  ".Pp\n"
				  "An error is one to three lines on standard error.\n"
				  "With\n"
				  ".Fl -json\n"
				  "it is one JSON object on one line of standard error, with the members\n"
				  ".Ql schema\n"
				  ".Pq Ql igloo.error/1 ,\n"
				  ".Ql command ,\n"
				  ".Ql message ,\n"
				  ".Ql detail ,\n"
				  ".Ql hints ,\n"
				  ".Ql errno\n"
				  "and\n"
				  ".Ql exit .\n";

static const char environment[] = ".Sh ENVIRONMENT\n"
				  ".Bl -tag -width Ds\n"
				  ".It Ev XDG_STATE_HOME\n"
				  "Where boxes and slots are kept;\n"
				  ".Pa ~/.local/state\n"
				  "if unset.\n"
				  ".It Ev XDG_CACHE_HOME\n"
				  "Where caches are kept;\n"
				  ".Pa ~/.cache\n"
				  "if unset.\n"
				  ".It Ev XDG_CONFIG_HOME\n"
				  "Where grants are kept;\n"
				  ".Pa ~/.config\n"
				  "if unset.\n"
				  ".It Ev XDG_RUNTIME_DIR\n"
				  "Where the sockets of running boxes are.\n";

static const char tail[] = ".Sh FILES\n"
			   ".Bl -tag -width Ds\n"
			   ".It Pa flake.nix\n"
			   "The only file that a repository needs.\n"
			   ".It Pa $XDG_STATE_HOME/igloo/boxes/\n"
			   "One folder per box.\n"
			   ".It Pa $XDG_STATE_HOME/igloo/slots/\n"
			   "One folder per slot.\n"
			   ".It Pa $XDG_CACHE_HOME/igloo/\n"
			   "What can be made again.\n"
			   ".It Pa $XDG_CONFIG_HOME/igloo/\n"
			   "What the user granted.\n"
			   ".It Pa $XDG_RUNTIME_DIR/igloo/\n"
			   "Sockets and other things that end with the session.\n"
			   ".El\n";

static const char see_also[] = ".Sh SEE ALSO\n"
			       ".Xr git 1 ,\n"
			       ".Xr nix 1 ,\n"
			       ".Xr cgroups 7 ,\n"
			       ".Xr namespaces 7\n";

/* Text on a line of its own or behind "\&": escapes only. */
static void add_escaped(struct str *s, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\')
			str_adds(s, "\\e");
		else if (*text == '-')
			str_adds(s, "\\-");
		else if (*text == '\'')
			str_adds(s, "\\(aq");
		else if (*text == '~')
			str_adds(s, "\\(ti");
		else
			str_addc(s, *text);
	}
}

/* One sentence, broken at blanks after 70 bytes. */
static void add_line(struct str *s, const char *text)
{
	size_t start = s->len;

	while (*text) {
		size_t n = strcspn(text, " ");
		_cleanup_free_ char *word = xstrndup(text, n);

		if (s->len == start && *word == '.')
			str_adds(s, "\\&"); /* no macro */
		add_escaped(s, word);
		text += n;
		if (*text == ' ')
			text++;
		if (*text && s->len - start < 70) {
			str_addc(s, ' ');
		} else {
			str_addc(s, '\n');
			start = s->len;
		}
	}
}

/* Sentences on lines of their own, as mdoc wants them, paragraphs apart. */
static void add_prose(struct str *s, const char *text)
{
	while (*text) {
		const char *stop = strstr(text, ". ");
		const char *para = strstr(text, "\n\n");
		_cleanup_free_ char *line = NULL;
		size_t n = strlen(text);
		size_t gap = 0;

		if (para) {
			n = (size_t)(para - text);
			gap = 2;
		}
		if (stop && (size_t)(stop - text) < n) {
			n = (size_t)(stop - text) + 1;
			gap = 1;
		}
		line = xstrndup(text, n);
		add_line(s, line);
		if (gap == 2)
			str_adds(s, ".Pp\n");
		text += n + gap;
	}
}

/* One argument of a macro. */
static void add_quoted_arg(struct str *s, const char *text)
{
	str_adds(s, "\"\\&");
	for (; *text; text++) {
		if (*text == '"')
			str_adds(s, "\\(dq");
		else
			add_escaped(s, (const char[]){*text, '\0'});
	}
	str_addc(s, '"');
}

static void add_option(struct str *s, const struct opt *o)
{
	str_adds(s, ".It");
	if (o->letter)
		str_addf(s, " Fl %c ,", o->letter);
	str_addf(s, " Fl -%s", o->name);
	if (o->arg) {
		str_adds(s, " Ar ");
		add_quoted_arg(s, o->arg);
	}
	str_addc(s, '\n');
	if (o->help[0] >= 'a' && o->help[0] <= 'z')
		str_addc(s, (char)(o->help[0] - 'a' + 'A'));
	else
		str_addc(s, o->help[0]);
	add_escaped(s, o->help + 1);
	for (const char *const *c = o->choices; c && *c; c++)
		str_addf(s, "%s%s", c == o->choices ? ": " : ", ", *c);
	str_adds(s, ".\n");
}

static void add_options(struct str *s, const char *title, const struct opt *opts)
{
	str_adds(s, ".Pp\n");
	add_escaped(s, title);
	str_adds(s, ":\n.Bl -tag -width Ds -compact\n");
	for (; opts->name; opts++)
		add_option(s, opts);
	str_adds(s, ".El\n");
}

static void add_examples(struct str *s, const struct cmd *cmd)
{
	for (const struct example *x = cmd->examples; x && x->command; x++) {
		str_adds(s, ".It Li ");
		add_quoted_arg(s, x->command);
		str_addc(s, '\n');
		add_prose(s, x->what);
	}
}

static void add_command(struct str *s, const struct cmd *cmd)
{
	_cleanup_free_ char *usage = xasprintf("%s%s%s", cmd->groups ? "[options]" : "",
					       cmd->groups && *cmd->args ? " " : "", cmd->args);

	str_adds(s, ".Ss ");
	add_quoted_arg(s, cmd->name);
	str_adds(s, "\n.Nm Cm ");
	add_quoted_arg(s, cmd->name);
	if (*usage) {
		str_adds(s, " Ar ");
		add_quoted_arg(s, usage);
	}
	str_adds(s, "\n.Pp\n");
	str_addc(s, (char)(cmd->summary[0] >= 'a' ? cmd->summary[0] - 'a' + 'A' : cmd->summary[0]));
	add_escaped(s, cmd->summary + 1);
	str_adds(s, ".\n");
	if (cmd->about) {
		str_adds(s, ".Pp\n");
		add_prose(s, cmd->about);
	}
	for (const struct opt_group *g = cmd->groups; g && g->title; g++)
		add_options(s, g->title, g->opts);
}

struct variables {
	struct str *s;
	struct strv seen;
};

/* Several commands share an option: its variable is told once. */
static void add_variable(const struct opt *o, void *data)
{
	struct variables *v = data;

	if (!o->env || strv_has(&v->seen, o->env))
		return;
	strv_add(&v->seen, o->env);
	str_addf(v->s, ".It Ev %s\nStands in for\n.Fl -%s\nwhere that is not given.\n", o->env, o->name);
}

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;
	struct variables variables = {&s, STRV_INIT};
	int r;

	str_adds(&s, head);
	str_adds(&s, description);
	str_adds(&s, ".Pp\nThese options may stand before or behind the name of any command:\n");
	str_adds(&s, ".Bl -tag -width Ds\n");
	for (const struct opt *o = global_opts; o->name; o++)
		add_option(&s, o);
	str_adds(&s, ".El\n.Sh COMMANDS\n");
	for (const struct cmd *const *c = commands; *c; c++)
		if (!(*c)->hidden)
			add_command(&s, *c);
	str_adds(&s, environment);
	for (const struct cmd *const *c = commands; *c; c++)
		if (!(*c)->hidden)
			options_each(*c, add_variable, &variables);
	strv_release(&variables.seen);
	str_adds(&s, ".El\n");
	str_adds(&s, tail);
	str_adds(&s, exit_status);
	str_adds(&s, ".Sh EXAMPLES\n.Bl -tag -width Ds\n");
	for (const struct cmd *const *c = commands; *c; c++)
		if (!(*c)->hidden)
			add_examples(&s, *c);
	str_adds(&s, ".El\n");
	str_adds(&s, see_also);
	r = report_out(&s, e);
	return r;
}

const struct cmd cmd_generate_man = {
	.name = "generate-man",
	.args = "",
	.summary = "print igloo(1) in mdoc",
	.hidden = true,
	.run = run,
};
