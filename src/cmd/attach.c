/* igloo attach: the terminal, or the pipes, of a box that was started with --detach. */
#include "base/log.h"
#include "base/name.h"
#include "box/box.h"
#include "cmd/client.h"
#include "cmd/enter.h"
#include "cmd/pump.h"
#include "wire/msg.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { STREAM = 1, KEYS_MAX = 16, END_MS = 30000, ATTACH_BYTES = 4 };

struct attach_options {
	bool no_stdin;
	const char *keys;
};

struct session {
	struct pump pump; /* first: the callbacks' pump is the session */
	const char *box;
	char keys[KEYS_MAX];
	size_t n_keys;
	size_t typed; /* how many of the keys were typed and held back */
	bool with_input;
	bool pty;
	bool started;
	bool detached;
	int signo; /* igloo was told to go */
};

static struct session *session_of(struct pump *r)
{
	return (struct session *)(void *)r;
}

/* --- the keys to detach ------------------------------------------------------------------------------------------- */

/* "ctrl-p,ctrl-q", "a", "ctrl-]": single characters, or "ctrl-" and one of a-z @ [ \ ] ^ _, separated by commas, as
 * docker has them. "" is no keys. */
static int parse_keys(struct session *s, const char *text, struct err **e)
{
	_cleanup_strv_ struct strv words = STRV_INIT;

	strv_split(&words, text, ',');
	for (size_t i = 0; i < words.n; i++) {
		const char *w = words.v[i];
		const bool ctrl = str_starts(w, "ctrl-") && strlen(w) == 6;
		_cleanup_str_ struct str shown = STR_INIT;

		if (s->n_keys < KEYS_MAX && ctrl && ((w[5] >= 'a' && w[5] <= 'z') || strchr("@[\\]^_", w[5]))) {
			s->keys[s->n_keys++] = (char)(w[5] & 0x1f);
		} else if (s->n_keys < KEYS_MAX && strlen(w) == 1) {
			s->keys[s->n_keys++] = *w;
		} else {
			str_add_printable(&shown, w, strnlen(w, 64), false);
			(void)err_set(e, EINVAL, "--detach-keys: '%s' is no key, or one too many", str_text(&shown));
			return err_hint(e, "keys look like ctrl-p,ctrl-q or ctrl-] or a; at most %d", KEYS_MAX);
		}
	}
	return 0;
}

/* The keys held back were not the sequence: gives out the first ones, so that what stays is a beginning of it. */
static void give_out(struct session *s)
{
	size_t k = s->typed - 1;

	while (k > 0 && memcmp(s->keys, s->keys + s->typed - k, k) != 0)
		k--;
	str_add(&s->pump.input, s->keys, s->typed - k);
	s->typed = k;
}

static void on_input(struct pump *r, const char *bytes, size_t n)
{
	struct session *s = session_of(r);

	for (size_t i = 0; i < n; i++) {
		while (s->typed > 0 && bytes[i] != s->keys[s->typed])
			give_out(s);
		if (s->n_keys == 0 || bytes[i] != s->keys[s->typed]) {
			str_addc(&r->input, bytes[i]);
		} else if (++s->typed == s->n_keys) {
			s->detached = r->done = true;
			return;
		}
	}
}

/* --- the rest of the pump's events ---------------------------------------------------------------------------------
 */

static int on_frame(struct pump *r, const struct frame *f, struct err **e)
{
	struct session *s = session_of(r);
	int fd;

	if (f->type != FRAME_STARTED || f->stream != STREAM || s->started)
		return 0;
	if (link_take_fds(r->link, &fd, 1) < 0)
		return err_set(e, EPROTO, "the box sent nothing to read from");
	s->started = true;
	s->pty = frame_get32(f->payload) == 2;
	pump_set_stream(r, fd);
	if (s->with_input) {
		r->in = STDIN_FILENO;
		if (s->pty)
			pump_raw(r);
	}
	return 0;
}

static void add_size(uint8_t payload[ATTACH_BYTES])
{
	uint16_t rows = 0;
	uint16_t cols = 0;

	if (isatty(STDOUT_FILENO))
		tty_size(STDOUT_FILENO, &rows, &cols);
	frame_put16(payload, rows);
	frame_put16(payload + 2, cols);
}

static void on_signal(struct pump *r, int signo)
{
	struct session *s = session_of(r);
	uint8_t payload[ATTACH_BYTES];

	switch (signo) {
	case SIGWINCH:
		if (!s->with_input || !isatty(STDOUT_FILENO))
			return;
		add_size(payload);
		(void)link_send(r->link, 0, FRAME_RESIZE, 0, payload, sizeof(payload), NULL, 0);
		return;
	case SIGINT:
	case SIGTERM:
	case SIGHUP:
	case SIGQUIT:
		s->signo = signo;
		r->done = true;
		return;
	default: /* the box's command is not ours to signal */
		return;
	}
}

static void on_stream_end(struct pump *r)
{
	r->done = true;
}

static void on_lost(struct pump *r)
{
	session_of(r)->signo = r->raw ? SIGHUP : SIGPIPE;
	r->done = true;
}

static const struct pump_ops ops = {
	.on_frame = on_frame,
	.on_signal = on_signal,
	.on_input = on_input,
	.on_stream_end = on_stream_end,
	.on_lost = on_lost,
};

/* --- the command -------------------------------------------------------------------------------------------------- */

