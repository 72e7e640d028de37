#include "nix/devscript.h"

/* The command is kept aside in an array because the hook may set positional parameters, and must see none. `exec`
 * is the last command, so its status is the program's even under `shopt -s execfail`. */
const char devscript_run[] =
	"__igloo_script=$1\n"
	"shift\n"
	"__igloo_argv=(\"$@\")\n"
	"set --\n"
	"unset -v __igloo_sourced\n"
	"if [[ -r $__igloo_script ]]; then . \"$__igloo_script\"; fi\n"
	"if [[ -z ${__igloo_sourced-} ]]; then\n"
	"\tprintf '%s\\n' 'igloo: bash cannot read the environment script' >&2\n"
	"\texit 125\n"
	"fi\n"
	"unset -v __igloo_script __igloo_sourced\n"
	"eval \"${shellHook:-}\"\n"
	"if declare -F -- \"${__igloo_argv[0]}\" >/dev/null; then\n"
	"\t\"${__igloo_argv[@]}\"\n"
	"\texit\n"
	"fi\n"
	"if [[ ${__igloo_argv[0]} != */* ]] && ! type -P -- \"${__igloo_argv[0]}\" >/dev/null; then\n"
	"\tprintf 'igloo: %q: command not found in the environment\\n' \"${__igloo_argv[0]}\" >&2\n"
	"\texit 127\n"
	"fi\n"
	"exec -- \"${__igloo_argv[@]}\"\n";

void devscript_add_quoted(struct str *to, const char *text)
{
	str_addc(to, '\'');
	for (;;) {
		size_t n = strcspn(text, "'");

		str_add(to, text, n);
		if (!text[n])
			break;
		str_adds(to, "'\\''");
		text += n + 1;
	}
	str_addc(to, '\'');
}

static void add_var(struct str *to, const struct devenv_var *var)
{
	if (var->kind == DEVENV_TEXT) {
		str_addf(to, "%s=", var->name);
		devscript_add_quoted(to, var->values.v[0]);
		str_addc(to, '\n');
		return;
	}
	/* -g: global even where the caller sources from within a function. */
	str_addf(to, "declare -g%c %s=(", var->kind == DEVENV_ARRAY ? 'a' : 'A', var->name);
	for (size_t i = 0; i < var->values.n; i++) {
		if (var->kind == DEVENV_TABLE) {
			str_addc(to, '[');
			devscript_add_quoted(to, var->values.v[i++]);
			str_adds(to, "]=");
		}
		devscript_add_quoted(to, var->values.v[i]);
		str_addc(to, ' ');
	}
	str_adds(to, ")\n");
}

void devscript_add(struct str *to, const struct devenv *env)
{
	bool hook_inside = false;

	str_adds(to, "# Made by igloo from a dev shell's environment; sourced by bash.\n");
	for (size_t i = 0; i < env->n_vars; i++) {
		add_var(to, &env->vars[i]);
		hook_inside = hook_inside || strcmp(env->vars[i].name, "shellHook") == 0;
	}
	if (!hook_inside && !strv_env_get(&env->env, "shellHook"))
		str_adds(to, "unset -v shellHook\n");
	for (size_t i = 0; i < env->n_functions; i++) {
		const struct devenv_function *f = &env->functions[i];

		str_addf(to, "%s ()\n{\n%s%s}\n", f->name, f->body, str_ends(f->body, "\n") ? "" : "\n");
	}
	str_adds(to, "__igloo_sourced=1\n");
}

void devscript_run_argv(struct strv *argv, const char *bash, const char *script, char *const *command)
{
	strv_add(argv, bash);
	strv_add(argv, "--norc");
	strv_add(argv, "-c");
	strv_add(argv, devscript_run);
	strv_add(argv, "igloo");
	strv_add(argv, script);
	strv_add_all(argv, command);
}

void devscript_add_rc(struct str *to, const char *script, const char *interactive)
{
	const char *slash = interactive ? strrchr(interactive, '/') : NULL;

	/* '\s-\v\$ ' is what an interactive bash starts with when nobody set a prompt. */
	str_adds(to, "HISTFILE=~/.bash_history\n"
		     "if [[ ${PS1-} == '\\s-\\v\\$ ' ]]; then\n"
		     "\tPS1='\\n\\[\\e[1;36m\\][igloo:\\w]\\$\\[\\e[0m\\] '\n"
		     "fi\n"
		     "if [[ -r ~/.bashrc ]]; then . ~/.bashrc; fi\n"
		     "shopt -u expand_aliases\n" /* an alias would be expanded in the functions' bodies */
		     ". ");
	devscript_add_quoted(to, script);
	str_adds(to, "\nunset -v __igloo_sourced\n"
		     "eval \"${shellHook:-}\"\n"
		     "shopt -s expand_aliases\n");
	if (slash) {
		_cleanup_free_ char *dir = xstrndup(interactive, (size_t)(slash - interactive));

		str_adds(to, "SHELL=");
		devscript_add_quoted(to, interactive);
		str_adds(to, "\nPATH=");
		devscript_add_quoted(to, dir);
		str_adds(to, "${PATH:+:$PATH}\n");
	}
}

void devscript_shell_argv(struct strv *argv, const char *bash, const char *rc)
{
	strv_add(argv, bash);
	strv_add(argv, "--noprofile");
	strv_add(argv, "--rcfile");
	strv_add(argv, rc);
	strv_add(argv, "-i");
}
