/* igloo exec: a further command in a running box.
 *
 * Without a terminal of its own the command gets igloo's stdin, stdout and stderr as descriptors, and igloo only waits
 * and passes signals on. With one the guest makes a pty and its master comes here. */
#include "wire/exec.h"
#include "base/log.h"
#include "base/name.h"
#include "box/execenv.h"
#include "box/secrets.h"
#include "box/spec.h"
#include "cmd/client.h"
#include "cmd/enter.h"
#include "cmd/exec.h"
#include "cmd/pump.h"
#include "sys/stdio.h"
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum {
	STREAM = 1,
	HANGUP_MS = 10000, /* what a command has from SIGHUP on, as the box's own has */
	LAST_MS = 300,     /* from the EXIT of a command that the box's end killed to the end of the connection */
	END_MS = 5000,
	EXIT_KILLED = 128 + SIGKILL,
	EXIT_CANNOT = 126,
	EXIT_NOT_FOUND = 127,
	CTRL_D = 4,
};

struct exec_options {
	const char *cwd;
	bool tty;
	bool no_tty;
	struct strv env;
	struct strv secret;
};

struct session {
	struct pump pump; /* first: the callbacks' pump is the session */
	const char *box;
	const char *command;
	bool pty;
	bool as_it_is; /* the command is executed without what makes functions and hook known */
	bool started;
	bool box_ended;
	struct stdio_guard stdio;
	int hangup; /* the signal that igloo ends by when the command outlives its terminal */
	struct msg_exit end;
};

static struct session *session_of(struct pump *r)
{
	return (struct session *)(void *)r;
}

static int on_err(struct session *s, const struct frame *f, struct err **e)
{
	struct msg_err m;

	if (msg_get_err(f, &m) < 0)
		return err_set(e, EPROTO, "the guest sent an error that means nothing");
	if (m.stage == MSG_STAGE_EXEC && m.errnum == ENOENT) {
		(void)err_set(e, ENOENT, "command not found in box '%s': %s", s->box, s->command);
		(void)err_hint(e, "add its package to the flake's dev shell; `igloo env` shows what the shell has");
		return err_exit_code(e, EXIT_NOT_FOUND);
	}
	if (m.stage == MSG_STAGE_START && m.errnum == ESHUTDOWN)
		return err_set(e, ESHUTDOWN, "box '%s' is ending", s->box);
	(void)err_errno(e, (int)m.errnum, "cannot run %s in box '%s' (%s)", s->command, s->box,
			msg_stage_name(m.stage));
	if (m.stage == MSG_STAGE_CHDIR)
		(void)err_hint(e, "--cwd names a folder in the box; it must be there");
	return err_exit_code(e, m.stage == MSG_STAGE_EXEC ? EXIT_CANNOT : 125);
}

static int on_frame(struct pump *r, const struct frame *f, struct err **e)
{
	struct session *s = session_of(r);
	int master = -1;

	if (f->stream != STREAM)
		return 0;
	switch (f->type) {
	case FRAME_STARTED:
		s->started = true;
		if (!s->pty)
			return 0;
		if (link_take_fds(r->link, &master, 1) < 0)
			return err_set(e, EPROTO, "the box sent no terminal");
		pump_set_stream(r, master);
		r->in = STDIN_FILENO;
		pump_raw(r);
		return 0;
	case FRAME_EXIT:
		if (msg_get_exit(f, &s->end) < 0)
			return err_set(e, EPROTO, "the guest sent an exit that means nothing");
		r->done = true;
		return 0;
	case FRAME_ERR:
		return on_err(s, f, e);
	default:
		return 0;
	}
}

static void hang_up(struct session *s, int signo)
{
	if (s->hangup)
		return;
	s->hangup = signo;
	(void)client_send_number(s->pump.link, STREAM, FRAME_SIGNAL, SIGHUP);
	s->pump.deadline = client_now_ms() + HANGUP_MS;
}

static void on_signal(struct pump *r, int signo)
{
	struct session *s = session_of(r);
	uint16_t rows;
	uint16_t cols;

	if (signo == SIGWINCH) {
		if (!s->pty || r->stream < 0)
			return;
		tty_size(STDOUT_FILENO, &rows, &cols);
		if (tty_set_size(r->stream, rows, cols) == -ENOTTY)
			(void)client_send_size(r->link, STREAM, rows, cols);
	} else if (signo == SIGHUP) {
		hang_up(s, SIGHUP);
	} else if (signo != SIGPIPE) {
		(void)client_send_number(r->link, STREAM, FRAME_SIGNAL, (uint32_t)signo);
	}
}

static void on_lost(struct pump *r)
{
	hang_up(session_of(r), r->raw ? SIGHUP : SIGPIPE);
}

