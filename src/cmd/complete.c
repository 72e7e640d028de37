/* igloo completion: prints the script for a shell; igloo __complete: what the scripts ask for. */
#include "cmd/complete.h"
#include "cmd/report.h"

#include <errno.h>

const char *const hint_names[HINTS] = {
	[HINT_NONE] = "none",       [HINT_FILES] = "files",         [HINT_DIRS] = "dirs",   [HINT_VARS] = "vars",
	[HINT_VERBS] = "verbs",     [HINT_BOXES] = "boxes",         [HINT_SLOTS] = "slots", [HINT_SHELLS] = "shells",
	[HINT_SECRETS] = "secrets", [HINT_SNAPSHOTS] = "snapshots",
};

static const struct {
	const char *shell;
	void (*add)(struct str *s);
} scripts[] = {
	{"bash", complete_bash},
	{"zsh", complete_zsh},
	{"fish", complete_fish},
};

static const char *const shells[] = {"bash", "zsh", "fish", NULL};
_Static_assert(ARRAY_SIZE(scripts) + 1 == ARRAY_SIZE(shells), "every script can be chosen");

void complete_add_id(struct str *s, const char *name)
{
	for (; *name; name++)
		str_addc(s, (char)(*name == ' ' || *name == '-' ? '_' : *name));
}

void complete_words(const char *family, void (*each)(const char *word, const char *summary, void *data), void *data)
{
	_cleanup_strv_ struct strv families = STRV_INIT;

	for (const struct cmd *const *c = commands; *c; c++) {
		const char *name = (*c)->name;
		size_t n = strcspn(name, " ");

		if ((*c)->hidden)
			continue;
		if (family) {
			if (name[n] && strlen(family) == n && str_starts(name, family))
				each(name + n + 1, (*c)->summary, data);
		} else if (!name[n]) {
			each(name, (*c)->summary, data);
		} else {
			_cleanup_free_ char *first = xstrndup(name, n);

			if (strv_has(&families, first))
				continue;
			strv_add(&families, first);
			each(first, NULL, data);
		}
	}
}

static int run_completion(struct invocation *inv, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_str_ struct str shown = STR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		if (strcmp(scripts[i].shell, inv->argv[0]) != 0)
			continue;
		scripts[i].add(&s);
		return report_out(&s, e);
	}
	str_add_printable(&shown, inv->argv[0], strnlen(inv->argv[0], 64), false);
	return err_set(e, EINVAL, "no completion for the shell '%s': there is bash, zsh and fish", str_text(&shown));
}

static const struct example completion_examples[] = {
	{"source <(igloo completion bash)", "Complete in this bash; from ~/.bashrc, in every one."},
	{"igloo completion zsh > ~/.zfunc/_igloo", "For zsh, when ~/.zfunc is in fpath."},
	{"igloo completion fish > ~/.config/fish/completions/igloo.fish", "For fish."},
	{NULL, NULL},
};

const struct cmd cmd_completion = {
	.name = "completion",
	.args = "bash|zsh|fish",
	.summary = "print the completion script for a shell",
	.about = "An installed igloo is completed without this: its scripts lie where the shells look for them.",
	.examples = completion_examples,
	.min_args = 1,
	.max_args = 1,
	.arg_choices = shells,
	.run = run_completion,
};

/* bash expands the words it is given to choose from, so a name with anything to expand in it (of a
 * hostile flake, say) is not passed on. */
static bool is_plain(const char *name)
{
	return *name && *name != '-' &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-")] == '\0';
}

/* Says nothing of what goes wrong: a message would land in the line that is being typed. */
static int run_complete(struct invocation *inv, struct err **e)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_str_ struct str s = STR_INIT;

	if (complete_names(inv->argv[0], &names) < 0)
		inv->exit_code = 1;
	for (size_t i = 0; i < names.n; i++)
		if (is_plain(names.v[i]))
			str_addf(&s, "%s\n", names.v[i]);
	return report_out(&s, e);
}

const struct cmd cmd_complete = {
	.name = "__complete",
	.args = "boxes|slots|snapshots|secrets|shells",
	.summary = "print names for a completion script",
	.min_args = 1,
	.max_args = 1,
	.hidden = true,
	.run = run_complete,
};
