#include "cmd/asking.h"

#include "base/log.h"
#include "box/grants.h"
#include "box/portspec.h"
#include "net/policy.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* --- what remains to be granted ----------------------------------------------------------------------------------- */

/* Bound to a host or not: `wanted` may end with one, too. */
static bool gives_secret(const struct strv *options, const char *wanted)
{
	size_t n = strcspn(wanted, "@");

	for (size_t i = 0; i < options->n; i++)
		if (strncmp(options->v[i], wanted, n) == 0 && strcspn(options->v[i] + n, "=@") == 0)
			return true;
	return false;
}

static bool forwards(const struct strv *specs, const char *wanted)
{
	struct portspec want;
	struct portspec have;

	if (portspec_parse(wanted, &want, NULL) < 0)
		return false;
	for (size_t i = 0; i < specs->n; i++)
		if (portspec_parse(specs->v[i], &have, NULL) == 0 && have.guest == want.guest)
			return true;
	return false;
}

/* What the user said about the same thing is the answer to it: a limit, a secret under its own name, a port. */
static void drop_given(const struct box_options *o, struct requests *r)
{
	const uint64_t limits[REQUESTS_LIMITS] = {[REQUESTS_CPUS] = o->cpus,
						  [REQUESTS_MEMORY] = o->memory,
						  [REQUESTS_PIDS] = o->pids,
						  [REQUESTS_TIMEOUT] = o->timeout};
	_cleanup_strv_ struct strv ports = STRV_INIT;
	_cleanup_strv_ struct strv secrets = STRV_INIT;

	for (size_t i = 0; i < REQUESTS_LIMITS; i++)
		if (limits[i])
			r->limit[i] = 0;
	for (size_t i = 0; i < r->list[REQUESTS_PORTS].n; i++)
		if (forwards(&o->ports, r->list[REQUESTS_PORTS].v[i]))
			strv_add(&ports, r->list[REQUESTS_PORTS].v[i]);
	for (size_t i = 0; i < r->list[REQUESTS_SECRETS].n; i++) {
		const char *name = r->list[REQUESTS_SECRETS].v[i];

		if (gives_secret(&o->secret, name) || gives_secret(&o->secret_file, name))
			strv_add(&secrets, name);
	}
	(void)requests_remove(r, REQUESTS_PORTS, &ports);
	(void)requests_remove(r, REQUESTS_SECRETS, &secrets);
	if (o->offline)
		strv_release(&r->list[REQUESTS_ALLOW]);
}

/* Hosts that the user allowed need not be asked for. */
static int load_granted(const struct box_options *o, const struct slot *slot, struct requests *ret, struct err **e)
{
	struct strv *allow = &ret->list[REQUESTS_ALLOW];
	int r = grants_requests(slot, ret, e);

	if (r == 0)
		r = grants_load(slot, allow, e);
	for (size_t i = 0; i < o->allow.n && r == 0; i++) {
		_cleanup_str_ struct str entry = STR_INIT;

		r = policy_entry_normalise(o->allow.v[i], &entry, e);
		if (r == 0)
			strv_add(allow, str_text(&entry));
	}
	strv_sort_unique(allow);
	return r;
}

/* --- the question ------------------------------------------------------------------------------------------------- */

