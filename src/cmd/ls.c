/* igloo ls: the boxes there are. */
#include "box/box.h"
#include "cmd/cmd.h"
#include "cmd/portsview.h"
#include "cmd/report.h"
#include "cmd/table.h"
#include "fmt/json.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { STATE_MAX = 1 << 20, STATE_DEPTH = 8 };

struct ls_options {
	bool all;
};

/* Seconds since the process started, by the clock that no clock step moves; -1 when it is not known. Field 22 of
 * /proc/PID/stat is the start in ticks since boot (proc_pid_stat(5)); the name before it, in parentheses, may hold
 * anything. */
static int64_t process_age(pid_t pid)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/stat", (int)pid);
	_cleanup_close_ int fd = file_open_user(path, O_RDONLY);
	_cleanup_str_ struct str text = STR_INIT;
	struct timespec now;
	unsigned long long start;
	const char *p;
	char *end;

	if (pid <= 0 || fd < 0 || fd_read_all(fd, 8192, &text, NULL) < 0)
		return -1;
	p = strrchr(str_text(&text), ')');
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -1;
	start = strtoull(p + 1, &end, 10);
	if (end == p + 1)
		return -1;
	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec - (int64_t)(start / (unsigned long long)sysconf(_SC_CLK_TCK));
}

static int64_t age(const struct box_info *box)
{
	int64_t seconds = box->running ? process_age(box->supervisor) : -1;

	if (seconds < 0 && box->since > 0)
		seconds = (int64_t)time(NULL) - (int64_t)box->since;
	return seconds;
}

static bool is_shown(const struct box_info *box)
{
	return box->running || box->starting;
}

static void add_status(struct table *t, const struct box_info *box)
{
	if (box->running)
		table_add(t, box->json ? "running" : "starting");
	else if (box->starting)
		table_add(t, "starting");
	else if (box->defined && !box->json && !box->stopped)
		table_add(t, "created");
	else if (box->defined && (box->stopped || box->exit_code < 0))
		table_add(t, "stopped");
	else if (box->exit_code >= 0)
		table_addf(t, "exited (%d)", box->exit_code);
	else
		table_add(t, "killed");
}

static void add_ports(struct table *t, const struct box_info *box)
{
	_cleanup_json_ json_t *ports = portsview_of(box);
	_cleanup_str_ struct str text = STR_INIT;

	for (size_t i = 0; i < json_array_size(ports); i++) {
		str_adds(&text, i > 0 ? ", " : "");
		portsview_add(json_array_get(ports, i), &text);
	}
	table_add(t, str_text(&text));
}

static void add_text(struct str *s, const struct box_info *list, size_t n, bool all)
{
	static const struct table_column columns[] = {
		{.title = "NAME"},
		{.title = "KIND"},
		{.title = "STATUS"},
		{.title = "STARTED"},
		{.title = "PORTS", .least = 8},
		{.title = "SLOT", .least = 8},
		{.title = "WORKSPACE", .least = 12, .keeps_end = true},
		{.title = "COMMAND", .least = 10},
	};
	struct table t = {columns, ARRAY_SIZE(columns), STRV_INIT};

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *ago = NULL;

		if (!all && !is_shown(&list[i]))
			continue;
		ago = table_ago(age(&list[i]));
		table_add(&t, list[i].name);
		table_add(&t, list[i].kind ? list[i].kind : "");
		add_status(&t, &list[i]);
		table_addf(&t, "%s%s", ago, *ago >= '0' && *ago <= '9' ? " ago" : "");
		add_ports(&t, &list[i]);
		table_add(&t, list[i].slot ? list[i].slot : "");
		table_add(&t, list[i].workspace ? list[i].workspace : "");
		table_add(&t, list[i].command ? list[i].command : "");
	}
	table_show(&t, table_width(), s);
	table_release(&t);
}

/* Of a box that was never started. */
static void add_definition(json_t *j, const struct box_info *box)
{
	const struct {
		const char *key;
		const char *value;
	} members[] = {{"kind", box->kind},
		       {"slot", box->slot},
		       {"workspace", box->workspace},
		       {"mode", box->mode},
		       {"command", box->command}};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		_cleanup_str_ struct str clean = STR_INIT;

		if (!members[i].value)
			continue;
		str_add_printable(&clean, members[i].value, strlen(members[i].value), false);
		(void)json_object_set_new(j, members[i].key, json_string(str_text(&clean)));
	}
}

static void add_json(struct str *s, const struct box_info *list, size_t n, bool all)
{
	_cleanup_json_ json_t *document = json_object();
	json_t *boxes = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *j = NULL;

		if (!all && !is_shown(&list[i]))
			continue;
		if (!list[i].json ||
		    json_parse(list[i].json, strlen(list[i].json), STATE_MAX, STATE_DEPTH, &j, NULL) < 0)
			j = json_object();
		(void)json_object_del(j, "schema");
		(void)json_object_set_new(j, "name", json_string(list[i].name));
		if (!list[i].json)
			add_definition(j, &list[i]);
		(void)json_object_set_new(j, "stays", json_boolean(list[i].defined));
		(void)json_object_set_new(j, "starting", json_boolean(list[i].starting));
		(void)json_object_set_new(j, "running", json_boolean(list[i].running));
		(void)json_object_set_new(j, "supervisor", json_integer(list[i].supervisor));
		(void)json_object_set_new(j, "ageSeconds", json_integer(age(&list[i])));
		(void)json_array_append_new(boxes, j);
	}
	(void)json_object_set_new(document, "schema", json_string("igloo.boxes/1"));
	(void)json_object_set_new(document, "boxes", boxes);
	json_add_sorted(s, document);
	str_addc(s, '\n');
}

static int run(struct invocation *inv, struct err **e)
{
	const struct ls_options *o = inv->options;
	_cleanup_str_ struct str s = STR_INIT;
	struct box_info *list = NULL;
	size_t n = 0;
	int r = box_list(&list, &n, e);

	if (r < 0)
		return r;
	if (inv->global.json)
		add_json(&s, list, n, o->all);
	else if (!inv->global.quiet)
		add_text(&s, list, n, o->all);
	for (size_t i = 0; i < n && inv->global.quiet && !inv->global.json; i++)
		if (o->all || is_shown(&list[i]))
			str_addf(&s, "%s\n", list[i].name);
	box_list_free(list, n);
	return report_out(&s, e);
}

static const struct opt opts[] = {
	{.name = "all",
	 .letter = 'a',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct ls_options, all),
	 .help = "show the boxes that do not run, too"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Listing", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo ls -aq", "the names of all"},
	{"igloo ls -a", "with the boxes that have ended or wait to be started"},
	{"igloo ls --json | jq -r '.boxes[] | select(.ageSeconds > 86400).name'", "those that run for more than a day"},
	{.command = NULL},
};

const struct cmd cmd_ls = {
	.name = "ls",
	.args = "",
	.summary = "list the boxes that run",
	.about = "A box that was made for one command is gone when that ended; one that was started with --detach "
		 "stays, with "
		 "its log and exit status, until `igloo rm`; so does one that `igloo create` made. What killed "
		 "supervisors left is cleared away on the "
		 "way.\n\n"
		 "With --quiet it prints names only, one a line.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct ls_options),
	.run = run,
};
