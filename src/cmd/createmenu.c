#include "cmd/createmenu.h"

#include "base/log.h"
#include "base/name.h"
#include "box/box.h"
#include "box/portspec.h"
#include "box/shares.h"
#include "cmd/menu.h"
#include "cmd/options.h"
#include "nix/source.h"

#include <errno.h>
#include <string.h>

struct asking {
	struct menu menu;
	const struct cmd *cmd;
	const char *option; /* of the question that is being asked */
	char *name;         /* of the box */
	struct strv options;
};

/* Presets as in ai-vm; what is not chosen is left to igloo. */
static const struct menu_entry memory[] = {{"", "igloo's choice"}, {"2G", NULL},  {"4G", NULL},
					   {"8G", NULL},           {"16G", NULL}, {"32G", NULL}};
static const struct menu_entry cpus[] = {
	{"", "igloo's choice"}, {"1cpu", NULL}, {"2cpu", NULL}, {"4cpu", NULL}, {"8cpu", NULL}};
static const struct menu_entry disk[] = {
	{"", "igloo's choice"}, {"20G", NULL}, {"50G", NULL}, {"100G", NULL}, {"200G", NULL}};
static const struct menu_entry none[] = {{"", "none"}};
static const struct menu_entry no_more[] = {{"", "no more"}};

/* What can be switched on, as far as this igloo has it. */
static const struct {
	const char *option;
	bool machine;       /* for a vm only */
	const char *values; /* of an option that takes a text: "A B" */
} features[] = {
	{"overlay", true, NULL}, {"audio", true, NULL},      {"display", true, "window vnc"}, {"nested", true, NULL},
	{"clone", false, NULL},  {"read-only", false, NULL}, {"offline", false, NULL},
};
enum { ENTRIES_MAX = 32 };

static void find_option(const struct opt *o, void *data)
{
	const struct opt **found = data;

	if (strcmp((*found)->name, o->name) == 0)
		*found = o;
}

static const struct opt *option_of(const struct cmd *cmd, const char *name)
{
	const struct opt wanted = {.name = name};
	const struct opt *found = &wanted;

	options_each(cmd, find_option, (void *)&found);
	return found == &wanted ? NULL : found;
}

/* As the command line would take it. */
static int check_option(const char *value, void *data, struct err **e)
{
	const struct asking *a = data;
	_cleanup_free_ char *option = xasprintf("--%s=%s", a->option, value);
	struct invocation inv = {.cmd = a->cmd, .no_variables = true};
	char name[] = "create";
	char *argv[] = {name, option, NULL};
	int r = options_parse(&inv, 2, argv, NULL, e);

	options_release(&inv);
	return r;
}

static int check_name(const char *value, void *data, struct err **e)
{
	struct box_info info = {0};
	int r = name_check(value, e);

	if (r == 0 && box_look(value, &info, NULL) == 0)
		r = err_set(e, EEXIST, "there is already a box called '%s'", value);
	box_info_release(&info);
	return r;
}

static int check_port(const char *value, void *data, struct err **e)
{
	struct portspec spec;

	return portspec_parse(value, &spec, e);
}

/* Nobody expands a "~" that is typed here. */
static char *expanded(const char *path)
{
	const char *home = getenv("HOME");

	return str_starts(path, "~/") && home ? xasprintf("%s%s", home, path + 1) : xstrdup(path);
}

static int check_share(const char *value, void *data, struct err **e)
{
	_cleanup_free_ char *text = expanded(value);
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *at = NULL;
	_cleanup_free_ char *real = NULL;
	_cleanup_str_ struct str shown = STR_INIT;
	int r = shares_parse(text, &path, &at, e);

	if (r < 0)
		return r;
	str_add_printable(&shown, path, strlen(path), false);
	real = realpath(path, NULL);
	return real ? 0 : err_errno(e, errno, "cannot share '%s'", str_text(&shown));
}