static int check_box(const char *name, struct err **e)
{
	struct box_info info = {0};
	int r = box_look(name, &info, e);

	if (r == 0 && !info.running) {
		(void)err_set(e, ESRCH, "box '%s' is not running", name);
		r = err_hint(e, "igloo logs %s shows what it said%s%s", name,
			     info.defined ? "; to start it: igloo start " : "", info.defined ? name : "");
	} else if (r == 0 && info.json && info.defined && !str_has(info.command)) {
		(void)err_set(e, ENOTTY, "box '%s' runs no command of its own to attach to", name);
		r = err_hint(e, "igloo shell %s opens a shell in it", name);
	} else if (r == 0 && info.json && !info.detached) {
		(void)err_set(e, ENOTTY,
			      "box '%s' was started without --detach: its terminal is the one it was started from",
			      name);
		r = err_hint(e, "igloo exec %s bash opens another", name);
	}
	box_info_release(&info);
	return r;
}

static int box_exit_code(const char *name, int *ret, struct err **e)
{
	struct box_info info = {0};
	int r;

	if (!client_box_ends(name, END_MS))
		return err_set(e, ETIMEDOUT, "box '%s' closed its output but does not end", name);
	r = box_look(name, &info, e);
	if (r == 0 && info.exit_code < 0)
		r = err_set(e, EPIPE, "box '%s' ended and its supervisor did not say how: it was killed", name);
	if (r == 0)
		*ret = info.exit_code;
	box_info_release(&info);
	return r;
}

/* What full-screen programs switch on: reports of the mouse and of pastes, a hidden cursor, colours. */
static void calm_terminal(void)
{
	static const char off[] = "\033[?1000l\033[?1002l\033[?1003l\033[?1006l\033[?2004l\033[?25h\033[0m\r\n";

	(void)!write(STDOUT_FILENO, off, sizeof(off) - 1);
}

static int outcome(struct session *s, int *ret_code, struct err **e)
{
	if (!s->started)
		return err_set(e, EPIPE, "box '%s' ended, or too many are attached to it", s->box);
	if (s->detached || s->signo) {
		if (s->detached || s->signo == SIGINT)
			log_note("detached from '%s', which runs on; igloo attach %s returns", s->box, s->box);
		return 0;
	}
	if (!s->pump.link_ended && !client_ends(s->pump.link, 300)) {
		(void)err_set(e, EPIPE, "box '%s' let go of this terminal, which did not keep up with its output",
			      s->box);
		return err_hint(e, "the box runs on: igloo attach %s, or: igloo logs -f %s", s->box, s->box);
	}
	return box_exit_code(s->box, ret_code, e);
}

static int attach(struct session *s, int *ret_code, struct err **e)
{
	_cleanup_client_ struct link *link = NULL;
	uint8_t payload[ATTACH_BYTES];
	int signals;
	int r = check_box(s->box, e);

	if (r == 0)
		r = client_open(s->box, &link, e);
	if (r < 0)
		return r;
	signals = client_signals(e);
	if (signals < 0)
		return signals;
	pump_init(&s->pump, &ops, link, signals);
	memset(payload, 0, sizeof(payload));
	if (s->with_input)
		add_size(payload);
	(void)link_send(link, STREAM, FRAME_ATTACH, 0, payload, sizeof(payload), NULL, 0);
	if (link_flush(link) < 0)
		r = err_set(e, EPIPE, "box '%s' ended", s->box);
	if (r == 0)
		r = pump_run(&s->pump, true, e);
	if (r == 0 && !s->detached)
		pump_drain(&s->pump);
	if (s->pump.raw && (s->detached || s->signo) && !s->pump.lost)
		calm_terminal();
	pump_release(&s->pump);
	return r < 0 ? r : outcome(s, ret_code, e);
}

static int run(struct invocation *inv, struct err **e)
{
	const struct attach_options *o = inv->options;
	struct session s = {.box = inv->argv[0], .with_input = !o->no_stdin};
	int r = name_check(s.box, e);

	if (r == 0)
		r = parse_keys(&s, o->keys ? o->keys : "ctrl-p,ctrl-q", e);
	if (r == 0)
		r = attach(&s, &inv->exit_code, e);
	if (r == 0 && s.signo)
		enter_die_like(s.signo);
	return r;
}

static const struct opt opts[] = {
	{.name = "no-stdin",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct attach_options, no_stdin),
	 .help = "watch only: pass nothing that is typed, and leave the size of its terminal alone"},
	{.name = "detach-keys",
	 .arg = "KEYS",
	 .kind = OPT_TEXT,
	 .offset = offsetof(struct attach_options, keys),
	 .help = "leave with KEYS instead of ctrl-p,ctrl-q; '' for none",
	 .env = "IGLOO_DETACH_KEYS"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Attaching", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo attach fix", "the terminal of the box 'fix'; ctrl-p ctrl-q leaves it running"},
	{"igloo attach --no-stdin fix", "watch it"},
	{"igloo attach --detach-keys ctrl-] fix", "when ctrl-p is needed inside"},
	{.command = NULL},
};

const struct cmd cmd_attach = {
	.name = "attach",
	.args = "BOX",
	.summary = "attach to the terminal of a box that was started with --detach",
	.about = "Shows the end of what the box wrote and then what it writes, and passes on what is typed, until its "
		 "command "
		 "ends or the keys to detach are typed. Several may be attached at a time. A box that was started "
		 "where there was "
		 "no terminal has pipes instead; there, too, the end of igloo's stdin is not passed on.\n\n"
		 "SIGINT, SIGTERM, SIGHUP and SIGQUIT end igloo attach, not the box.\n\n"
		 "Exit status: the box's own when it ended meanwhile; 0 after detaching.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct attach_options),
	.min_args = 1,
	.max_args = 1,
	.arg_hint = HINT_BOXES,
	.run = run,
};
