/* igloo why: what boxes were denied, and what would allow it. */
#include "base/log.h"
#include "box/denials.h"
#include "box/grants.h"
#include "cmd/enter.h"
#include "cmd/report.h"
#include "cmd/table.h"
#include "net/policy.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct why_options {
	struct box_options box;
	const char *host;
};

struct why {
	struct table table;
	struct str json;
	time_t now;
};

static const struct table_column columns[] = {
	{.title = "WHEN"}, {.title = "BOX"}, {.title = "WHAT", .least = 30}, {.title = "ALLOWED BY", .least = 16}};

static int add(void *arg, const struct engine_event *event, const char *box, time_t when)
{
	struct why *w = arg;
	_cleanup_free_ char *ago = table_ago((int64_t)(w->now - when));
	_cleanup_free_ char *entry = denials_entry(event);
	const char *option = denials_option(event);
	_cleanup_str_ struct str what = STR_INIT;

	denials_describe(event, &what);
	if (strcmp(ago, "now") == 0)
		table_add(&w->table, ago);
	else
		table_addf(&w->table, "%s ago", ago);
	table_add(&w->table, box);
	table_add(&w->table, str_text(&what));
	if (*entry)
		table_addf(&w->table, "igloo allow %s", entry);
	else
		table_add(&w->table, option ? option : "-");
	denials_json(event, box, when, &w->json);
	return 0;
}

/* --- a hypothetical ----------------------------------------------------------------------------------------------- */

static int read_host(const char *text, char host[HOSTNAME_MAX + 1], uint16_t *port, struct err **e)
{
	const char *colon = strrchr(text, ':');
	char *end = NULL;
	unsigned long n = 443;

	if (colon) {
		n = strtoul(colon + 1, &end, 10);
		if (end == colon + 1 || *end || n == 0 || n > 65535)
			return err_set(e, EINVAL, "'%s' is no port", colon + 1);
	}
	*port = (uint16_t)n;
	return hostname_normalise(text, colon ? (size_t)(colon - text) : strlen(text), host, e);
}

static int add_entries(struct str *s, const char *scope, const struct strv *entries, const char *host, uint16_t port,
		       struct err **e)
{
	for (size_t i = 0; i < entries->n; i++) {
		_cleanup_policy_ struct policy *one = policy_new();
		int r = policy_add(one, entries->v[i], e);

		if (r < 0)
			return r;
		if (policy_allows_name(one, host, port))
			str_addf(s, "%s:%u is allowed by '%s' (%s)\n", host, port, entries->v[i], scope);
	}
	return 0;
}

static int explain(struct invocation *inv, const struct slot *slot, const char *text, struct err **e)
{
	_cleanup_strv_ struct strv here = STRV_INIT;
	_cleanup_strv_ struct strv always = STRV_INIT;
	_cleanup_str_ struct str s = STR_INIT;
	char host[HOSTNAME_MAX + 1];
	uint16_t port = 0;
	int r = read_host(text, host, &port, e);

	if (r == 0)
		r = grants_list(GRANTS_REPOSITORY, slot, &here, e);
	if (r == 0)
		r = grants_list(GRANTS_ALWAYS, slot, &always, e);
	if (r == 0)
		r = add_entries(&s, "this repository", &here, host, port, e);
	if (r == 0)
		r = add_entries(&s, "always", &always, host, port, e);
	if (r < 0)
		return r;
	if (inv->global.json) {
		const bool allowed = s.len > 0;

		str_clear(&s);
		str_addf(&s, "{\"allowed\":%s,\"host\":\"%s\",\"port\":%u,\"schema\":\"igloo.why/1\"}\n",
			 allowed ? "true" : "false", host, port);
	} else if (s.len == 0) {
		const bool usual = port == 80 || port == 443;

		str_addf(&s, "%s:%u is not allowed; to allow it: igloo allow %s", host, port, host);
		if (!usual)
			str_addf(&s, ":%u", port);
		str_addc(&s, '\n');
	}
	return report_out(&s, e);
}

static int run(struct invocation *inv, struct err **e)
{
	const struct why_options *o = inv->options;
	_cleanup_enter_ struct enter in = {.kind = NULL};
	struct why w = {.table = {.columns = columns, .n = ARRAY_SIZE(columns)}, .now = time(NULL)};
	_cleanup_str_ struct str s = STR_INIT;
	int r = enter_repository(&o->box, &in, e);

	if (r < 0)
		return r;
	if (o->host)
		return explain(inv, in.slot, o->host, e);
	r = denials_read(in.slot, inv->argc > 0 ? inv->argv[0] : NULL, add, &w, e);
	if (r == 0 && inv->global.json)
		str_adds(&s, str_text(&w.json));
	else if (r == 0 && w.table.cells.n > 0)
		table_show(&w.table, table_width(), &s);
	else if (r == 0)
		log_note("nothing was denied");
	table_release(&w.table);
	str_release(&w.json);
	return r < 0 ? r : report_out(&s, e);
}

static const struct opt opts[] = {
	{.name = "dir",
	 .letter = 'C',
	 .arg = "DIR",
	 .kind = OPT_PATH,
	 .hint = HINT_DIRS,
	 .offset = offsetof(struct why_options, box.dir),
	 .help = "use the repository DIR instead of the one around the current folder"},
	{.name = "slot",
	 .arg = "NAME",
	 .kind = OPT_NAME,
	 .hint = HINT_SLOTS,
	 .offset = offsetof(struct why_options, box.slot),
	 .help = "of boxes of the slot NAME",
	 .env = "IGLOO_SLOT"},
	{.name = "host",
	 .arg = "HOST[:PORT]",
	 .kind = OPT_TEXT,
	 .offset = offsetof(struct why_options, host),
	 .help = "say whether a box could reach HOST, and by which grant; port 443 unless given"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Which", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo why", "what boxes of this repository were denied, and the command that would allow it"},
	{"igloo why fix --json", "of the box fix, one JSON object a line"},
	{"igloo why --host github.com", "would a box reach it?"},
	{.command = NULL},
};

const struct cmd cmd_why = {
	.name = "why",
	.args = "[BOX]",
	.summary = "show what was denied, and what would allow it",
	.about = "Each name, port and address that a box asked for in vain, once a box, with the reason. Kept for the "
		 "slot, also when the boxes are gone.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct why_options),
	.max_args = 1,
	.arg_hint = HINT_BOXES,
	.run = run,
};