static int ask_size(struct asking *a, const char *option, const char *title, const char *how,
		    const struct menu_entry *entries, size_t n, bool *ret_chosen, struct err **e)
{
	const struct menu_question q = {.title = title,
					.how = how,
					.entries = entries,
					.n = n,
					.typed = true,
					.check = check_option,
					.data = a};
	_cleanup_strv_ struct strv answer = STRV_INIT;
	int r;

	if (!option_of(a->cmd, option))
		return 0;
	a->option = option;
	r = menu_ask(&a->menu, &q, &answer, e);
	if (r == 0 && answer.n > 0)
		strv_addf(&a->options, "--%s=%s", option, answer.v[0]);
	*ret_chosen = r == 0 && answer.n > 0;
	return r;
}

/* The repository's name, with a number behind it if that is taken; NULL when there is nothing like it. */
static char *suggest_name(const char *repository)
{
	const char *base = strrchr(repository, '/') + 1;
	_cleanup_str_ struct str name = STR_INIT;

	for (; *base && name.len < NAME_MAX_LEN - 3; base++) {
		char c = (char)(*base >= 'A' && *base <= 'Z' ? *base - 'A' + 'a' : *base);

		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (name.len > 0 && strchr("-_", c)))
			str_addc(&name, c);
		else if (name.len > 0)
			str_addc(&name, '-');
	}
	for (int i = 1; i < 100 && name.len > 0; i++) {
		_cleanup_free_ char *numbered = i == 1 ? xstrdup(str_text(&name))
						       : xasprintf("%s-%d", str_text(&name), i);

		if (check_name(numbered, NULL, NULL) == 0)
			return take_ptr(numbered);
	}
	return NULL;
}

static int ask_name(struct asking *a, const char *repository, struct err **e)
{
	_cleanup_free_ char *suggestion = suggest_name(repository);
	const struct menu_entry entry = {suggestion, NULL};
	const struct menu_question q = {
		.title = "Name",
		.how = "a to z, 0 to 9, - and _: type one, or take this",
		.entries = &entry,
		.n = suggestion ? 1 : 0,
		.typed = true,
		.check = check_name,
	};
	_cleanup_strv_ struct strv answer = STRV_INIT;
	int r = 0;

	while (r == 0 && answer.n == 0)
		r = menu_ask(&a->menu, &q, &answer, e);
	if (r == 0)
		a->name = xstrdup(answer.v[0]);
	return r;
}

static int ask_kind(struct asking *a, bool disk_chosen, bool *ret_machine, struct err **e)
{
	struct menu_entry entries[ENTRIES_MAX];
	const struct menu_question q = {
		.title = "Kind", .how = "how the box is sealed", .entries = entries, .n = disk_chosen ? 1 : 2};
	_cleanup_strv_ struct strv answer = STRV_INIT;
	const struct kind *kind = NULL;
	size_t n = 0;
	int r;

	/* Only a machine has a disk. */
	if (!disk_chosen)
		entries[n++] = (struct menu_entry){"sandbox", "sandbox  in namespaces of this host's kernel"};
	entries[n] = (struct menu_entry){"vm", "vm       under a kernel of its own"};
	r = menu_ask(&a->menu, &q, &answer, e);
	if (r == 0)
		r = kind_find(answer.n > 0 ? answer.v[0] : NULL, &kind, e);
	if (r < 0 || !kind)
		return r;
	strv_addf(&a->options, "--in=%s", kind->name);
	*ret_machine = kind->machine;
	return 0;
}

/* An option with choices is a feature for each of them. */
static void add_feature(const struct opt *o, const char *values, struct menu_entry *entries, size_t *n,
			struct strv *texts)
{
	_cleanup_strv_ struct strv words = STRV_INIT;

	strv_split(&words, values ? values : "", ' ');
	for (size_t i = 0; i < words.n; i++)
		strv_addf(texts, "--%s=%s", o->name, words.v[i]);
	if (o->kind == OPT_FLAG)
		strv_addf(texts, "--%s", o->name);
	for (const char *const *c = o->kind == OPT_CHOICE ? o->choices : NULL; c && *c; c++)
		strv_addf(texts, "--%s=%s", o->name, *c);
	for (; *n <= texts->n && *n < ENTRIES_MAX; (*n)++)
		entries[*n] = (struct menu_entry){texts->v[*n - 1], texts->v[*n - 1] + 2};
}

