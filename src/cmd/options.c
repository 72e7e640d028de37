/* Theory of operation
 *
 * The tables of a command are laid out flat: igloo's own options first, then the command's groups in
 * order. The place in that order is the option's number: getopt_long() returns 256 + number for the
 * long form and the letter for the short one, and bit `number` of inv->given says that it was there.
 *
 * getopt_long() always runs with "+", so it never moves words and `optind` before a call is the word
 * that the call looks at. Where options may stand among the arguments, these are taken one by one:
 * when getopt_long() stops at an argument it is put aside and the next call starts behind it. */
#include "cmd/options.h"
#include "base/name.h"
#include "base/size.h"

#include <errno.h>
#include <getopt.h>

#define LONG_BASE 256

struct bound {
	const struct opt *opt;
	void *at; /* where the value is stored */
};

struct line {
	struct bound bound[OPTIONS_MAX];
	size_t n;
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 + 2 * OPTIONS_MAX + 1];
};

const struct opt global_opts[] = {
	{.name = "verbose",
	 .letter = 'v',
	 .kind = OPT_COUNTER,
	 .offset = offsetof(struct global_options, verbose),
	 .help = "say what is done; twice: everything"},
	{.name = "quiet",
	 .letter = 'q',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct global_options, quiet),
	 .help = "say nothing but errors",
	 .clashes = "verbose"},
	{.name = "json",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct global_options, json),
	 .help = "print results and errors as JSON"},
	{.name = "help",
	 .letter = 'h',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct global_options, help),
	 .help = "show this help"},
	{.name = "version",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct global_options, version),
	 .help = "show igloo's version"},
	{.name = NULL},
};

static void bind_table(struct line *l, const struct opt *opts, void *base)
{
	for (; opts->name; opts++) {
		if (l->n == OPTIONS_MAX)
			abort(); /* a table of ours; the unit test counts */
		l->bound[l->n].opt = opts;
		l->bound[l->n].at = (char *)base + opts->offset;
		l->n++;
	}
}

static void bind_all(struct line *l, struct invocation *inv)
{
	bind_table(l, global_opts, &inv->global);
	for (const struct opt_group *g = inv->cmd ? inv->cmd->groups : NULL; g && g->title; g++)
		bind_table(l, g->opts, (char *)inv->options + g->offset);
}

static void prepare_getopt(struct line *l)
{
	char *p = l->shorts;

	*p++ = '+';
	*p++ = ':'; /* tell a missing argument from an unknown option, and print neither */
	for (size_t i = 0; i < l->n; i++) {
		const struct opt *o = l->bound[i].opt;

		l->longs[i].name = o->name;
		l->longs[i].has_arg = opt_takes_arg(o) ? required_argument : no_argument;
		l->longs[i].val = LONG_BASE + (int)i;
		if (!o->letter)
			continue;
		*p++ = o->letter;
		if (opt_takes_arg(o))
			*p++ = ':';
	}
}

void options_each(const struct cmd *cmd, void (*each)(const struct opt *o, void *data), void *data)
{
	for (const struct opt_group *g = cmd ? cmd->groups : NULL; g && g->title; g++)
		for (const struct opt *o = g->opts; o->name; o++)
			each(o, data);
}

/* Values. Each setter stores `text` at `at`. */

static int set_flag(const struct opt *o, void *at, const char *text, struct err **e)
{
	*(bool *)at = true;
	return 0;
}

static int set_counter(const struct opt *o, void *at, const char *text, struct err **e)
{
	int *n = at;

	if (*n < 1000)
		(*n)++;
	return 0;
}

static int set_text(const struct opt *o, void *at, const char *text, struct err **e)
{
	*(const char **)at = text;
	return 0;
}

static int set_choice(const struct opt *o, void *at, const char *text, struct err **e)
{
	_cleanup_str_ struct str message = STR_INIT;

	for (const char *const *c = o->choices; *c; c++)
		if (strcmp(*c, text) == 0)
			return set_text(o, at, *c, e);
	str_addc(&message, '\'');
	str_add_printable(&message, text, strnlen(text, 64), false);
	str_adds(&message, "' is not one of");
	for (const char *const *c = o->choices; *c; c++)
		str_addf(&message, "%s %s", c == o->choices ? "" : ",", *c);
	return err_set(e, EINVAL, "%s", str_text(&message));
}

static int set_name(const struct opt *o, void *at, const char *text, struct err **e)
{
	int r = name_check(text, e);

	return r < 0 ? r : set_text(o, at, text, e);
}

static int set_path(const struct opt *o, void *at, const char *text, struct err **e)
{
	if (!*text)
		return err_set(e, EINVAL, "the path is empty");
	return set_text(o, at, text, e);
}

static int set_size(const struct opt *o, void *at, const char *text, struct err **e)
{
	return size_parse(text, o->min, o->max, at, e);
}

