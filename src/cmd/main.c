/* igloo: finds the command, reads its options, runs it, says how it ended.
 *
 * Exit status: what the command says (`igloo run`: the child's own); 125 when igloo failed or was
 * called wrongly, 126 and 127 as the error says (cannot execute, not found). */
#include "base/log.h"
#include "cmd/asking.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#define EXIT_IGLOO 125

/* A file opened later must not become stdin, stdout or stderr because the caller closed them. */
static void fill_stdio(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd)
			_exit(EXIT_IGLOO);
}

/* The errors of a line that could not be read come before --json may have been: look for the word. */
static bool wants_json(int argc, char *const *argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

static bool is_help(const char *word)
{
	return word && (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0);
}

static int show_help(const struct cmd *cmd, const char *family, struct err **e)
{
	_cleanup_str_ struct str s = STR_INIT;

	if (cmd)
		help_add_command(&s, cmd);
	else if (family)
		help_add_family(&s, family);
	else
		help_add_overall(&s);
	return report_out(&s, e);
}

static void set_log_level(const struct global_options *g)
{
	if (g->quiet)
		log_set_level(LOG_QUIET);
	else if (g->verbose > 0)
		log_set_level(g->verbose == 1 ? LOG_VERBOSE : LOG_DEBUG);
}

/* No command was named. */
static int without_command(const struct invocation *inv, struct err **e)
{
	struct invocation version = {.global = inv->global};

	if (inv->global.version)
		return cmd_version.run(&version, e);
	if (inv->global.help)
		return show_help(NULL, NULL, e);
	(void)err_set(e, EINVAL, "which command?");
	return err_hint(e, "'igloo help' lists them");
}

static int dispatch(struct invocation *inv, int argc, char **argv, struct err **e)
{
	int words;
	int used;
	int r;

	r = options_parse(inv, argc, argv, &used, e);
	if (r < 0)
		return r;
	if (used >= argc || inv->global.version)
		return without_command(inv, e);
	argc -= used;
	argv += used;
	if (cmd_words(argv[0]) == 2 && (is_help(argv[1]) || (inv->global.help && argc == 1)))
		return show_help(NULL, argv[0], e);
	r = cmd_find(argc, argv, &inv->cmd, &words, e);
	if (r < 0)
		return r;
	r = options_parse(inv, argc - words + 1, argv + words - 1, NULL, e);
	if (r < 0)
		return r;
	if (inv->global.version)
		return without_command(inv, e);
	if (inv->global.help)
		return show_help(inv->cmd, NULL, e);
	set_log_level(&inv->global);
	if (inv->global.json)
		asking_forbid();
	return inv->cmd->run(inv, e);
}

int main(int argc, char **argv)
{
	struct invocation inv = {.exit_code = 0};
	_cleanup_err_ struct err *e = NULL;
	int code;
	int r;

	fill_stdio();
	/* A caller that ignores it would have the kernel throw away how our children ended. */
	(void)signal(SIGCHLD, SIG_DFL);
	if (argc < 1)
		return EXIT_IGLOO;
	r = dispatch(&inv, argc, argv, &e);
	code = inv.exit_code;
	if (r < 0) {
		if (!e)
			(void)err_errno(&e, -r, "failed");
		report_error(e, inv.cmd ? inv.cmd->name : NULL,
			     inv.global.json || (!inv.argc && wants_json(argc, argv)));
		code = err_exit(e);
	}
	options_release(&inv);
	return code;
}