static int ask_features(struct asking *a, bool disk_chosen, bool machine, struct err **e)
{
	struct menu_entry entries[ENTRIES_MAX] = {none[0]};
	_cleanup_strv_ struct strv texts = STRV_INIT;
	_cleanup_strv_ struct strv answer = STRV_INIT;
	struct menu_question q = {
		.title = "Features",
		.how = a->menu.fzf ? "Tab marks several; igloo help create explains them"
				   : "several numbers are fine; igloo help create explains them",
		.entries = entries,
		.n = 1,
		.several = true,
	};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const struct opt *o = option_of(a->cmd, features[i].option);

		/* With a disk there is no overlay. */
		if (o && (machine || !features[i].machine) &&
		    !(disk_chosen && o->clashes && strcmp(o->clashes, "disk") == 0))
			add_feature(o, features[i].values, entries, &q.n, &texts);
	}
	r = menu_ask(&a->menu, &q, &answer, e);
	if (r == 0 && answer.n > 0)
		strv_add_all(&a->options, answer.v);
	return r;
}

/* One after another, until there are no more. */
static int ask_each(struct asking *a, const char *option, struct menu_question q, struct err **e)
{
	q.entries = none;
	q.n = 1;
	q.typed = true;
	for (;;) {
		_cleanup_strv_ struct strv answer = STRV_INIT;
		_cleanup_free_ char *path = NULL;
		int r = menu_ask(&a->menu, &q, &answer, e);

		if (r < 0 || answer.n == 0)
			return r;
		path = q.check == check_share ? expanded(answer.v[0]) : xstrdup(answer.v[0]);
		strv_addf(&a->options, "--%s=%s", option, path);
		q.entries = no_more;
	}
}

static int ask_rest(struct asking *a, struct err **e)
{
	const struct menu_question port = {.title = "Port",
					   .how = "forward a port: PORT or HOST:PORT, one at a time",
					   .numbers = true,
					   .check = check_port};
	const struct menu_question rw = {.title = "Share",
					 .how = "share a folder or file for writing: PATH or PATH:AT, one at a time",
					 .check = check_share};
	const struct menu_question ro = {.title = "Share (read only)",
					 .how = "share a folder or file for reading: PATH or PATH:AT, one at a time",
					 .check = check_share};
	int r = ask_each(a, "publish", port, e);

	if (r == 0)
		r = ask_each(a, "share-rw", rw, e);
	return r < 0 ? r : ask_each(a, "share-ro", ro, e);
}

int createmenu_ask(const struct cmd *cmd, struct strv *argv, struct err **e)
{
	_cleanup_source_ struct source source = {.flake_dir = NULL};
	struct asking a = {.cmd = cmd};
	bool disk_chosen = false;
	bool machine = false;
	bool ignored;
	int r = source_find(".", &source, e);

	if (r < 0)
		return r;
	menu_open(&a.menu, source.repo_dir);
	r = ask_size(&a, "memory", "Memory", "512M, 8G, 1024G at most", memory, ARRAY_SIZE(memory), &ignored, e);
	if (r == 0)
		r = ask_size(&a, "cpus", "Processors", "2cpu, 128cpu at most", cpus, ARRAY_SIZE(cpus), &ignored, e);
	if (r == 0)
		r = ask_size(&a, "disk", "Disk", "of a vm: 30G, 10000G at most", disk, ARRAY_SIZE(disk), &disk_chosen,
			     e);
	if (r == 0)
		r = ask_name(&a, source.repo_dir, e);
	if (r == 0)
		r = ask_kind(&a, disk_chosen, &machine, e);
	if (r == 0)
		r = ask_features(&a, disk_chosen, machine, e);
	if (r == 0)
		r = ask_rest(&a, e);
	if (r == 0) {
		strv_add(argv, "create");
		strv_add(argv, a.name);
		if (a.options.n > 0)
			strv_add_all(argv, a.options.v);
	}
	menu_close(&a.menu);
	free(a.name);
	strv_release(&a.options);
	if (r == -ECANCELED) {
		(void)err_wrap(e, "no box was created");
		(void)err_exit_code(e, 130);
	}
	return r;
}