static int set_cpus(const struct opt *o, void *at, const char *text, struct err **e)
{
	return size_parse_cpus(text, at, e);
}

static int set_count(const struct opt *o, void *at, const char *text, struct err **e)
{
	return size_parse_count(text, o->min, o->max, at, e);
}

static int set_duration(const struct opt *o, void *at, const char *text, struct err **e)
{
	return size_parse_duration(text, at, e);
}

static int add_text(const struct opt *o, void *at, const char *text, struct err **e)
{
	strv_add(at, text);
	return 0;
}

static int add_path(const struct opt *o, void *at, const char *text, struct err **e)
{
	if (!*text)
		return err_set(e, EINVAL, "the path is empty");
	return add_text(o, at, text, e);
}

static int add_var(const struct opt *o, void *at, const char *text, struct err **e)
{
	if (!*text || *text == '=')
		return err_set(e, EINVAL, "the variable has no name: write NAME or NAME=VALUE");
	return add_text(o, at, text, e);
}

typedef int (*setter)(const struct opt *o, void *at, const char *text, struct err **e);

static const setter setters[] = {
	[OPT_FLAG] = set_flag,   [OPT_COUNTER] = set_counter,   [OPT_TEXT] = set_text, [OPT_CHOICE] = set_choice,
	[OPT_NAME] = set_name,   [OPT_PATH] = set_path,         [OPT_SIZE] = set_size, [OPT_CPUS] = set_cpus,
	[OPT_COUNT] = set_count, [OPT_DURATION] = set_duration, [OPT_LIST] = add_text, [OPT_PATHS] = add_path,
	[OPT_VARS] = add_var,
};
_Static_assert(ARRAY_SIZE(setters) == OPT_KINDS, "every kind of option has a setter");

static int set_value(struct invocation *inv, const struct line *l, size_t i, const char *text, struct err **e)
{
	const struct bound *b = &l->bound[i];
	int r = setters[b->opt->kind](b->opt, b->at, text, e);

	if (r == 0)
		inv->given |= UINT64_C(1) << i;
	return r;
}

/* Errors of the line itself. */

static int unknown_option(const struct invocation *inv, const struct line *l, const char *word, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;
	const char *names[OPTIONS_MAX];
	const char *near = NULL;

	if (str_starts(word, "--")) {
		_cleanup_free_ char *typed = xstrndup(word + 2, strcspn(word + 2, "="));

		for (size_t i = 0; i < l->n; i++) {
			names[i] = l->bound[i].opt->name;
			/* An abbreviation is nearer than any misspelling. */
			if (strlen(typed) >= 2 && str_starts(names[i], typed))
				near = names[i];
		}
		if (!near)
			near = cmd_nearest(typed, names, l->n);
		str_add_printable(&shown, word, strnlen(word, 2 + strlen(typed)), false);
	} else {
		str_addc(&shown, '-');
		str_add_printable(&shown, &(const char){(char)optopt}, 1, false);
	}
	(void)err_set(e, EINVAL, "unknown option '%s'", str_text(&shown));
	if (near)
		return err_hint(e, "did you mean '--%s'?", near);
	return err_hint(e, "'igloo%s%s --help' lists the options", inv->cmd ? " " : "", inv->cmd ? inv->cmd->name : "");
}

/* The number of the option that getopt_long() returned or left in optopt, -1 for none. */
static ptrdiff_t number_of(const struct line *l, int c)
{
	if (c >= LONG_BASE)
		return c - LONG_BASE;
	for (size_t i = 0; i < l->n && c > 0; i++)
		if (l->bound[i].opt->letter == c)
			return (ptrdiff_t)i;
	return -1;
}

/* The word is the long option `name` in full, not an abbreviation that getopt_long() completed. */
static bool is_in_full(const char *word, const char *name)
{
	size_t n = strlen(name);

	return str_starts(word, "--") && str_starts(word + 2, name) && (word[2 + n] == '\0' || word[2 + n] == '=');
}

/* One option, as getopt_long() returned it for `word`. */
static int take_option(struct invocation *inv, const struct line *l, int c, const char *word, struct err **e)
{
	ptrdiff_t i = number_of(l, c == '?' || c == ':' ? optopt : c);
	const struct opt *o = i < 0 ? NULL : l->bound[i].opt;
	bool is_long = str_starts(word, "--");

	if (!o || (is_long && !is_in_full(word, o->name)))
		return unknown_option(inv, l, word, e);
	if (c == ':')
		return err_set(e, EINVAL, "option '--%s' needs an argument: --%s %s", o->name, o->name, o->arg);
	if (c == '?')
		return err_set(e, EINVAL, "option '--%s' takes no argument", o->name);
	if (set_value(inv, l, (size_t)i, optarg, e) < 0)
		return err_wrap(e, "--%s", o->name);
	return 0;
}

