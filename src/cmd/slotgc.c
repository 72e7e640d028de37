/* igloo slot gc: frees what can be made again.
 *
 * Nix's caches go, and the records of environments whose flake is gone, with what roots their store paths in the slot
 * and on the host. The slot's store itself is Nix's affair: what is valid in there is in its database, and only Nix, in
 * a box, may take it out. Without a name, the images of store paths for machines go, too: they belong to no slot. */
#include "base/name.h"
#include "base/size.h"
#include "box/slotdisk.h"
#include "box/storeimage.h"
#include "cmd/cmd.h"
#include "cmd/du.h"
#include "cmd/report.h"
#include "fmt/json.h"
#include "kind/vm/warm.h"
#include "nix/record.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_ID = 16 }; /* a record's name is so many digits and ".record"; box/environment.c makes it */

struct freed {
	uint64_t bytes;
	struct strv records; /* flake_dir#shell of those removed */
};

/* The names in the folder that begin with `prefix`. */
static void names_in(int dirfd, const char *path, const char *prefix, struct strv *names)
{
	int fd = file_open_beneath(dirfd, path, O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;

	if (!d) {
		(void)close_fd(fd);
		return;
	}
	while ((ent = readdir(d)))
		if (ent->d_name[0] != '.' && str_starts(ent->d_name, prefix))
			strv_add(names, ent->d_name);
	(void)closedir(d);
}

static int remove_path(struct slot *slot, const char *path, struct freed *freed, struct err **e)
{
	uint64_t bytes = du(slot->dir, path);
	int r = file_remove_tree(slot->dir, path, e);

	if (r == 0)
		freed->bytes += bytes;
	return r;
}

static int remove_names(struct slot *slot, const char *folder, const char *prefix, struct freed *freed, struct err **e)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	int r = 0;

	names_in(slot->dir, folder, prefix, &names);
	for (size_t i = 0; i < names.n && r == 0; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", folder, names.v[i]);

		r = remove_path(slot, path, freed, e);
	}
	return r;
}

/* The record's file goes last: what is cut short is done again. */
static int remove_record(struct slot *slot, const char *file, struct freed *freed, struct err **e)
{
	_cleanup_free_ char *id = xstrndup(file, RECORD_ID);
	_cleanup_free_ char *profile = xasprintf("env-%s", id);
	int r = remove_names(slot, "nix/var/nix/gcroots/igloo", profile, freed, e);

	if (r == 0)
		r = remove_names(slot, "roots", id, freed, e);
	return r < 0 ? r : remove_names(slot, "env", id, freed, e);
}

