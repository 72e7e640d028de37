/* igloo secret set: keeps a value, or the command that prints it. */
#include "box/secret.h"
#include "cmd/cmd.h"
#include "sys/fd.h"
#include "sys/nocore.h"
#include "sys/tty.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* A terminal in its usual mode hands over no longer line (N_TTY_BUF_SIZE, drivers/tty/n_tty.c). */
enum { LINE = 4096 };

struct secretset_options {
	bool command;
};

static int ask(const char *name, const char *more, char *line, size_t *ret_n, struct err **e)
{
	_cleanup_free_ char *prompt = xasprintf("Value of %s%s (not shown): ", name, more);
	size_t n = 0;
	int r = tty_ask_hidden(STDIN_FILENO, prompt, line, LINE, &n);

	if (r < 0)
		return err_errno(e, -r, "cannot read from the terminal");
	if (n == LINE) {
		(void)err_set(e, EFBIG, "the line is too long for a terminal");
		return err_hint(e, "igloo secret set %s <FILE", name);
	}
	*ret_n = n > 0 && line[n - 1] == '\n' ? n - 1 : n;
	return 0;
}

static int set_from_terminal(const char *name, struct err **e)
{
	_cleanup_secret_ struct str lines = STR_INIT;
	char *first = str_room(&lines, (size_t)2 * LINE);
	char *second = first + LINE;
	size_t n = 0;
	size_t again = 0;
	int r = ask(name, "", first, &n, e);

	if (r == 0 && n > 0)
		r = ask(name, ", again", second, &again, e);
	if (r == 0 && (n != again || memcmp(first, second, n) != 0))
		r = err_set(e, EINVAL, "secret '%s': the two values differ; nothing was changed", name);
	return r < 0 ? r : secret_set(name, first, n, e);
}

static int set_from_input(const char *name, struct err **e)
{
	_cleanup_secret_ struct str value = STR_INIT;
	int r;

	/* All the room at once: growing would leave a copy behind. */
	(void)str_room(&value, 2 * (size_t)SECRET_BYTES_MAX);
	r = fd_read_all(STDIN_FILENO, SECRET_BYTES_MAX + 1, &value, e);
	if (r < 0)
		return err_wrap(e, "secret '%s': its value from stdin", name);
	return secret_set(name, str_text(&value), secret_trim(str_text(&value), value.len), e);
}

static int run(struct invocation *inv, struct err **e)
{
	const struct secretset_options *o = inv->options;
	const char *name = inv->argv[0];
	int r = secret_name_check(name, e);

	if (r < 0)
		return r;
	if (o->command && inv->argc > 1)
		return secret_set_command(name, inv->argv + 1, e);
	if (o->command) {
		(void)err_set(e, EINVAL, "--command: which command?");
		return err_hint(e, "igloo secret set %s --command -- pass show %s", name, name);
	}
	if (inv->argc > 1) {
		/* It may be the value: not a word of it. */
		(void)err_set(e, EINVAL,
			      "a value is not taken as an argument, which every process of the machine can read");
		(void)err_hint(e, "igloo secret set %s asks for it, or reads it from stdin", name);
		return err_hint(e, "for a command that prints it: igloo secret set %s --command -- COMMAND...", name);
	}
	nocore_set(false);
	return isatty(STDIN_FILENO) ? set_from_terminal(name, e) : set_from_input(name, e);
}

static const struct opt opts[] = {
	{.name = "command",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct secretset_options, command),
	 .help = "keep the command that follows, which prints the value each time a box is given it"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Value", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo secret set GITHUB_TOKEN", "asks for the value, twice, and does not show it"},
	{"gh auth token | igloo secret set GITHUB_TOKEN", "from another program, once"},
	{"igloo secret set API_KEY --command -- pass show api/key", "from a password manager, whenever it is needed"},
	{.command = NULL},
};

const struct cmd cmd_secret_set = {
	.name = "secret set",
	.args = "NAME [--command -- COMMAND [ARGUMENT...]]",
	.summary = "keep a secret for boxes to come",
	.about = "The value comes from stdin, or from the terminal, where it is not shown. It is kept in the "
		 "configuration folder, in a file that only you can read; igloo run --secret NAME gives it to a box. "
		 "A value of one line loses the end of that line; one of several lines is kept as it is. At most "
		 "64 KiB.\n\n"
		 "With --command only the command is kept. It runs on the host, without a terminal and for at most a "
		 "minute, whenever a box is given the secret; what it prints is the value.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct secretset_options),
	.min_args = 1,
	.max_args = -1,
	.arg_hint = HINT_SECRETS,
	.run = run,
};
