/* igloo start: runs boxes that stay. */
#include "base/name.h"
#include "cmd/cmd.h"
#include "cmd/stay.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each of several boxes is started by an igloo of its own: none inherits what another holds, and one that has to
 * execute itself anew (stay_start()) starts no other twice. */
static int start_apart(const struct invocation *inv, char *name, int *ret_code, struct err **e)
{
	static char self[] = "igloo", verb[] = "start", json[] = "--json", quiet[] = "--quiet", verbose[] = "--verbose";
	char *argv[8];
	size_t n = 0;
	int status;
	pid_t pid;

	argv[n++] = self;
	argv[n++] = verb;
	if (inv->global.json)
		argv[n++] = json;
	if (inv->global.quiet)
		argv[n++] = quiet;
	for (int i = 0; i < inv->global.verbose && i < 2; i++)
		argv[n++] = verbose;
	argv[n++] = name;
	argv[n] = NULL;
	pid = fork();
	if (pid == 0) {
		(void)execv("/proc/self/exe", argv);
		_exit(125);
	}
	if (pid < 0)
		return err_errno(e, errno, "cannot fork");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(e, errno, "cannot wait for the start of box '%s'", name);
	*ret_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return 0;
}

static int run(struct invocation *inv, struct err **e)
{
	struct stay_started started;
	int r = 0;

	for (int i = 0; i < inv->argc && r == 0; i++)
		r = name_check(inv->argv[i], e);
	if (r == 0 && inv->argc == 1)
		return stay_start(inv->argv[0], inv->global.json, inv->global.quiet && !inv->global.json, &started, e);
	for (int i = 0; i < inv->argc && r == 0; i++) {
		int code = 0;

		r = start_apart(inv, inv->argv[i], &code, e);
		if (r == 0 && code != 0 && inv->exit_code == 0)
			inv->exit_code = code;
	}
	return r;
}

static const struct example examples[] = {
	{"igloo start dev", "in the background; igloo attach dev, igloo shell dev, igloo logs dev"},
	{"igloo start web db", "two of them"},
	{.command = NULL},
};

const struct cmd cmd_start = {
	.name = "start",
	.args = "BOX...",
	.summary = "run boxes that igloo create defined",
	.about = "Runs each in the background as it was defined, as 'igloo run --detach' does, and prints its name. A "
		 "box that "
		 "runs "
		 "already is no error, and it is said. With --json and several boxes there is one object a line.\n\n"
		 "Exit status: 0 when all of them run; of those that could not be started, that of the first.",
	.examples = examples,
	.min_args = 1,
	.max_args = -1,
	.arg_hint = HINT_BOXES,
	.more_hint = HINT_BOXES,
	.run = run,
};
