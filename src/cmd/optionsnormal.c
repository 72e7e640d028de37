/* What was given on a command line, in normal form: see options.h. */
#include "cmd/options.h"

#include "base/size.h"
#include "box/shares.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* The largest unit that is exact. */
static void add_size(struct str *s, uint64_t bytes)
{
	static const struct {
		uint64_t unit;
		char letter;
	} units[] = {{SIZE_TIB, 'T'}, {SIZE_GIB, 'G'}, {SIZE_MIB, 'M'}, {SIZE_KIB, 'K'}};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (bytes % units[i].unit != 0)
			continue;
		str_addf(s, "%llu%c", (unsigned long long)(bytes / units[i].unit), units[i].letter);
		return;
	}
	str_addf(s, "%llub", (unsigned long long)bytes);
}

static void add_cpus(struct str *s, uint64_t milli)
{
	if (milli % 1000 == 0)
		str_addf(s, "%llu", (unsigned long long)(milli / 1000));
	else
		str_addf(s, "%llum", (unsigned long long)milli);
}

/* The path as realpath(3) gives it. */
static int add_path(struct str *s, const char *path, struct err **e)
{
	_cleanup_free_ char *real = realpath(path, NULL);
	_cleanup_str_ struct str shown = STR_INIT;

	if (real) {
		str_adds(s, real);
		return 0;
	}
	str_add_printable(&shown, path, strlen(path), false);
	return err_errno(e, errno, "cannot open '%s'", str_text(&shown));
}

/* PATH or PATH:AT (box/shares.h). */
static int add_share(struct str *s, const char *given, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *at = NULL;
	int r = shares_parse(given, &path, &at, e);

	if (r == 0)
		r = add_path(s, path, e);
	if (r == 0 && at)
		str_addf(s, ":%s", at);
	else if (r == 0 && strstr(str_text(s), ":/"))
		r = err_set(e, EINVAL, "'%s' leads to a path with ':/' in it: say where it is to be, PATH:AT", given);
	return r;
}

static int add_list(const struct opt *o, const struct strv *v, struct strv *to, struct err **e)
{
	for (size_t i = 0; i < v->n; i++) {
		_cleanup_str_ struct str text = STR_INIT;
		int r = 0;

		str_addf(&text, "--%s=", o->name);
		if (o->kind == OPT_PATHS)
			r = add_share(&text, v->v[i], e);
		else
			str_adds(&text, v->v[i]);
		if (r < 0)
			return err_wrap(e, "--%s", o->name);
		strv_add_take(to, str_take(&text));
	}
	return 0;
}

static int add_option(const struct opt *o, const void *at, struct strv *to, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;
	int r = 0;

	str_addf(&text, opt_takes_arg(o) ? "--%s=" : "--%s", o->name);
	switch (o->kind) {
	case OPT_FLAG:
		break;
	case OPT_COUNTER:
		for (int i = 1; i < *(const int *)at; i++)
			strv_add(to, str_text(&text));
		break;
	case OPT_TEXT:
	case OPT_CHOICE:
	case OPT_NAME:
		str_adds(&text, *(const char *const *)at);
		break;
	case OPT_PATH:
		r = add_path(&text, *(const char *const *)at, e);
		break;
	case OPT_SIZE:
		add_size(&text, *(const uint64_t *)at);
		break;
	case OPT_CPUS:
		add_cpus(&text, *(const uint64_t *)at);
		break;
	case OPT_COUNT:
		str_addf(&text, "%llu", (unsigned long long)*(const uint64_t *)at);
		break;
	case OPT_DURATION:
		size_add_duration(&text, *(const uint64_t *)at);
		break;
	case OPT_LIST:
	case OPT_PATHS:
	case OPT_VARS:
	case OPT_KINDS:
		return add_list(o, at, to, e);
	}
	if (r < 0)
		return err_wrap(e, "--%s", o->name);
	strv_add_take(to, str_take(&text));
	return 0;
}

/* Calls `each` for every option of the command that was given, with where its value is. */
static int each_given(const struct invocation *inv,
		      int (*each)(const struct opt *o, const void *at, void *data, struct err **e), void *data,
		      struct err **e)
{
	uint64_t bit = 1;
	int r = 0;

	for (const struct opt *o = global_opts; o->name; o++)
		bit <<= 1;
	for (const struct opt_group *g = inv->cmd->groups; g && g->title; g++)
		for (const struct opt *o = g->opts; o->name; o++, bit <<= 1)
			if (r == 0 && (inv->given & bit))
				r = each(o, (const char *)inv->options + g->offset + o->offset, data, e);
	return r;
}

struct normal {
	const char *const *without;
	struct strv *to;
};

static int add_if_wanted(const struct opt *o, const void *at, void *data, struct err **e)
{
	const struct normal *n = data;

	for (const char *const *name = n->without; *name; name++)
		if (strcmp(*name, o->name) == 0)
			return 0;
	return add_option(o, at, n->to, e);
}

int options_normal(const struct invocation *inv, const char *const *without, struct strv *to, struct err **e)
{
	struct normal n = {without, to};

	return each_given(inv, add_if_wanted, &n, e);
}

static int check_path(const struct opt *o, const char *path, struct err **e)
{
	_cleanup_free_ char *real = realpath(path, NULL);
	_cleanup_str_ struct str shown = STR_INIT;

	if (real && strcmp(real, path) == 0)
		return 0;
	str_add_printable(&shown, path, strlen(path), false);
	if (!real)
		return err_errno(e, errno, "--%s: cannot open '%s'", o->name, str_text(&shown));
	return err_set(e, ESTALE, "--%s: '%s' leads elsewhere now: a part of it was replaced by a symbolic link",
		       o->name, str_text(&shown));
}

static int check_paths(const struct opt *o, const void *at, void *data, struct err **e)
{
	const struct strv *v = at;
	int r = 0;

	if (o->kind == OPT_PATH)
		return check_path(o, *(const char *const *)at, e);
	for (size_t i = 0; o->kind == OPT_PATHS && i < v->n && r == 0; i++) {
		_cleanup_free_ char *path = NULL;
		_cleanup_free_ char *place = NULL;

		r = shares_parse(v->v[i], &path, &place, e);
		if (r == 0)
			r = check_path(o, path, e);
	}
	return r;
}

int options_paths_hold(const struct invocation *inv, struct err **e)
{
	return each_given(inv, check_paths, NULL, e);
}

static int note_option(const struct opt *o, const void *at, void *data, struct err **e)
{
	*(bool *)data |= !o->env;
	return 0;
}

bool options_any_given(const struct invocation *inv)
{
	bool any = false;

	(void)each_given(inv, note_option, &any, NULL);
	return any;
}
