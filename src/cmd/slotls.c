/* igloo slot ls: what is kept for boxes to come. */
#include "base/size.h"
#include "box/box.h"
#include "box/dirs.h"
#include "box/slotdisk.h"
#include "cmd/cmd.h"
#include "cmd/du.h"
#include "cmd/report.h"
#include "cmd/table.h"
#include "fmt/json.h"
#include "sys/file.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { REPOSITORY_MAX = 8192 };

struct slotls_options {
	bool no_size;
};

struct row {
	const char *id;
	char *repository; /* NULL: the slot was never finished */
	bool repository_exists;
	uint64_t bytes;
	size_t boxes;
	time_t used;
	struct slotdisk_info disk;
};

/* A start leaves few traces: it reads `repository` (whose atime moves once a day, as is usual), and where something was
 * resolved, built or written to the home, those folders tell. */
static time_t last_used(int dir)
{
	static const char *const traces[] = {"repository", "env", "home", "nix/store", "nix/var/nix/db/db.sqlite"};
	time_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(traces); i++) {
		struct stat st;

		if (fstatat(dir, traces[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (i == 0 && st.st_atime > used)
			used = st.st_atime;
		if (st.st_mtime > used)
			used = st.st_mtime;
	}
	return used;
}

static void look(int slots, struct row *row, bool with_size, const struct box_info *boxes, size_t n_boxes)
{
	_cleanup_close_ int dir = file_open_beneath(slots, row->id, O_RDONLY | O_DIRECTORY, 0);
	_cleanup_str_ struct str repository = STR_INIT;
	struct stat st;

	if (dir < 0)
		return;
	row->used = last_used(dir);
	if (file_read(dir, "repository", REPOSITORY_MAX, &repository, NULL) == 0) {
		row->repository = str_take(&repository);
		row->repository_exists = stat(row->repository, &st) == 0;
	}
	if (with_size)
		row->bytes = du(dir, ".");
	slotdisk_look(dir, &row->disk);
	for (size_t i = 0; i < n_boxes; i++)
		row->boxes += boxes[i].running && boxes[i].slot && strcmp(boxes[i].slot, row->id) == 0;
}

/* What it takes of what it could, and who has it. */
static void add_disk(struct table *t, const struct slotdisk_info *d)
{
	_cleanup_str_ struct str text = STR_INIT;

	if (d->bytes) {
		size_add(&text, d->used);
		str_adds(&text, " of ");
		size_add(&text, d->bytes);
	} else {
		str_adds(&text, "-");
	}
	if (d->box)
		str_addf(&text, ", %s", d->box);
	else if (d->held)
		str_adds(&text, ", in use");
	table_add(t, str_text(&text));
}

static void add_text(struct str *s, const struct row *rows, size_t n, bool with_size)
{
	static const struct table_column columns[] = {
		{.title = "SLOT"}, {.title = "SIZE", .right = true},
		{.title = "DISK"}, {.title = "BOXES", .right = true},
		{.title = "USED"}, {.title = "REPOSITORY", .least = 20, .keeps_end = true},
	};
	struct table t = {columns, ARRAY_SIZE(columns), STRV_INIT};

	for (size_t i = 0; i < n; i++) {
		int64_t seconds = (int64_t)time(NULL) - (int64_t)rows[i].used;
		_cleanup_free_ char *ago = table_ago(seconds);
		_cleanup_str_ struct str text = STR_INIT;

		table_add(&t, rows[i].id);
		if (with_size)
			size_add(&text, rows[i].bytes);
		table_add(&t, with_size ? str_text(&text) : "-");
		add_disk(&t, &rows[i].disk);
		table_addf(&t, "%zu", rows[i].boxes);
		table_addf(&t, "%s%s", ago, *ago >= '0' && *ago <= '9' ? " ago" : "");
		str_clear(&text);
		str_adds(&text, rows[i].repository ? rows[i].repository : "(never finished)");
		if (rows[i].repository && !rows[i].repository_exists)
			str_adds(&text, " (gone)");
		table_add(&t, str_text(&text));
	}
	table_show(&t, table_width(), s);
	table_release(&t);
}

/* Paths need not be UTF-8; then they are shown with \xNN. */
static json_t *path_json(const char *path)
{
	_cleanup_str_ struct str printable = STR_INIT;
	json_t *j;

	if (!path)
		return json_null();
	j = json_string(path);
	if (j)
		return j;
	str_add_printable(&printable, path, strlen(path), false);
	return json_string(str_text(&printable));
}

static json_t *disk_json(const struct slotdisk_info *d)
{
	if (!d->bytes && !d->held)
		return json_null();
	return json_pack("{s:I, s:I, s:b, s:o}", "bytes", (json_int_t)d->bytes, "usedBytes", (json_int_t)d->used,
			 "held", d->held, "box", d->box ? json_string(d->box) : json_null());
}

static void add_json(struct str *s, const struct row *rows, size_t n, bool with_size)
{
	_cleanup_json_ json_t *document = json_object();
	json_t *slots = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *j = json_object();

		(void)json_object_set_new(j, "id", json_string(rows[i].id));
		(void)json_object_set_new(j, "repository", path_json(rows[i].repository));
		(void)json_object_set_new(j, "repositoryExists", json_boolean(rows[i].repository_exists));
		(void)json_object_set_new(j, "boxes", json_integer((json_int_t)rows[i].boxes));
		(void)json_object_set_new(j, "used", json_integer((json_int_t)rows[i].used));
		(void)json_object_set_new(j, "bytes",
					  with_size ? json_integer((json_int_t)rows[i].bytes) : json_null());
		(void)json_object_set_new(j, "disk", disk_json(&rows[i].disk));
		(void)json_array_append_new(slots, j);
	}
	(void)json_object_set_new(document, "schema", json_string("igloo.slots/1"));
	(void)json_object_set_new(document, "slots", slots);
	json_add_sorted(s, document);
	str_addc(s, '\n');
}

static int run(struct invocation *inv, struct err **e)
{
	const struct slotls_options *o = inv->options;
	_cleanup_strv_ struct strv ids = STRV_INIT;
	_cleanup_str_ struct str s = STR_INIT;
	_cleanup_close_ int slots = dirs_open(DIRS_STATE, "slots", e);
	_cleanup_free_ struct row *rows = NULL;
	struct box_info *boxes = NULL;
	size_t n_boxes = 0;
	int r = slots < 0 ? slots : slot_list(&ids, e);

	if (r == 0)
		r = box_list(&boxes, &n_boxes, e);
	if (r < 0)
		return r;
	rows = xcalloc(ids.n ? ids.n : 1, sizeof(*rows));
	for (size_t i = 0; i < ids.n; i++) {
		rows[i].id = ids.v[i];
		if (!inv->global.quiet || inv->global.json)
			look(slots, &rows[i], !o->no_size, boxes, n_boxes);
		else
			str_addf(&s, "%s\n", ids.v[i]);
	}
	if (inv->global.json)
		add_json(&s, rows, ids.n, !o->no_size);
	else if (!inv->global.quiet)
		add_text(&s, rows, ids.n, !o->no_size);
	for (size_t i = 0; i < ids.n; i++) {
		free(rows[i].repository);
		slotdisk_info_release(&rows[i].disk);
	}
	box_list_free(boxes, n_boxes);
	return report_out(&s, e);
}

static const struct opt opts[] = {
	{.name = "no-size",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct slotls_options, no_size),
	 .help = "do not add up sizes, which takes long for large stores"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Listing", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo slot ls", "what is kept, how large it is, and for which repository"},
	{"igloo slot ls --json | jq -r '.slots[] | select(.repositoryExists|not).id'",
	 "slots of repositories that are gone"},
	{.command = NULL},
};

const struct cmd cmd_slot_ls = {
	.name = "slot ls",
	.args = "",
	.summary = "list the slots: stores, caches and homes that boxes share",
	.about = "A slot is what boxes of one repository share and what stays when they end: a Nix store, Nix's "
		 "caches, a home, and "
		 "the records of environments. SIZE is what it takes on the disk; store paths of the host's that it "
		 "only mounts "
		 "count nothing. DISK is what the disk of its machines takes of the size it has in them, and the box "
		 "that has it. USED "
		 "is right to a day.\n\n"
		 "With --quiet it prints the slots' names only, one a line.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct slotls_options),
	.run = run,
};
