/* Theory of operation: one pass over the variables sorts each into dropped, exported or not exported; values go
 * through rewrite() on the way, which replaces the few store and build paths that do not hold in a box. Members are
 * visited in the order of their names so that the result does not depend on the order of the JSON. */
#include "nix/devenv.h"

#include "fmt/json.h"

#include <errno.h>

enum { REWRITES_MAX = 64, REWRITE_FROM_MIN = 16, REWRITE_NAME_MAX = 64, DEPTH_MAX = 16 };

struct parser {
	const struct devenv_options *options;
	struct devenv env;
	struct {
		const char *from; /* the JSON's */
		char *to;
	} rewrites[REWRITES_MAX];
	size_t n_rewrites;
	size_t grown; /* bytes that rewriting added in all, to stop a value that multiplies itself */
	struct err **e;
};

static int cmp_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool in_list(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

/* Names that `nix develop` never sets (ignoreVars in develop.cc). */
static bool is_dropped(const char *name)
{
	static const char *const names[] = {"BASHOPTS",
					    "HOME",
					    "NIX_BUILD_TOP",
					    "NIX_ENFORCE_PURITY",
					    "NIX_LOG_FD",
					    "NIX_REMOTE",
					    "PPID",
					    "SHELLOPTS",
					    "SSL_CERT_FILE",
					    "TEMP",
					    "TEMPDIR",
					    "TERM",
					    "TMP",
					    "TMPDIR",
					    "TZ",
					    "UID",
					    NULL};

	return in_list(names, name);
}

/* Names that bash gives a value by itself, where a stored value would be wrong or differ at every evaluation. */
static bool is_bashs_own(const char *name)
{
	static const char *const names[] = {
		"BASH",   "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID",    "FUNCNAME",
		"GROUPS", "HISTCMD",  "HOSTNAME",      "LINENO",       "OLDPWD",  "PIPESTATUS",
		"PWD",    "RANDOM",   "SECONDS",       "SHLVL",        "SRANDOM", "_",
		NULL};

	return str_starts(name, "BASH_") || str_starts(name, "COMP_") || in_list(names, name);
}

/* Shell variables that every bash starts with: nothing to say unless the environment changed them. */
static bool is_bashs_default(const char *name, const char *value)
{
	static const char *const defaults[][2] = {
		{"IFS", " \t\n"},   {"OPTERR", "1"},    {"OPTIND", "1"},  {"PS4", "+ "},
		{"HOSTTYPE", NULL}, {"MACHTYPE", NULL}, {"OSTYPE", NULL}, {"SHELL", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
		if (strcmp(name, defaults[i][0]) == 0)
			return !defaults[i][1] || strcmp(value, defaults[i][1]) == 0;
	return false;
}

static bool is_alnum_(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool devenv_is_variable_name(const char *name)
{
	if (!*name || (*name >= '0' && *name <= '9'))
		return false;
	while (is_alnum_(*name))
		name++;
	return *name == '\0';
}

bool devenv_is_function_name(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if (!is_alnum_(*name) && !strchr("-.:+@/,^", *name) && (unsigned char)*name < 0x80)
			return false;
	return true;
}

/* For messages: names are untrusted. */
static char *printable(const char *text)
{
	struct str s = STR_INIT;

	str_add_printable(&s, text, strnlen(text, 80), false);
	return str_take(&s);
}

static int bad(struct parser *p, const char *what, const char *name, const char *why)
{
	_cleanup_free_ char *shown = printable(name);

	return err_set(p->e, EBADMSG, "Nix's environment: %s '%s' %s", what, shown, why);
}

/* `text` with every path of the list replaced, one after the other, as Nix's rewriteStrings() does. */
static char *rewrite(struct parser *p, const char *text)
{
	char *now = xstrdup(text);

	for (size_t i = 0; i < p->n_rewrites; i++) {
		struct str s = STR_INIT;
		const char *at = now;
		const char *hit;

		while (p->grown <= DEVENV_MAX_BYTES && (hit = strstr(at, p->rewrites[i].from))) {
			p->grown += strlen(p->rewrites[i].to);
			str_add(&s, at, (size_t)(hit - at));
			str_adds(&s, p->rewrites[i].to);
			at = hit + strlen(p->rewrites[i].from);
		}
		if (at == now)
			continue;
		str_adds(&s, at);
		free(now);
		now = str_take(&s);
	}
	return now;
}

static void add_rewrite(struct parser *p, const char *from, const char *dir, const char *name)
{
	/* Only what can be a path in a store or a build folder: a short text would be found everywhere. */
	if (!from || from[0] != '/' || strlen(from) < REWRITE_FROM_MIN || strlen(name) > REWRITE_NAME_MAX ||
	    p->n_rewrites == REWRITES_MAX)
		return;
	p->rewrites[p->n_rewrites].from = from;
	p->rewrites[p->n_rewrites++].to = xasprintf("%s/%s", dir, name);
}

/* The value of a text variable, NULL when there is none. */
static const char *text_of(json_t *variables, const char *name)
{
	json_t *info = json_object_get(variables, name);
	const char *type = json_string_value(json_object_get(info, "type"));

	if (!type || (strcmp(type, "var") != 0 && strcmp(type, "exported") != 0))
		return NULL;
	return json_string_value(json_object_get(info, "value"));
}

/* `outputs` is a text of names, an array of names, or (structured attributes) a table of name and path. */
static void plan_outputs(struct parser *p, json_t *variables)
{
	const char *dir = p->options->outputs_dir;
	json_t *list = json_object_get(json_object_get(variables, "outputs"), "value");
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_free_ char *text = NULL;
	const char *key;
	json_t *item;
	size_t i;

	if (!dir)
		return;
	json_object_foreach(list, key, item) add_rewrite(p, json_string_value(item), dir, key);
	json_array_foreach(list, i, item) if (json_is_string(item)) strv_add(&names, json_string_value(item));
	if (json_is_string(list)) {
		text = xstrdup(json_string_value(list));
		for (char *c = text; *c; c++)
			if (*c == '\t' || *c == '\n' || *c == '\r')
				*c = ' ';
		strv_split(&names, text, ' ');
	}
	for (i = 0; i < names.n; i++)
		add_rewrite(p, text_of(variables, names.v[i]), dir, names.v[i]);
}

static int take_attrs(struct parser *p, json_t *root, json_t *variables)
{
	json_t *attrs = json_object_get(root, "structuredAttrs");
	const char *json = json_string_value(json_object_get(attrs, ".attrs.json"));
	const char *sh = json_string_value(json_object_get(attrs, ".attrs.sh"));

	if (!attrs)
		return 0;
	if (!json || !sh)
		return err_set(p->e, EBADMSG, "Nix's environment: structuredAttrs is not two texts");
	p->env.attrs_json = xstrdup(json);
	p->env.attrs_sh = xstrdup(sh);
	if (p->options->attrs_dir) {
		add_rewrite(p, text_of(variables, "NIX_ATTRS_JSON_FILE"), p->options->attrs_dir, ".attrs.json");
		add_rewrite(p, text_of(variables, "NIX_ATTRS_SH_FILE"), p->options->attrs_dir, ".attrs.sh");
	}
	return 0;
}

static void find_bash(struct parser *p, json_t *variables)
{
	static const char *const names[] = {"BASH", "builder", "SHELL", "shell", "CONFIG_SHELL"};

	for (size_t i = 0; i < ARRAY_SIZE(names) && !p->env.bash; i++) {
		const char *path = text_of(variables, names[i]);

		if (path && path[0] == '/' && str_ends(path, "/bash"))
			p->env.bash = xstrdup(path);
	}
}

static int add_values(struct parser *p, const char *name, json_t *value, struct devenv_var *var)
{
	const char *key;
	json_t *item;
	size_t i;

	json_array_foreach(value, i, item)
	{
		if (!json_is_string(item))
			return bad(p, "array", name, "holds something else than texts");
		strv_add_take(&var->values, rewrite(p, json_string_value(item)));
	}
	json_object_foreach(value, key, item)
	{
		/* bash has no empty key */
		if (!json_is_string(item) || !*key)
			return bad(p, "table", name, "holds something else than keys and texts");
		strv_add_take(&var->values, rewrite(p, key));
		strv_add_take(&var->values, rewrite(p, json_string_value(item)));
	}
	return 0;
}

static struct devenv_var *new_var(struct parser *p, const char *name, enum devenv_kind kind)
{
	struct devenv_var *var = &p->env.vars[p->env.n_vars++];

	*var = (struct devenv_var){.name = xstrdup(name), .kind = kind};
	return var;
}

static int add_text(struct parser *p, const char *name, bool exported, json_t *value)
{
	const char *text = json_string_value(value);
	_cleanup_free_ char *now = NULL;

	if (!text)
		return bad(p, "variable", name, "has a value that is no text");
	now = rewrite(p, text);
	if (strcmp(name, "shellHook") == 0)
		p->env.shell_hook = xstrdup(now);
	/* Without a PATH in the box's environment to begin with, a shell variable PATH would reach no child. */
	if (exported || strcmp(name, "PATH") == 0)
		strv_addf(&p->env.env, "%s=%s", name, now);
	else if (!is_bashs_default(name, text))
		strv_add_take(&new_var(p, name, DEVENV_TEXT)->values, take_ptr(now));
	return 0;
}

static int add_variable(struct parser *p, const char *name, json_t *info)
{
	const char *type = json_string_value(json_object_get(info, "type"));
	json_t *value = json_object_get(info, "value");

	if (!devenv_is_variable_name(name))
		return bad(p, "variable", name, "has no valid name");
	if (!type)
		return bad(p, "variable", name, "has no type");
	if (is_dropped(name) || is_bashs_own(name))
		return 0;
	if (strcmp(type, "exported") == 0 || strcmp(type, "var") == 0)
		return add_text(p, name, *type == 'e', value);
	if (strcmp(type, "array") == 0 && json_is_array(value))
		return add_values(p, name, value, new_var(p, name, DEVENV_ARRAY));
	if (strcmp(type, "associative") == 0 && json_is_object(value))
		return add_values(p, name, value, new_var(p, name, DEVENV_TABLE));
	if (strcmp(type, "array") == 0 || strcmp(type, "associative") == 0)
		return bad(p, "variable", name, "does not have the value its type says");
	return 0; /* integers, references, read-only ones: Nix passes over them too */
}

static int add_function(struct parser *p, const char *name, json_t *body)
{
	struct devenv_function *f;

	if (!devenv_is_function_name(name))
		return bad(p, "function", name, "has no valid name");
	if (!json_is_string(body))
		return bad(p, "function", name, "has no text");
	f = &p->env.functions[p->env.n_functions++];
	f->name = xstrdup(name);
	f->body = rewrite(p, json_string_value(body));
	return 0;
}

/* Calls add() for each member, in the order of their names. */
static int each_member(struct parser *p, json_t *object, int (*add)(struct parser *, const char *, json_t *))
{
	size_t n = json_object_size(object);
	_cleanup_free_ const char **names = xcalloc(n + 1, sizeof(*names));
	const char *key;
	json_t *item;
	size_t i = 0;
	int r = 0;

	json_object_foreach(object, key, item) names[i++] = key;
	qsort(names, n, sizeof(*names), cmp_names);
	for (i = 0; i < n && r == 0; i++)
		r = add(p, names[i], json_object_get(object, names[i]));
	return r;
}

/* What makeRcScript() and `nix develop` set after the environment's own variables. */
static void add_fixed(struct parser *p)
{
	static const char *const temporary[] = {"NIX_BUILD_TOP", "TMP", "TMPDIR", "TEMP", "TEMPDIR"};

	for (size_t i = 0; i < ARRAY_SIZE(temporary); i++)
		strv_addf(&p->env.env, "%s=/tmp", temporary[i]);
	if (p->options->env_path)
		strv_env_set(&p->env.env, "NIX_GCROOT", p->options->env_path);
	if (p->env.bash)
		strv_env_set(&p->env.env, "SHELL", p->env.bash);
}

static int parse_root(struct parser *p, json_t *root)
{
	json_t *variables = json_object_get(root, "variables");
	json_t *functions = json_object_get(root, "bashFunctions");
	int r;

	if (!json_is_object(variables) || (functions && !json_is_object(functions)))
		return err_set(p->e, EBADMSG, "Nix's environment: not the output of print-dev-env --json");
	p->env.vars = xcalloc(json_object_size(variables) + 1, sizeof(*p->env.vars));
	p->env.functions = xcalloc(json_object_size(functions) + 1, sizeof(*p->env.functions));
	plan_outputs(p, variables);
	if ((r = take_attrs(p, root, variables)) < 0 || (r = each_member(p, variables, add_variable)) < 0 ||
	    (r = each_member(p, functions, add_function)) < 0)
		return r;
	if (text_of(variables, "out"))
		p->env.out = xstrdup(text_of(variables, "out"));
	find_bash(p, variables);
	if (!p->env.shell_hook)
		p->env.shell_hook = xstrdup("");
	p->env.needs_bash = *p->env.shell_hook != '\0';
	if (p->env.needs_bash && !p->env.bash)
		return err_set(p->e, EBADMSG, "Nix's environment: it has a shellHook but names no bash to run it");
	if (p->grown > DEVENV_MAX_BYTES)
		return err_set(p->e, EFBIG, "Nix's environment: too large once its output paths are replaced");
	add_fixed(p);
	return 0;
}

int devenv_parse(const char *bytes, size_t n, const struct devenv_options *options, struct devenv *ret, struct err **e)
{
	static const struct devenv_options none;
	struct parser p = {.options = options ? options : &none, .e = e};
	_cleanup_json_ json_t *root = NULL;
	_cleanup_err_ struct err *why = NULL;
	int r;

	/* The parser refuses \u0000 and invalid UTF-8: every text is a C string. */
	r = json_parse(bytes, n, DEVENV_MAX_BYTES, DEPTH_MAX, &root, &why);
	if (r < 0)
		return err_set(e, r == -EFBIG ? EFBIG : EBADMSG, "Nix's environment: %s", err_message(why));
	r = parse_root(&p, root);
	for (size_t i = 0; i < p.n_rewrites; i++)
		free(p.rewrites[i].to);
	if (r < 0) {
		devenv_release(&p.env);
		return r;
	}
	*ret = p.env;
	return 0;
}

bool devenv_has_function(const struct devenv *env, const char *name)
{
	for (size_t i = 0; i < env->n_functions; i++)
		if (strcmp(env->functions[i].name, name) == 0)
			return true;
	return false;
}

void devenv_release(struct devenv *env)
{
	for (size_t i = 0; i < env->n_vars; i++) {
		free(env->vars[i].name);
		strv_release(&env->vars[i].values);
	}
	for (size_t i = 0; i < env->n_functions; i++) {
		free(env->functions[i].name);
		free(env->functions[i].body);
	}
	free(env->vars);
	free(env->functions);
	strv_release(&env->env);
	free(env->shell_hook);
	free(env->attrs_json);
	free(env->attrs_sh);
	free(env->bash);
	free(env->out);
	*env = (struct devenv){0};
}