static int read_line(struct invocation *inv, struct line *l, int argc, char **argv, int *ret_used, struct err **e)
{
	int before = 1;
	int r;

	opterr = 0;
	optind = 0; /* glibc and musl: start anew */
	for (;;) {
		int c = getopt_long(argc, argv, l->shorts, l->longs, NULL);

		if (c != -1) {
			r = take_option(inv, l, c, argv[before], e);
			if (r < 0)
				return r;
			before = optind;
			continue;
		}
		/* At the end, at an argument, or behind "--". */
		if (optind >= argc || optind != before || !inv->cmd ||
		    (inv->cmd->takes_command && inv->argc >= inv->cmd->command_at))
			break;
		inv->argv[inv->argc++] = argv[optind++];
		before = optind;
	}
	*ret_used = optind;
	for (int i = optind; inv->cmd && i < argc; i++)
		inv->argv[inv->argc++] = argv[i];
	return 0;
}

/* Checks of the whole. */

static int use_variables(struct invocation *inv, const struct line *l, struct err **e)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct opt *o = l->bound[i].opt;
		const char *text = o->env && !(inv->given & UINT64_C(1) << i) ? getenv(o->env) : NULL;

		if (str_has(text) && set_value(inv, l, i, text, e) < 0)
			return err_wrap(e, "%s (in the environment, for --%s)", o->env, o->name);
	}
	return 0;
}

static int check_clashes(const struct invocation *inv, const struct line *l, struct err **e)
{
	for (size_t i = 0; i < l->n; i++) {
		_cleanup_strv_ struct strv names = STRV_INIT;

		if (!l->bound[i].opt->clashes || !(inv->given & UINT64_C(1) << i))
			continue;
		strv_split(&names, l->bound[i].opt->clashes, ' ');
		for (size_t j = 0; j < l->n; j++)
			if (inv->given & UINT64_C(1) << j && strv_has(&names, l->bound[j].opt->name))
				return err_set(e, EINVAL, "--%s and --%s exclude each other: give one of them",
					       l->bound[i].opt->name, l->bound[j].opt->name);
	}
	return 0;
}

static int check_arguments(const struct invocation *inv, struct err **e)
{
	const struct cmd *cmd = inv->cmd;
	_cleanup_str_ struct str usage = STR_INIT;
	_cleanup_str_ struct str shown = STR_INIT;

	if (inv->argc >= cmd->min_args && (cmd->max_args < 0 || inv->argc <= cmd->max_args))
		return 0;
	help_add_usage(&usage, cmd);
	if (inv->argc < cmd->min_args) {
		(void)err_set(e, EINVAL, "'igloo %s' needs %s", cmd->name, cmd->args);
	} else {
		const char *extra = inv->argv[cmd->max_args];

		str_add_printable(&shown, extra, strnlen(extra, 64), false);
		(void)err_set(e, EINVAL, "'igloo %s' has no use for '%s'", cmd->name, str_text(&shown));
	}
	return err_hint(e, "usage: %s", str_text(&usage));
}

int options_parse(struct invocation *inv, int argc, char **argv, int *ret_used, struct err **e)
{
	struct line l = {.n = 0};
	int used;
	int r;

	if (inv->cmd) {
		inv->options = inv->cmd->options_size ? xcalloc(1, inv->cmd->options_size) : NULL;
		inv->argv = xcalloc((size_t)argc + 1, sizeof(*inv->argv));
	}
	bind_all(&l, inv);
	prepare_getopt(&l);
	r = read_line(inv, &l, argc, argv, &used, e);
	if (r == 0 && inv->cmd && !inv->global.help && !inv->global.version) {
		r = check_clashes(inv, &l, e);
		if (r == 0 && !inv->no_variables)
			r = use_variables(inv, &l, e);
		if (r == 0)
			r = check_arguments(inv, e);
	}
	if (r == 0 && ret_used)
		*ret_used = used;
	return r;
}

bool options_given(const struct invocation *inv, const char *name)
{
	const struct opt *o = global_opts;
	const struct opt_group *g = inv->cmd ? inv->cmd->groups : NULL;

	for (uint64_t bit = 1;; bit <<= 1, o++) {
		while (!o->name) {
			if (!g || !g->title)
				return false;
			o = (g++)->opts;
		}
		if (strcmp(o->name, name) == 0)
			return inv->given & bit;
	}
}

void options_release(struct invocation *inv)
{
	for (const struct opt_group *g = inv->cmd && inv->options ? inv->cmd->groups : NULL; g && g->title; g++)
		for (const struct opt *o = g->opts; o->name; o++)
			if (o->kind == OPT_LIST || o->kind == OPT_PATHS || o->kind == OPT_VARS)
				strv_release((void *)((char *)inv->options + g->offset + o->offset));
	free(inv->options);
	free(inv->argv);
	*inv = (struct invocation){0};
}
