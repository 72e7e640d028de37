#include "nix/gitrun.h"

#include "sys/spawn.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

enum { TIME_LIMIT_MS = 60000, STDERR_SHOWN = 4096 };

static const char *const fixed_args[] = {
	"git",
	"--no-pager",
	"--no-replace-objects",
	"-c",
	"core.fsmonitor=false",
	"-c",
	"core.hooksPath=/dev/null",
	"-c",
	"core.sshCommand=false",
	"-c",
	"core.askPass=",
	"-c",
	"safe.directory=*",
	NULL,
};

/* To read an index and no more. */
static const char *const reading_args[] = {"-c", "core.untrackedCache=false", "-c", "protocol.allow=never", "-C", NULL};

static const char *const fixed_env[] = {
	"PATH=/usr/bin:/bin:/run/current-system/sw/bin",
	"HOME=/nonexistent", /* git refuses an include below ~ when there is none */
	"LC_ALL=C",
	"GIT_CONFIG_NOSYSTEM=1",
	"GIT_CONFIG_SYSTEM=/dev/null",
	"GIT_CONFIG_GLOBAL=/dev/null",
	"GIT_ATTR_NOSYSTEM=1",
	"GIT_OPTIONAL_LOCKS=0",
	"GIT_TERMINAL_PROMPT=0",
	"GIT_ASKPASS=false",
	"GIT_SSH_COMMAND=false",
	"GIT_PAGER=cat",
	"GIT_EDITOR=false",
	"GIT_NO_REPLACE_OBJECTS=1",
	"GIT_NO_LAZY_FETCH=1",
	NULL,
};

static int complain(int r, int status, const char *name, const struct str *errors, struct err **e)
{
	struct str tail = *errors;

	if (r < 0)
		return r;
	/* The last words are the ones that tell. */
	if (tail.len > STDERR_SHOWN) {
		tail.p += tail.len - STDERR_SHOWN;
		tail.len = STDERR_SHOWN;
	}
	return spawn_failed(name, status, &tail, e);
}

void gitrun_begin(struct strv *argv, struct strv *envp)
{
	strv_add_all(argv, (char *const *)(uintptr_t)fixed_args);
	strv_add_all(envp, (char *const *)(uintptr_t)fixed_env);
}

char *gitrun_find(const char *not_below, struct err **e)
{
	static const char *const more[] = {"/usr/bin", "/run/current-system/sw/bin", NULL};
	char *file = spawn_find("git", more, not_below);

	if (!file) {
		(void)err_set(e, ENOENT, "git is needed and is not on the PATH");
		(void)err_hint(e, "install git");
	}
	return file;
}

int gitrun(const struct gitrepo *repo, const char *const *args, size_t max, int *ret_status, struct str *out,
	   struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv envp = STRV_INIT;
	_cleanup_free_ char *file = gitrun_find(repo->work_dir, e);
	_cleanup_free_ char *name = NULL;
	_cleanup_str_ struct str dir = STR_INIT;
	_cleanup_str_ struct str errors = STR_INIT;
	struct spawn s = {.file = file, .max_output = max, .time_limit_ms = TIME_LIMIT_MS};
	int status = 0;
	int r;

	if (!file)
		return -ENOENT;
	gitrun_begin(&argv, &envp);
	strv_add_all(&argv, (char *const *)(uintptr_t)reading_args);
	strv_add(&argv, repo->work_dir);
	strv_add_all(&argv, (char *const *)(uintptr_t)args);
	strv_add(&envp, "GIT_ALLOW_PROTOCOL=none");
	strv_add(&envp, "GIT_LITERAL_PATHSPECS=1");
	strv_addf(&envp, "GIT_DIR=%s", repo->git_dir);
	strv_addf(&envp, "GIT_WORK_TREE=%s", repo->work_dir);
	str_add_printable(&dir, repo->work_dir, strlen(repo->work_dir), false);
	name = xasprintf("git %s in '%s'", args[0], str_text(&dir));

	s.name = name;
	s.argv = argv.v;
	s.envp = envp.v;
	r = spawn_run(&s, out, &errors, &status, e);
	if (r < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
		return complain(r, status, name, &errors, e);
	*ret_status = WEXITSTATUS(status);
	if (*ret_status == 0 && (str_starts(str_text(&errors), "error:") || strstr(str_text(&errors), "\nerror:")))
		*ret_status = GITRUN_COMPLAINED;
	return 0;
}
