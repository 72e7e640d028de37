#include "box/snapshot.h"

#include "base/log.h"
#include "base/name.h"
#include "box/dirs.h"
#include "box/kind.h"
#include "box/slotcopy.h"
#include "fmt/json.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA "igloo.snapshot/1"

enum { DESCRIPTION_MAX = 64 << 10, DESCRIPTION_DEPTH = 2 };

void snapshot_release(struct snapshot *s)
{
	free(s->name);
	free(s->slot);
	free(s->repository);
	free(s->box);
	*s = (struct snapshot){0};
}

static int open_all(struct err **e)
{
	return dirs_open(DIRS_STATE, "snapshots", e);
}

static int no_such(const char *name, struct err **e)
{
	(void)err_set(e, ENOENT, "there is no snapshot '%s'", name);
	return err_hint(e, "igloo snapshot ls shows those there are");
}

int snapshot_open(const char *name, struct err **e)
{
	_cleanup_close_ int all = open_all(e);
	int r = all < 0 ? all : name_check(name, e);

	if (r < 0)
		return r;
	r = file_open_beneath(all, name, O_RDONLY | O_DIRECTORY, 0);
	if (r == -ENOENT)
		return no_such(name, e);
	return r < 0 ? err_errno(e, -r, "snapshot '%s'", name) : r;
}

