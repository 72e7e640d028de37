#include "nix/gitrun.h"

#include "sys/spawn.h"

#include <errno.h>
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
	"core.untrackedCache=false",
	"-c",
	"core.sshCommand=false",
	"-c",
	"core.askPass=",
	"-c",
	"protocol.allow=never",
	"-c",
	"safe.directory=*",
	"-C",
};

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
	"GIT_ALLOW_PROTOCOL=none",
	"GIT_LITERAL_PATHSPECS=1",
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

static void add_all(struct strv *to, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		strv_add(to, v[i]);
}

int gitrun(const struct gitrepo *repo, const char *const *args, size_t max, int *ret_status, struct str *out,
	   struct err **e)
{
	static const char *const more[] = {"/usr/bin", "/run/current-system/sw/bin", NULL};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv envp = STRV_INIT;
	_cleanup_free_ char *file = spawn_find("git", more, repo->work_dir);
	_cleanup_free_ char *name = NULL;
	_cleanup_str_ struct str dir = STR_INIT;
	_cleanup_str_ struct str errors = STR_INIT;
	struct spawn s = {.file = file, .max_output = max, .time_limit_ms = TIME_LIMIT_MS};
	int status = 0;
	int r;

	if (!file) {
		(void)err_set(e, ENOENT, "git is needed to read the repository and is not on the PATH");
		(void)err_hint(e, "install git");
		return -ENOENT;
	}
	add_all(&argv, fixed_args, ARRAY_SIZE(fixed_args));
	strv_add(&argv, repo->work_dir);
	for (size_t i = 0; args[i]; i++)
		strv_add(&argv, args[i]);
	add_all(&envp, fixed_env, ARRAY_SIZE(fixed_env));
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