/* A terminal has no end of input: the character for it stands in, if it means that. */
static void on_input_end(struct pump *r)
{
	struct termios settings;
	char eof = CTRL_D;

	if (tcgetattr(r->stream, &settings) == 0) {
		if (!(settings.c_lflag & ICANON))
			return;
		eof = (char)settings.c_cc[VEOF];
	}
	str_addc(&r->input, eof);
}

static const struct pump_ops ops = {
	.on_frame = on_frame,
	.on_signal = on_signal,
	.on_input_end = on_input_end,
	.on_lost = on_lost,
};

/* --- what is asked for -------------------------------------------------------------------------------------------- */

static void add_variables(const struct exec_options *o, bool pty, struct strv *env)
{
	static const char *const terminal[] = {"TERM", "COLORTERM", "NO_COLOR"};

	for (size_t i = 0; pty && i < ARRAY_SIZE(terminal); i++)
		if (str_has(getenv(terminal[i])))
			strv_env_set(env, terminal[i], getenv(terminal[i]));
	for (size_t i = 0; i < o->env.n; i++) {
		const char *given = o->env.v[i];
		const char *eq = strchr(given, '=');
		_cleanup_free_ char *name = eq ? xstrndup(given, (size_t)(eq - given)) : xstrdup(given);

		strv_env_set(env, name, eq ? eq + 1 : getenv(name));
	}
}

/* What a box has below /run/secrets is mounted and sealed when it is made, and its programs must trust its own
 * authority from the start. */
static int add_secret(struct secrets *secrets, const char *given, struct err **e)
{
	int r = secrets_add_variable(secrets, given, e);
	const struct secret_use *use = r == 0 ? &secrets->v[secrets->n - 1] : NULL;

	if (use && use->placeholder) {
		(void)err_set(e, EINVAL, "secret '%s': a box that runs gets no more that are bound to a host",
			      use->name);
		return err_hint(e, "when the box is made: igloo run --secret %s; all its commands have the variable",
				given);
	}
	if (!use || !use->path)
		return r;
	(void)err_set(e, EINVAL, "secret '%s': a box that runs gets no more files", use->name);
	return err_hint(e, "as a variable: --secret %s; as a file, when the box is made: igloo run --secret-file %s",
			use->name, use->name);
}

static int send_exec(struct session *s, const struct exec_options *o, char *const *command, struct err **e)
{
	_cleanup_execenv_ struct execenv box = {.cwd = NULL};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_free_ char *cwd = NULL;
	_cleanup_secrets_ struct secrets secrets = {NULL, 0};
	struct exec x = {.flags = s->pty ? EXEC_PTY : EXEC_HAS_FDS, .uid = BOX_UID, .gid = BOX_GID};
	int r = execenv_read(s->box, &box, e);

	for (size_t i = 0; i < o->secret.n && r == 0; i++)
		r = add_secret(&secrets, o->secret.v[i], e);
	if (r == 0)
		r = secrets_open(&secrets, e);
	if (r < 0)
		return r;
	if (o->cwd && *o->cwd != '/')
		cwd = xasprintf("%s/%s", box.cwd, o->cwd);
	add_variables(o, s->pty, &box.env);
	if (!s->as_it_is && execenv_needs_prefix(&box, command[0]))
		strv_add_all(&argv, box.prefix.v);
	strv_add_all(&argv, command);
	x.cwd = cwd ? cwd : o->cwd ? o->cwd : box.cwd;
	x.argv = argv.v;
	x.env = box.env.v;
	tty_size(isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDIN_FILENO, &x.rows, &x.cols);
	r = s->pty ? 0 : stdio_guard_make(true, &s->stdio, e);
	if (r < 0)
		return r;
	r = secrets_send_exec(&secrets, s->pump.link, STREAM, &x, s->pty ? NULL : s->stdio.fds);
	for (int i = 0; i < EXEC_FDS; i++)
		s->stdio.fds[i] = -1; /* the link's now */
	return r < 0 ? err_errno(e, -r, "cannot pass the command to the box: its arguments and environment") : 0;
}

static int outcome(struct session *s, int *ret_code, int *ret_signal, struct err **e)
{
	struct pump *r = &s->pump;

	if (!r->done && !s->started)
		return err_set(e, EPIPE, "box '%s' ended, or would not take the command", s->box);
	if (!r->done || (s->end.kind == MSG_EXIT_SIGNAL && s->end.value == SIGKILL && client_ends(r->link, LAST_MS))) {
		log_note("box '%s' ended, and the command with it", s->box);
		/* So that who waited for this may remove the box. */
		(void)client_box_ends(s->box, END_MS);
		*ret_code = EXIT_KILLED;
	} else if (r->deadline && s->hangup && client_now_ms() >= r->deadline) {
		*ret_signal = s->hangup;
	} else if (s->end.kind == MSG_EXIT_SIGNAL) {
		*ret_signal = (int)s->end.value;
	} else {
		*ret_code = (int)s->end.value;
	}
	return 0;
}

