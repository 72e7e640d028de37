/* From the words on the command line to a command. */
#include "cmd/cmd.h"

#include <errno.h>

/* `name` is the family of `full`: "slot" of "slot ls". */
static bool is_family(const char *full, const char *name)
{
	return str_starts(full, name) && full[strlen(name)] == ' ';
}

int cmd_words(const char *name)
{
	for (const struct cmd *const *c = commands; *c; c++) {
		if (strcmp((*c)->name, name) == 0)
			return 1;
		if (is_family((*c)->name, name))
			return 2;
	}
	return 0;
}

const char *cmd_nearest(const char *typed, const char *const *names, size_t n)
{
	size_t best_distance = strlen(typed) / 3 + 1;
	const char *best = NULL;

	/* Short words are near to everything: more than half of the letters must be right. */
	if (best_distance > 3)
		best_distance = 3;
	for (size_t i = 0; i < n; i++) {
		size_t d = str_distance(typed, names[i]);

		if (d <= best_distance && d * 2 < strlen(names[i]) + 1 && (!best || d < best_distance)) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}

/* An unknown word: of the verbs of `family`, or of all first words when it is NULL. */
static int unknown(const char *family, const char *word, struct err **e)
{
	_cleanup_free_ const char **names = NULL;
	_cleanup_strv_ struct strv first = STRV_INIT;
	_cleanup_str_ struct str shown = STR_INIT;
	const char *near;

	for (const struct cmd *const *c = commands; *c; c++) {
		if ((*c)->hidden)
			continue;
		if (!family)
			strv_add_take(&first, xstrndup((*c)->name, strcspn((*c)->name, " ")));
		else if (is_family((*c)->name, family))
			strv_add(&first, (*c)->name + strlen(family) + 1);
	}
	names = xcalloc(first.n + 1, sizeof(*names));
	for (size_t i = 0; i < first.n; i++)
		names[i] = first.v[i];
	near = cmd_nearest(word, names, first.n);
	str_add_printable(&shown, word, strnlen(word, 64), false);
	(void)err_set(e, ENOENT, "'%s%s%s' is not an igloo command", family ? family : "", family ? " " : "",
		      str_text(&shown));
	if (near)
		return err_hint(e, "did you mean '%s%s%s'?", family ? family : "", family ? " " : "", near);
	return err_hint(e, "'igloo help%s%s' lists the commands", family ? " " : "", family ? family : "");
}

int cmd_find(int argc, char *const *argv, const struct cmd **ret, int *ret_words, struct err **e)
{
	_cleanup_free_ char *full = NULL;
	int words = cmd_words(argv[0]);

	if (words == 0)
		return unknown(NULL, argv[0], e);
	if (words == 2 && argc < 2) {
		(void)err_set(e, EINVAL, "'igloo %s' needs a verb", argv[0]);
		return err_hint(e, "'igloo help %s' lists them", argv[0]);
	}
	full = words == 2 ? xasprintf("%s %s", argv[0], argv[1]) : xstrdup(argv[0]);
	for (const struct cmd *const *c = commands; *c; c++) {
		if (strcmp((*c)->name, full) == 0) {
			*ret = *c;
			*ret_words = words;
			return 0;
		}
	}
	return unknown(argv[0], argv[1], e);
}