static bool flake_is_gone(const char *dir)
{
	_cleanup_free_ char *flake = xasprintf("%s/flake.nix", dir);
	struct stat st;

	return stat(flake, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

static int remove_dead_records(struct slot *slot, struct freed *freed, struct err **e)
{
	_cleanup_close_ int env = file_open_beneath(slot->dir, "env", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_strv_ struct strv names = STRV_INIT;
	int r = 0;

	names_in(slot->dir, "env", "", &names);
	for (size_t i = 0; i < names.n && r == 0; i++) {
		_cleanup_record_ struct env_record rec = {0};
		int k = str_ends(names.v[i], ".record") ? record_read(env, names.v[i], &rec, NULL) : -ENOENT;

		if (k == -EBADMSG) {
			strv_addf(&freed->records, "%s (damaged)", names.v[i]);
			r = remove_record(slot, names.v[i], freed, e);
		} else if (k == 0 && flake_is_gone(rec.flake_dir)) {
			strv_addf(&freed->records, "%s#%s", rec.flake_dir, rec.shell);
			r = remove_record(slot, names.v[i], freed, e);
		}
	}
	/* An index is of a flake's folder, whose name it does not tell; those of flakes that are there are made anew.
	 */
	for (size_t i = 0; i < names.n && r == 0 && freed->records.n > 0; i++) {
		_cleanup_free_ char *path = xasprintf("env/%s", names.v[i]);

		if (str_ends(path, ".index"))
			r = remove_path(slot, path, freed, e);
	}
	return r;
}

static int collect(struct slot *slot, struct freed *freed, struct err **e)
{
	int r = remove_names(slot, "cache", "", freed, e);

	slotdisk_sweep(slot);
	if (r == 0)
		r = remove_dead_records(slot, freed, e);
	if (r == 0)
		r = remove_path(slot, "env/failure.log", freed, e);
	return r < 0 ? err_wrap(e, "slot '%s'", slot->id) : 0;
}

static void add_text(struct str *s, const char *id, const struct freed *freed, const char *busy)
{
	if (busy) {
		str_addf(s, "%s: left alone: %s\n", id, busy);
		return;
	}
	str_addf(s, "%s: freed ", id);
	size_add(s, freed->bytes);
	str_addc(s, '\n');
	for (size_t i = 0; i < freed->records.n; i++) {
		str_adds(s, "  forgot the environment of ");
		str_add_printable(s, freed->records.v[i], strlen(freed->records.v[i]), false);
		str_addc(s, '\n');
	}
}

static json_t *slot_json(const char *id, const struct freed *freed, const char *busy)
{
	json_t *records = json_array();

	for (size_t i = 0; i < freed->records.n; i++) {
		_cleanup_str_ struct str text = STR_INIT;

		str_add_printable(&text, freed->records.v[i], strlen(freed->records.v[i]), false);
		(void)json_array_append_new(records, json_string(str_text(&text)));
	}
	return json_pack("{s:s, s:b, s:I, s:o}", "id", id, "inUse", busy != NULL, "freedBytes",
			 (json_int_t)freed->bytes, "records", records);
}

static int one(const char *id, bool only, struct str *s, json_t *list, struct err **e)
{
	_cleanup_slot_ struct slot *slot = NULL;
	_cleanup_err_ struct err *problem = NULL;
	struct freed freed = {0, STRV_INIT};
	const char *busy = NULL;
	int r = slot_open_id(id, true, &slot, &problem);

	if (r == -ENOENT && only) {
		(void)err_set(e, ENOENT, "there is no slot '%s'", id);
		return err_hint(e, "igloo slot ls shows those there are");
	}
	if (r == -EBUSY && !only)
		busy = err_message(problem);
	else if (r == 0)
		r = collect(slot, &freed, &problem);
	if (r == 0 || busy) {
		add_text(s, id, &freed, busy);
		(void)json_array_append_new(list, slot_json(id, &freed, busy));
		r = 0;
	} else if (r == -ENOENT) {
		r = 0; /* removed meanwhile */
	} else {
		if (r == -EBUSY)
			(void)err_hint(&problem, "igloo ls shows the boxes that run");
		if (e)
			*e = take_ptr(problem);
	}
	strv_release(&freed.records);
	return r;
}

static int collect_images(struct str *s, json_t *document, struct err **e)
{
	_cleanup_storeimages_ struct storeimages cache = {.dir = -1};
	struct storeimages_info info = {0};
	int r = storeimages_open(&cache, e);

	if (r == 0)
		r = storeimages_clean(&cache, true, &info, e);
	if (r < 0)
		return r;
	(void)json_object_set_new(document, "storeImages",
				  json_pack("{s:I, s:I, s:I}", "freedBytes", (json_int_t)info.freed, "inUse",
					    (json_int_t)info.n_held, "bytes", (json_int_t)info.bytes));
	if (info.freed == 0 && info.n == 0)
		return 0;
	str_adds(s, "images of store paths: freed ");
	size_add(s, info.freed);
	if (info.n_held > 0)
		str_addf(s, "; %zu in use", info.n_held);
	str_addc(s, '\n');
	return 0;
}

static int collect_machines(struct str *s, json_t *document, struct err **e)
{
	size_t n = 0;
	uint64_t bytes = 0;
	int r = warm_look(true, &n, &bytes, e);

	if (r < 0)
		return r;
	(void)json_object_set_new(document, "memories",
				  json_pack("{s:I, s:I}", "freedBytes", (json_int_t)bytes, "machines", (json_int_t)n));
	if (n == 0)
		return 0;
	str_adds(s, "machines in memory: freed ");
	size_add(s, bytes);
	str_addc(s, '\n');
	return 0;
}

static int run(struct invocation *inv, struct err **e)
{
	_cleanup_json_ json_t *document = json_object();
	_cleanup_strv_ struct strv ids = STRV_INIT;
	_cleanup_str_ struct str s = STR_INIT;
	json_t *list = json_array();
	int r = 0;

	(void)json_object_set_new(document, "schema", json_string("igloo.slot.gc/1"));
	(void)json_object_set_new(document, "slots", list);
	for (int i = 0; i < inv->argc && r == 0; i++) {
		r = name_check(inv->argv[i], e);
		strv_add(&ids, inv->argv[i]);
	}
	if (r == 0 && inv->argc == 0)
		r = slot_list(&ids, e);
	for (size_t i = 0; i < ids.n && r == 0; i++)
		r = one(ids.v[i], inv->argc > 0, &s, list, e);
	if (r == 0 && inv->argc == 0)
		r = collect_images(&s, document, e);
	if (r == 0 && inv->argc == 0)
		r = collect_machines(&s, document, e);
	if (r < 0)
		return r;
	if (inv->global.json) {
		str_clear(&s);
		json_add_sorted(&s, document);
		str_addc(&s, '\n');
	}
	return inv->global.quiet && !inv->global.json ? 0 : report_out(&s, e);
}

static const struct example examples[] = {
	{"igloo slot gc",
	 "in every slot that no box uses, the images of store paths (--store-image) and machines kept in memory "
	 "(--start)"},
	{"igloo run -- nix-collect-garbage", "in the store of this repository's slot, where its shell has Nix"},
	{.command = NULL},
};

const struct cmd cmd_slot_gc = {
	.name = "slot gc",
	.args = "[SLOT...]",
	.summary = "free what slots can make again",
	.about = "Removes Nix's caches (of downloads and evaluations), and the records of environments whose flake.nix "
		 "is gone. The "
		 "next evaluation takes longer; nothing else is lost. Without a SLOT, the images of store paths that "
		 "no machine "
		 "uses go, too; the next --store-image makes one anew.\n\n"
		 "It leaves the slot's Nix store alone: only Nix itself may remove store paths, and does so when a box "
		 "runs "
		 "nix-collect-garbage. What was only kept for a removed record is then removed too. A slot whose "
		 "repository is gone "
		 "can go as a whole: see `igloo slot ls` and `igloo slot rm`.",
	.examples = examples,
	.max_args = -1,
	.arg_hint = HINT_SLOTS,
	.more_hint = HINT_SLOTS,
	.run = run,
};