static int run_command(struct session *s, const struct exec_options *o, char *const *command, int *ret_code,
		       int *ret_signal, struct err **e)
{
	_cleanup_client_ struct link *link = NULL;
	int signals;
	int r = client_open(s->box, &link, e);

	if (r < 0)
		return r;
	signals = client_signals(e);
	if (signals < 0)
		return signals;
	pump_init(&s->pump, &ops, link, signals);
	r = send_exec(s, o, command, e);
	if (r == 0 && link_flush(link) < 0)
		r = err_set(e, EPIPE, "box '%s' ended", s->box);
	if (r == 0)
		r = pump_run(&s->pump, false, e);
	if (r == 0)
		pump_drain(&s->pump);
	pump_release(&s->pump);
	stdio_guard_end(&s->stdio);
	return r < 0 ? r : outcome(s, ret_code, ret_signal, e);
}

int exec_shell(const char *box, int *ret_code, int *ret_signal, struct err **e)
{
	static char bash[] = "bash";
	char *plain[] = {bash, NULL};
	const struct exec_options o = {.cwd = NULL};
	struct session s = {.box = box, .command = bash, .stdio = STDIO_GUARD_INIT};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_err_ struct err *problem = NULL;
	int r = execenv_read_shell(box, &argv, &problem);

	s.as_it_is = r == 0;
	s.pty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	return run_command(&s, &o, r == 0 ? argv.v : plain, ret_code, ret_signal, e);
}

static int run(struct invocation *inv, struct err **e)
{
	const struct exec_options *o = inv->options;
	_cleanup_str_ struct str shown = STR_INIT;
	struct session s = {.box = inv->argv[0], .stdio = STDIO_GUARD_INIT};
	int signo = 0;
	int r = name_check(inv->argv[0], e);

	if (r < 0)
		return r;
	str_add_quoted(&shown, inv->argv[1]);
	s.command = str_text(&shown);
	s.pty = o->tty || (!o->no_tty && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO));
	r = run_command(&s, o, inv->argv + 1, &inv->exit_code, &signo, e);
	if (r == 0 && signo)
		enter_die_like(signo);
	return r;
}

static const struct opt opts[] = {
	{.name = "cwd",
	 .letter = 'C',
	 .arg = "DIR",
	 .kind = OPT_PATH,
	 .offset = offsetof(struct exec_options, cwd),
	 .help = "start in the box's folder DIR instead of where its command started"},
	{.name = "env",
	 .letter = 'e',
	 .arg = "NAME[=VALUE]",
	 .kind = OPT_VARS,
	 .hint = HINT_VARS,
	 .offset = offsetof(struct exec_options, env),
	 .help = "set a variable for the command, or pass the caller's own; may be repeated"},
	{.name = "secret",
	 .arg = "NAME[=VARIABLE]",
	 .kind = OPT_VARS,
	 .hint = HINT_SECRETS,
	 .offset = offsetof(struct exec_options, secret),
	 .help = "give the command the secret NAME as a variable of that name, or VARIABLE; may be repeated"},
	{.name = "tty",
	 .letter = 't',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct exec_options, tty),
	 .help = "give the command a terminal even if igloo has none",
	 .clashes = "no-tty"},
	{.name = "no-tty",
	 .letter = 'T',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct exec_options, no_tty),
	 .help = "give the command no terminal even if igloo has one"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Command", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo exec fix -- git status", "in the box 'fix', in the folder its own command started in"},
	{"igloo exec fix bash", "a look around, on a terminal of the box's own"},
	{"tar c docs | igloo exec fix -- tar x -C /tmp", "with a pipe"},
	{.command = NULL},
};

const struct cmd cmd_exec = {
	.name = "exec",
	.args = "BOX [--] COMMAND [ARGUMENT...]",
	.summary = "run a further command in a running box",
	.about = "The command gets the environment of the box's own command: its variables (those of --env too, those "
		 "of --secret not), and "
		 "the dev "
		 "shell's hook and functions. Only a box that was started without a name and in the foreground lacks "
		 "its "
		 "functions, if its environment has no hook.\n\n"
		 "With a terminal on stdin and stdout the command gets a terminal in the box; else igloo's stdin, "
		 "stdout and "
		 "stderr themselves. SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 are passed on. When igloo "
		 "is killed, so "
		 "is the command; when the box ends, the command ends with it.\n\n"
		 "Exit status: the command's own; if a signal killed it, igloo dies of the same signal. 137 when the "
		 "box "
		 "ended, 125 when igloo failed, 126 when the command cannot be executed, 127 when it was not found.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct exec_options),
	.min_args = 2,
	.max_args = -1,
	.arg_hint = HINT_BOXES,
	.takes_command = true,
	.command_at = 1,
	.run = run,
};
