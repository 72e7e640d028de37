/* igloo snapshot ls: the snapshots there are. */
#include "base/size.h"
#include "box/snapshot.h"
#include "cmd/cmd.h"
#include "cmd/du.h"
#include "cmd/report.h"
#include "cmd/table.h"
#include "fmt/json.h"

#include <errno.h>
#include <stddef.h>

struct snapshotls_options {
	bool no_size;
};

struct row {
	struct snapshot s; /* only a name when it is damaged */
	bool damaged;
	uint64_t bytes; /* on the disk */
};

static int look(const char *name, bool with_size, struct row *row, struct err **e)
{
	_cleanup_close_ int dir = snapshot_open(name, e);
	_cleanup_err_ struct err *problem = NULL;
	int r = dir < 0 ? dir : snapshot_look(name, &row->s, &problem);

	if (dir < 0)
		return dir;
	row->damaged = r < 0;
	if (r < 0)
		row->s.name = xstrdup(name);
	row->bytes = with_size ? du(dir, ".") : 0;
	return 0;
}

static void add_text(struct str *s, const struct row *rows, size_t n, bool with_size)
{
	static const struct table_column columns[] = {
		{.title = "SNAPSHOT"}, {.title = "SIZE", .right = true},     {.title = "MADE"},
		{.title = "BOX"},      {.title = "SLOT", .keeps_end = true},
	};
	struct table t = {columns, ARRAY_SIZE(columns), STRV_INIT};

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *ago = table_ago((int64_t)time(NULL) - (int64_t)rows[i].s.created);
		_cleanup_str_ struct str size = STR_INIT;

		table_add(&t, rows[i].s.name);
		size_add(&size, rows[i].bytes);
		table_add(&t, with_size ? str_text(&size) : "-");
		table_addf(&t, "%s%s", rows[i].damaged ? "-" : ago,
			   !rows[i].damaged && *ago >= '0' && *ago <= '9' ? " ago" : "");
		table_add(&t, rows[i].s.box ? rows[i].s.box : "-");
		table_add(&t, rows[i].damaged ? "(damaged)" : rows[i].s.slot);
	}
	table_show(&t, table_width(), s);
	table_release(&t);
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static void add_json(struct str *s, const struct row *rows, size_t n, bool with_size)
{
	_cleanup_json_ json_t *document = json_object();
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *j = json_object();

		(void)json_object_set_new(j, "name", json_string(rows[i].s.name));
		(void)json_object_set_new(j, "slot", text_or_null(rows[i].s.slot));
		(void)json_object_set_new(j, "repository", text_or_null(rows[i].s.repository));
		(void)json_object_set_new(j, "box", text_or_null(rows[i].s.box));
		(void)json_object_set_new(j, "created",
					  rows[i].damaged ? json_null() : json_integer((json_int_t)rows[i].s.created));
		(void)json_object_set_new(j, "damaged", json_boolean(rows[i].damaged));
		(void)json_object_set_new(j, "bytes",
					  with_size ? json_integer((json_int_t)rows[i].bytes) : json_null());
		(void)json_array_append_new(list, j);
	}
	(void)json_object_set_new(document, "schema", json_string("igloo.snapshots/1"));
	(void)json_object_set_new(document, "snapshots", list);
	json_add_sorted(s, document);
	str_addc(s, '\n');
}

static int run(struct invocation *inv, struct err **e)
{
	const struct snapshotls_options *o = inv->options;
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_free_ struct row *rows = NULL;
	size_t n = 0;
	int r = snapshot_list(&names, e);

	if (r < 0)
		return r;
	rows = xcalloc(names.n ? names.n : 1, sizeof(*rows));
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_err_ struct err *gone = NULL;

		if (look(names.v[i], !o->no_size && (!inv->global.quiet || inv->global.json), &rows[n], &gone) == 0)
			n++;
	}
	if (inv->global.json)
		add_json(&s, rows, n, !o->no_size);
	else if (!inv->global.quiet)
		add_text(&s, rows, n, !o->no_size);
	for (size_t i = 0; i < n; i++) {
		if (inv->global.quiet && !inv->global.json)
			str_addf(&s, "%s\n", rows[i].s.name);
		snapshot_release(&rows[i].s);
	}
	return report_out(&s, e);
}

static const struct opt opts[] = {
	{.name = "no-size",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct snapshotls_options, no_size),
	 .help = "do not add up sizes, which takes long for large stores"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Listing", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo snapshot ls", "what there is, how large and how old"},
	{.command = NULL},
};

const struct cmd cmd_snapshot_ls = {
	.name = "snapshot ls",
	.args = "",
	.summary = "list the snapshots",
	.about = "SIZE is what the files take on the disk; blocks that they share with the slot or with other "
		 "snapshots, "
		 "where the file system can do that, are counted in each of them. BOX is the box that was named when "
		 "the "
		 "snapshot was made.\n\n"
		 "With --quiet it prints the names only, one a line.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct snapshotls_options),
	.run = run,
};