static void write_out(const char *text, size_t n)
{
	while (n > 0) {
		ssize_t k = write(STDERR_FILENO, text, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return;
		text += k;
		n -= (size_t)k;
	}
}

/* One line, no byte more: what follows is the command's. */
static bool read_yes(void)
{
	char line[8] = "";
	size_t n = 0;
	char c;

	for (;;) {
		ssize_t k = read(STDIN_FILENO, &c, 1);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		if (c == '\n')
			break;
		if (n < sizeof(line) - 1)
			line[n++] = c;
	}
	line[n] = '\0';
	return strcasecmp(line, "y") == 0 || strcasecmp(line, "yes") == 0;
}

static bool forbidden;

void asking_forbid(void)
{
	forbidden = true;
}

bool asking_terminal(void)
{
	return !forbidden && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool asking_yes(const struct str *question)
{
	/* Keys that were pressed before the question are no answer to it. */
	(void)tcflush(STDIN_FILENO, TCIFLUSH);
	write_out(str_text(question), question->len);
	return read_yes();
}

static void add_list(struct str *s, const char *indent, const struct requests *r, const struct requests *fresh)
{
	_cleanup_strv_ struct strv lines = STRV_INIT;

	requests_add_lines(&lines, r, fresh);
	for (size_t i = 0; i < lines.n; i++)
		str_addf(s, "%s%s\n", indent, lines.v[i]);
}

static bool ask(const struct enter *in, const struct requests *wanted, const struct requests *missing)
{
	bool first = requests_count(wanted) == requests_count(missing);
	_cleanup_str_ struct str s = STR_INIT;

	str_adds(&s, "igloo: the flake in ");
	str_add_printable(&s, in->source.flake_dir, strlen(in->source.flake_dir), false);
	str_adds(&s, first ? " asks for\n" : " asks for more than was granted\n");
	add_list(&s, "  ", wanted, first ? NULL : missing);
	str_addf(&s, "Grant %s to every box of this repository? [y/N] ",
		 first                          ? "this"
		 : requests_count(missing) == 1 ? "what is new"
						: "all that is new");
	return asking_yes(&s);
}

static int refuse(const struct requests *missing, bool asked, struct err **e)
{
	_cleanup_str_ struct str list = STR_INIT;
	_cleanup_str_ struct str options = STR_INIT;

	if (asked) {
		(void)err_set(e, EACCES, "what the flake asks for is not granted");
		return err_hint(e, "to run without it: --ignore-requests");
	}
	add_list(&list, "", missing, NULL);
	requests_add_options(&options, missing);
	(void)err_set(e, EACCES, "the flake asks for what is not granted, and there is no terminal to ask at");
	(void)err_detail(e, str_text(&list));
	(void)err_hint(e, "to grant all of it to this box: --grant-requests, or one by one:%s", str_text(&options));
	return err_hint(e, "to run without it: --ignore-requests");
}

static int grant(const struct box_options *o, const struct enter *in, const struct requests *wanted, struct err **e)
{
	_cleanup_requests_ struct requests granted = {0};
	_cleanup_requests_ struct requests missing = {0};
	bool terminal = asking_terminal();
	int r = load_granted(o, in->slot, &granted, e);

	if (r < 0)
		return r;
	requests_missing(wanted, &granted, &missing);
	if (requests_count(&missing) == 0 || o->grant_requests)
		return 0;
	if (!terminal || !ask(in, wanted, &missing))
		return refuse(&missing, terminal, e);
	return grants_add_requests(in->slot, &missing, e);
}

/* --- what comes of it --------------------------------------------------------------------------------------------- */

static void say_unknown(const struct requests *r)
{
	_cleanup_str_ struct str names = STR_INIT;

	for (size_t i = 0; i < r->unknown.n; i++)
		str_addf(&names, "%s%s", i ? ", " : "", r->unknown.v[i]);
	if (names.len > 0)
		log_note("the flake asks for what this igloo does not know: %s", str_text(&names));
}

/* A kind is how well the box is sealed: another one than asked for is the user's choice alone. */
static int choose_kind(const struct box_options *o, const struct requests *wanted, struct enter *in, struct err **e)
{
	_cleanup_err_ struct err *problem = NULL;

	if (o->kind || !wanted->kind || kind_find(wanted->kind, &in->kind, &problem) == 0)
		return 0;
	(void)err_set(e, ENOTSUP, "the flake asks for a box of kind '%s', which this igloo does not have",
		      wanted->kind);
	return err_hint(e, "to have another kind instead: --in %s", kinds[0]->name);
}

int asking_settle(const struct box_options *o, struct enter *in, struct err **e)
{
	const char *json = in->record.requests;
	const struct strv *secrets = &in->got.list[REQUESTS_SECRETS];
	int r;

	if (!*json || o->ignore_requests)
		return 0;
	r = requests_parse(json, strlen(json), &in->got, e);
	if (r < 0)
		return err_hint(e, "to run without what the flake asks for: --ignore-requests");
	say_unknown(&in->got);
	r = choose_kind(o, &in->got, in, e);
	if (r < 0)
		return r;
	drop_given(o, &in->got);
	r = grant(o, in, &in->got, e);
	for (size_t i = 0; i < secrets->n && r == 0; i++) {
		r = secrets_add_variable(&in->secrets, secrets->v[i], e);
		if (r < 0)
			return err_wrap(e, "the flake asks for a secret");
	}
	return r;
}

int asking_apply(struct enter *in, struct err **e)
{
	struct box_spec *spec = &in->spec;
	uint64_t *const limits[REQUESTS_LIMITS] = {[REQUESTS_CPUS] = &spec->limits.cpu_milli,
						   [REQUESTS_MEMORY] = &spec->limits.memory,
						   [REQUESTS_PIDS] = &spec->limits.pids,
						   [REQUESTS_TIMEOUT] = &spec->limits.timeout_ms};
	_cleanup_str_ struct str json = STR_INIT;

	if (requests_count(&in->got) == 0)
		return 0;
	strv_add_all(&spec->allow, in->got.list[REQUESTS_ALLOW].v);
	strv_add_all(&spec->ports, in->got.list[REQUESTS_PORTS].v);
	for (size_t i = 0; i < REQUESTS_LIMITS; i++)
		if (in->got.limit[i])
			*limits[i] = in->got.limit[i];
	requests_add_json(&json, &in->got);
	spec->requested = str_take(&json);
	return portspec_check(&spec->ports, e);
}
