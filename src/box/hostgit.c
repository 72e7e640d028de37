#include "box/hostgit.h"

#include "nix/gitrun.h"
#include "sys/spawn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

enum { OUTPUT_MAX = 64 << 20, TIME_LIMIT_MS = 30 * 60 * 1000 };

/* A fetch's and a merge's own, behind those of gitrun_begin(). */
static const char *const more_args[] = {
	"-c", "core.attributesFile=/dev/null",
	"-c", "submodule.recurse=false",
	"-c", "fetch.recurseSubmodules=false",
	"-c", "fetch.fsckObjects=true",
	"-c", "gc.auto=0",
	"-c", "maintenance.auto=false",
	"-c", "commit.gpgSign=false",
	NULL,
};

int hostgit_runv(struct hostgit *g, const struct strv *args, struct str *out, struct err **e)
{
	_cleanup_free_ char *file = gitrun_find(g->dir, e);
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv envp = STRV_INIT;
	_cleanup_str_ struct str errors = STR_INIT;
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_free_ char *name = xasprintf("git %s", args->n > 0 ? args->v[0] : "");
	bool may_fail = g->may_fail;
	struct spawn s = {.name = name,
			  .dir = g->dir,
			  .input = g->input,
			  .input_bytes = g->input_bytes,
			  .input_fd = g->input_fd,
			  .max_output = OUTPUT_MAX,
			  .time_limit_ms = TIME_LIMIT_MS};
	int status;
	int r;

	g->input = NULL;
	g->input_bytes = 0;
	g->input_fd = 0;
	g->may_fail = false;
	if (!file)
		return -ENOENT;
	gitrun_begin(&argv, &envp);
	strv_add_all(&argv, (char *const *)(uintptr_t)more_args);
	strv_add_all(&argv, args->v);
	strv_add(&envp, "GIT_ALLOW_PROTOCOL=file");
	if (g->git_dir) {
		strv_addf(&envp, "GIT_DIR=%s", g->git_dir);
		strv_addf(&envp, "GIT_WORK_TREE=%s", g->dir);
	}
	if (g->env.n > 0)
		strv_add_all(&envp, g->env.v);
	s.file = file;
	s.argv = argv.v;
	s.envp = envp.v;
	r = spawn_run(&s, &text, &errors, &status, e);
	if (r < 0)
		return r;
	if (!WIFEXITED(status) || WEXITSTATUS(status) > (may_fail ? 1 : 0))
		return spawn_failed(name, status, &errors, e);
	if (text.len > 0 && text.p[text.len - 1] == '\n')
		text.len--;
	if (out)
		str_add(out, str_text(&text), text.len);
	return WEXITSTATUS(status);
}

int hostgit_run(struct hostgit *g, struct str *out, struct err **e, ...)
{
	_cleanup_strv_ struct strv args = STRV_INIT;
	const char *arg;
	va_list ap;

	va_start(ap, e);
	while ((arg = va_arg(ap, const char *)))
		strv_add(&args, arg);
	va_end(ap);
	return hostgit_runv(g, &args, out, e);
}

int hostgit_user_config(const char *dir, const char *key, struct str *out, struct err **e)
{
	_cleanup_free_ char *file = gitrun_find(dir, e);
	_cleanup_str_ struct str text = STR_INIT;
	const char *argv[] = {"git", "config", "--get", key, NULL};
	const struct spawn s = {.file = file,
				.argv = (char *const *)(uintptr_t)argv,
				.dir = dir,
				.name = "git config",
				.max_output = 4096,
				.time_limit_ms = 10000};
	int status;
	int r;

	if (!file)
		return -ENOENT;
	r = spawn_run(&s, &text, NULL, &status, e);
	if (r < 0)
		return r;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		str_add(out, str_text(&text), strcspn(str_text(&text), "\n"));
	return 0;
}

void hostgit_release(struct hostgit *g)
{
	strv_release(&g->env);
}
