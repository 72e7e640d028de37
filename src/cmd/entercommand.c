/* What runs in a box; see cmd/enter.h. */
#include "cmd/enter.h"
#include "nix/devscript.h"
#include "sys/nocore.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Once: a command and a shell may both need it. */
static void add_script(struct enter *in)
{
	const char *name = strrchr(BOX_ENV_SCRIPT, '/') + 1;

	for (size_t i = 0; i < in->spec.nfiles; i++)
		if (strcmp(in->spec.files[i].name, name) == 0)
			return;
	box_spec_add_file(&in->spec, name, in->record.script);
}

void enter_command(struct enter *in, char *const *command, struct strv *argv)
{
	bool through_bash = command[0] && (in->record.has_hook || record_has_function(&in->record, command[0]));
	/* A box that somebody means to come back to gets the functions for `igloo exec`. */
	bool stays = (in->spec.detached || in->spec.name) && in->record.n_functions > 0 && *in->record.bash;

	if (through_bash || stays)
		add_script(in);
	if (!through_bash) {
		strv_add_all(argv, command);
		return;
	}
	devscript_run_argv(argv, in->record.bash, BOX_ENV_SCRIPT, command);
}

/* The files of an interactive shell, and its argv. */
static void add_shell(struct enter *in, struct strv *argv)
{
	_cleanup_str_ struct str rc = STR_INIT;
	const char *interactive = *in->record.bash_interactive ? in->record.bash_interactive : NULL;
	_cleanup_free_ char *bash = interactive ? xasprintf("%s/bin/bash", interactive) : xstrdup(in->record.bash);

	devscript_add_rc(&rc, BOX_ENV_SCRIPT, interactive);
	add_script(in);
	box_spec_add_file(&in->spec, strrchr(BOX_RC_SCRIPT, '/') + 1, str_text(&rc));
	devscript_shell_argv(argv, bash, BOX_RC_SCRIPT);
}

void enter_keep_shell(struct enter *in)
{
	if (*in->record.bash)
		add_shell(in, &in->shell);
}

int enter_shell(struct enter *in, struct strv *argv, struct err **e)
{
	if (!*in->record.bash && !*in->record.bash_interactive)
		return err_set(e, ENOENT, "the environment has no bash: a shell needs one");
	add_shell(in, argv);
	return 0;
}

void enter_die_like(int signo)
{
	sigset_t set;

	nocore_set(true);
	(void)signal(signo, SIG_DFL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, signo);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)kill(getpid(), signo);
	_exit(128 + signo);
}