int snapshot_name(const char *what, char **ret, struct err **e)
{
	enum { NUMBERS = 10000, DIGITS = 5 };
	_cleanup_close_ int all = open_all(e);

	if (all < 0)
		return all;
	for (int i = 1; i < NUMBERS; i++) {
		_cleanup_free_ char *name = xasprintf("%.*s-%d", NAME_MAX_LEN - DIGITS, what, i);

		if (faccessat(all, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
			*ret = take_ptr(name);
			return 0;
		}
	}
	return err_set(e, EEXIST, "'%s' has too many snapshots: give the next one a name", what);
}

/* --- the description
 * -------------------------------------------------------------------------------------------------- */

/* A path need not be UTF-8: then it is not told. */
static json_t *text_or_null(const char *text)
{
	json_t *j = text ? json_string(text) : NULL;

	return j ? j : json_null();
}

static int describe(int dir, uint64_t entries, const struct slot *slot, const char *box, const struct copytree *c,
		    struct err **e)
{
	_cleanup_json_ json_t *j = json_object();
	_cleanup_str_ struct str s = STR_INIT;

	(void)json_object_set_new(j, "schema", json_string(SCHEMA));
	(void)json_object_set_new(j, "slot", json_string(slot->id));
	(void)json_object_set_new(j, "repository", text_or_null(slot->repository));
	(void)json_object_set_new(j, "box", text_or_null(box));
	(void)json_object_set_new(j, "created", json_integer((json_int_t)time(NULL)));
	(void)json_object_set_new(j, "entries", json_integer((json_int_t)entries));
	(void)json_object_set_new(j, "bytes", json_integer((json_int_t)c->bytes));
	json_add_sorted(&s, j);
	str_addc(&s, '\n');
	return file_replace(dir, "snapshot.json", s.p, s.len, 0600, true, e);
}

static int parse(const struct str *text, struct snapshot *to, struct err **e)
{
	_cleanup_json_ json_t *j = NULL;
	const char *schema = NULL;
	const char *slot = NULL;
	const char *repository = NULL;
	const char *box = NULL;
	json_int_t numbers[3] = {0};
	int r = json_parse(str_text(text), text->len, DESCRIPTION_MAX, DESCRIPTION_DEPTH, &j, e);

	if (r == 0)
		r = json_want_string(j, "schema", "its description", &schema, e);
	if (r == 0 && strcmp(schema, SCHEMA) != 0)
		return err_set(e, EBADMSG, "it is from another igloo: schema '%s' where this one knows " SCHEMA,
			       schema);
	if (r == 0)
		r = json_want_string(j, "slot", "its description", &slot, e);
	if (r == 0)
		r = json_opt_string(j, "repository", "its description", &repository, e);
	if (r == 0)
		r = json_opt_string(j, "box", "its description", &box, e);
	if (r == 0)
		r = json_want_int(j, "created", "its description", &numbers[0], e);
	if (r == 0)
		r = json_want_int(j, "entries", "its description", &numbers[1], e);
	if (r == 0)
		r = json_want_int(j, "bytes", "its description", &numbers[2], e);
	if (r == 0)
		r = name_check(slot, e);
	if (r < 0)
		return r;
	to->slot = xstrdup(slot);
	to->repository = repository ? xstrdup(repository) : NULL;
	to->box = box ? xstrdup(box) : NULL;
	to->created = (time_t)numbers[0];
	to->entries = (uint64_t)numbers[1];
	to->bytes = (uint64_t)numbers[2];
	return 0;
}

int snapshot_look(const char *name, struct snapshot *ret, struct err **e)
{
	_cleanup_close_ int dir = snapshot_open(name, e);
	_cleanup_str_ struct str text = STR_INIT;
	struct snapshot s = {0};
	int r = dir < 0 ? dir : file_read(dir, "snapshot.json", DESCRIPTION_MAX, &text, e);

	if (dir < 0)
		return dir;
	if (r == 0)
		r = parse(&text, &s, e);
	if (r < 0) {
		(void)err_wrap(e, "snapshot '%s' is damaged", name);
		(void)err_hint(e, "igloo snapshot rm %s removes it", name);
		return -EBADMSG;
	}
	s.name = xstrdup(name);
	*ret = s;
	return 0;
}

int snapshot_list(struct strv *ret, struct err **e)
{
	_cleanup_close_ int lock = slotcopy_begin(e);
	int all = lock < 0 ? lock : open_all(e);
	const struct dirent *ent;
	DIR *d;

	if (all < 0)
		return all;
	d = fdopendir(all);
	if (!d) {
		(void)close_fd(all);
		return err_errno(e, errno, "cannot list the snapshots");
	}
	while ((ent = readdir(d)))
		if (name_is_valid(ent->d_name))
			strv_add(ret, ent->d_name);
	(void)closedir(d);
	strv_sort_unique(ret);
	return 0;
}

/* --- making, putting back, removing ------------------------------------------------------------------------------- */

/* The copy of the slot within the snapshot's folder, which has the temporary name. */
static int fill(int dir, struct slot *slot, const char *box, struct copytree *c, struct err **e)
{
	_cleanup_free_ char *temporary = NULL;
	_cleanup_close_ int copy = -1;
	int r = slotcopy_make(slot->dir, dir, "slot", c, &temporary, &copy, e);

	if (r == 0 && renameat(dir, temporary, dir, "slot") < 0)
		r = err_errno(e, errno, "cannot finish the copy");
	return r < 0 ? r : describe(dir, slotcopy_entries(copy, c), slot, box, c, e);
}

static void root(const char *name, struct err **e)
{
	_cleanup_free_ char *sub = xasprintf("snapshots/%s/slot", name);
	_cleanup_close_ int dir = snapshot_open(name, e);
	_cleanup_close_ int slot = dir < 0 ? -1 : file_open_beneath(dir, "slot", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_free_ char *path = NULL;

	if (slot < 0 || dirs_path(DIRS_STATE, sub, &path, e) < 0 || slotcopy_root(slot, path, e) < 0)
		log_note("the host's store paths of snapshot '%s' are not kept from its garbage collection: what is "
			 "gone when it is restored is made again",
			 name);
}

int snapshot_create(const char *name, struct slot *slot, const char *box, struct copytree *c, struct err **e)
{
	_cleanup_close_ int lock = slotcopy_begin(e);
	_cleanup_close_ int all = lock < 0 ? lock : open_all(e);
	_cleanup_free_ char *temporary = xasprintf(".%s.%d.copying", name, (int)getpid());
	_cleanup_err_ struct err *problem = NULL;
	_cleanup_close_ int dir = -1;
	int r;

	if (all < 0)
		return all;
	if (faccessat(all, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(e, EEXIST, "there is a snapshot '%s' already", name);
	if (mkdirat(all, temporary, 0700) < 0)
		return err_errno(e, errno, "cannot make snapshot '%s'", name);
	dir = file_open_beneath(all, temporary, O_RDONLY | O_DIRECTORY, 0);
	r = dir < 0 ? err_errno(e, -dir, "cannot make snapshot '%s'", name) : fill(dir, slot, box, c, e);
	if (r < 0) {
		(void)file_remove_tree(all, temporary, NULL);
		return r;
	}
	r = slotcopy_place(all, temporary, dir, name, NULL, e);
	if (r == 0)
		root(name, &problem);
	return r;
}

static int check_whole(const struct snapshot *s, int copy, const struct copytree *c, struct err **e)
{
	uint64_t entries = slotcopy_entries(copy, c);

	if (entries == s->entries && c->bytes == s->bytes)
		return 0;
	(void)err_set(e, EBADMSG,
		      "snapshot '%s' is damaged: it has %" PRIu64 " files of %" PRIu64
		      " bytes, and should have %" PRIu64 " of %" PRIu64,
		      s->name, entries, c->bytes, s->entries, s->bytes);
	return err_hint(e, "the slot is as it was; igloo snapshot rm %s removes the snapshot", s->name);
}

/* Copies and checks; the copy is a slot that nobody can take yet. */
static int restore_from(int from, int slots, const struct snapshot *s, struct slot *old, struct copytree *c,
			struct err **e)
{
	_cleanup_free_ char *sub = xasprintf("slots/%s", s->slot);
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *temporary = NULL;
	_cleanup_err_ struct err *problem = NULL;
	_cleanup_close_ int copy = -1;
	_cleanup_close_ int lock = -1;
	int r = dirs_path(DIRS_STATE, sub, &path, e);

	if (r == 0)
		r = slotcopy_make(from, slots, s->slot, c, &temporary, &copy, e);
	if (r < 0)
		return r;
	r = check_whole(s, copy, c, e);
	/* Nobody starts a box in it until its roots are there. */
	if (r == 0)
		lock = file_lock(copy, "lock", false, false, e);
	if (r < 0 || lock < 0) {
		(void)file_remove_tree(slots, temporary, NULL);
		return r < 0 ? r : lock;
	}
	for (size_t i = 0; old && kinds[i]; i++)
		if (kinds[i]->drop)
			kinds[i]->drop(old);
	r = slotcopy_place(slots, temporary, copy, s->slot, old, e);
	if (r == 0 && slotcopy_root(copy, path, &problem) < 0)
		log_note("the host's store paths of slot '%s' are not kept from its garbage collection: %s", s->slot,
			 err_message(problem));
	return r;
}

/* Held shared to read it, exclusively to remove it. */
static int lock_snapshot(int dir, const char *name, bool shared, struct err **e)
{
	int lock = file_lock(dir, "lock", shared, false, e);

	if (lock != -EWOULDBLOCK)
		return lock;
	return err_set(e, EBUSY,
		       shared ? "snapshot '%s' is being removed" : "snapshot '%s' is in use: it is being restored",
		       name);
}

int snapshot_restore(const struct snapshot *s, struct slot *old, struct copytree *c, struct err **e)
{
	_cleanup_close_ int lock = slotcopy_begin(e);
	_cleanup_close_ int dir = lock < 0 ? lock : snapshot_open(s->name, e);
	_cleanup_close_ int held = dir < 0 ? dir : lock_snapshot(dir, s->name, true, e);
	_cleanup_close_ int from = held < 0 ? held : file_open_beneath(dir, "slot", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_close_ int slots = from < 0 ? from : dirs_open(DIRS_STATE, "slots", e);

	if (held < 0)
		return held;
	if (from < 0)
		return err_errno(e, -from, "snapshot '%s' is damaged: its copy of the slot", s->name);
	return slots < 0 ? slots : restore_from(from, slots, s, old, c, e);
}

int snapshot_remove(const char *name, struct err **e)
{
	_cleanup_close_ int lock = slotcopy_begin(e);
	_cleanup_close_ int all = lock < 0 ? lock : open_all(e);
	_cleanup_close_ int dir = all < 0 ? all : snapshot_open(name, e);
	_cleanup_close_ int held = dir < 0 ? dir : lock_snapshot(dir, name, false, e);
	_cleanup_free_ char *temporary = xasprintf(".%s.%d.removed", name, (int)getpid());
	int r;

	if (held < 0)
		return held;
	if (!file_is_named(dir, all, name))
		return no_such(name, e);
	/* Whole or not there. */
	if (renameat(all, name, all, temporary) < 0)
		return err_errno(e, errno, "cannot remove snapshot '%s'", name);
	r = file_remove_tree(all, temporary, e);
	return r < 0 ? err_wrap(e, "snapshot '%s'", name) : 0;
}
