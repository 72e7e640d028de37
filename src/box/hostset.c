/* Theory of operation
 *
 * The invariant (decision 3 of the design): what the slot's database calls valid is the slot's own or mounted, in every
 * box of the slot. So joining goes in this order: mount in the boxes that run, write the set (from then on new boxes
 * mount it), register. And leaving: unregister, then write the set. A crash between two steps leaves more mounted
 * than registered, which harms nobody and which the next call completes.
 *
 * A box that starts at the same time holds the slot's starting.lock shared from before it looks at the set
 * until its pid can be found; joining takes that lock exclusively. */
#include "box/hostset.h"

#include "base/log.h"
#include "box/box.h"
#include "nix/storepath.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static int join_set(struct nixbox *n, const struct hostpath *paths, size_t count, struct err **e)
{
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_close_ int lock = file_lock(n->slot->dir, "starting.lock", false, true, e);
	_cleanup_free_ struct hostpath *fresh = xcalloc(count, sizeof(*fresh));
	size_t n_fresh = 0;
	int r = lock < 0 ? lock : hostpaths_load(n->slot->dir, &set, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (!hostpaths_has(&set, paths[i].path))
			fresh[n_fresh++] = paths[i];
	if (n_fresh == 0)
		return 0;
	r = box_extend_all(n->slot->id, fresh, n_fresh, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_fresh; i++)
		hostpaths_add(&set, fresh[i].path, fresh[i].source);
	return hostpaths_store(n->slot->dir, &set, e);
}

static int register_set(struct nixbox *n, const struct str *registration, struct err **e)
{
	static char program[] = "nix-store";
	static char load[] = "--load-db";
	char *const argv[] = {program, load, NULL};
	_cleanup_str_ struct str nothing = STR_INIT;

	return nixbox_run(n, argv, 0, registration, &nothing, e);
}

int hostset_add(struct nixbox *n, const struct hostpath *paths, size_t count, const struct str *registration,
		struct err **e)
{
	int r = count > 0 ? join_set(n, paths, count, e) : 0;

	return r < 0 || count == 0 ? r : register_set(n, registration, e);
}

static void forget_records(struct slot *slot)
{
	_cleanup_close_ int env = file_open_beneath(slot->dir, "env", O_RDONLY | O_DIRECTORY, 0);
	const struct dirent *ent;
	DIR *d = env < 0 ? NULL : fdopendir(env);

	if (!d)
		return;
	(void)take_fd(&env);
	while ((ent = readdir(d)))
		if (str_ends(ent->d_name, ".record"))
			(void)unlinkat(dirfd(d), ent->d_name, 0);
	(void)closedir(d);
}

/* One entry of `nix-store --dump-db`: path, hash, size, deriver, number of references, references; a line each. */
struct entry {
	char *const *lines; /* into the split text */
	size_t n_lines;
	bool gone;
};

static int split_entries(char *const *lines, size_t n, struct entry **ret, size_t *ret_n, struct err **e)
{
	enum { HEAD = 5 };
	struct entry *v = xcalloc(n / HEAD + 1, sizeof(*v));
	size_t count = 0;

	for (size_t at = 0; at < n;) {
		char *end = NULL;
		unsigned long refs = n - at >= HEAD ? strtoul(lines[at + HEAD - 1], &end, 10) : 0;

		if (n - at < HEAD || !end || *end || refs > n - at - HEAD || !storepath_ok(lines[at])) {
			free(v);
			return err_set(e, EBADMSG, "the slot's database cannot be read");
		}
		v[count++] = (struct entry){.lines = lines + at, .n_lines = HEAD + refs};
		at += HEAD + refs;
	}
	*ret = v;
	*ret_n = count;
	return 0;
}

/* Marks what is gone and what refers, over however many steps, to something that is. */
static void mark_gone(struct entry *v, size_t n, struct strv *gone)
{
	bool more = true;

	while (more) {
		more = false;
		strv_sort_unique(gone);
		for (size_t i = 0; i < n; i++) {
			bool hit = strv_find_sorted(gone, v[i].lines[0]) >= 0;

			for (size_t k = 5; k < v[i].n_lines && !hit; k++)
				hit = strv_find_sorted(gone, v[i].lines[k]) >= 0;
			if (hit && !v[i].gone) {
				v[i].gone = more = true;
				strv_add(gone, v[i].lines[0]);
				strv_sort_unique(gone);
			}
		}
	}
}

/* The lines, an empty one (no deriver) included, which strv_split() would leave out. */
static void split_lines(struct strv *to, const struct str *text)
{
	const char *p = str_text(text);

	while (*p) {
		const char *end = strchrnul(p, '\n');

		strv_add_take(to, xstrndup(p, (size_t)(end - p)));
		p = *end ? end + 1 : end;
	}
}

/* The database without what is gone: written out, taken away, and read in again. */
static int rebuild_database(struct nixbox *n, struct strv *gone, struct err **e)
{
	static char program[] = "nix-store";
	static char dump[] = "--dump-db";
	static char load[] = "--load-db";
	char *const dump_argv[] = {program, dump, NULL};
	char *const load_argv[] = {program, load, NULL};
	_cleanup_str_ struct str all = STR_INIT;
	_cleanup_str_ struct str kept = STR_INIT;
	_cleanup_str_ struct str nothing = STR_INIT;
	_cleanup_strv_ struct strv lines = STRV_INIT;
	_cleanup_free_ struct entry *entries = NULL;
	size_t count = 0;
	int r = nixbox_run(n, dump_argv, 0, NULL, &all, NULL);

	split_lines(&lines, &all);
	/* A database that cannot be read, whatever a box did to it, is as good as empty: Nix builds anew what it lacks.
	 */
	if (r == 0 && split_entries(lines.v, lines.n, &entries, &count, NULL) == 0)
		mark_gone(entries, count, gone);
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < entries[i].n_lines && !entries[i].gone; k++)
			str_addf(&kept, "%s\n", entries[i].lines[k]);
	r = file_remove_tree(n->slot->dir, "nix/var/nix/db", e);
	return r < 0 ? r : nixbox_run(n, load_argv, 0, &kept, &nothing, e);
}

static int join_tools(struct nixbox *n, struct err **e)
{
	size_t count = n->tools->paths.n;
	_cleanup_free_ struct hostpath *paths = xcalloc(count, sizeof(*paths));

	for (size_t i = 0; i < count; i++)
		paths[i] = (struct hostpath){.path = n->tools->paths.v[i], .source = n->tools->sources.v[i]};
	return join_set(n, paths, count, e);
}

int hostset_add_tools(struct nixbox *n, struct err **e)
{
	int r = join_tools(n, e);

	return r < 0 ? r : register_set(n, &n->tools->registration, e);
}

int hostset_forget(struct nixbox *n, const struct strv *vanished, struct err **e)
{
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_strv_ struct strv gone = STRV_INIT;
	_cleanup_free_ char *user = box_using_slot(n->slot->id);
	int r;

	if (user) {
		(void)err_set(e, EBUSY,
			      "%s and %zu more store paths are gone from the host, and box '%s' still uses the slot",
			      vanished->v[0], vanished->n - 1, user);
		return err_hint(e, "stop it first: igloo stop %s", user);
	}
	log_verbose("%zu store paths are gone from the host: forgetting them", vanished->n);
	forget_records(n->slot);
	r = hostpaths_load(n->slot->dir, &set, e);
	strv_add_all(&gone, vanished->v);
	strv_sort_unique(&gone);
	hostpaths_remove(&set, &gone);
	/* First out of the set, or no box could start to do the rest; killed in between, the next start finds the
	 * records gone and resolves, which registers what it needs. */
	if (r == 0)
		r = hostpaths_store(n->slot->dir, &set, e);
	if (r == 0)
		r = join_tools(n, e);
	if (r == 0)
		r = rebuild_database(n, &gone, e);
	if (r < 0)
		return r;
	/* What referred to something gone is not valid any more, so it need not be mounted either. */
	hostpaths_release(&set);
	r = hostpaths_load(n->slot->dir, &set, e);
	hostpaths_remove(&set, &gone);
	return r < 0 ? r : hostpaths_store(n->slot->dir, &set, e);
}

int hostset_reset(struct slot *slot, struct err **e)
{
	int r;

	forget_records(slot);
	r = file_remove_tree(slot->dir, "nix/var/nix/db", e);
	/* The set last: cut short, it is found damaged again. */
	if (r == 0 && unlinkat(slot->dir, "host-paths", 0) < 0 && errno != ENOENT)
		r = err_errno(e, errno, "cannot remove the slot's damaged host-paths file");
	return r;
}

int hostset_root_inside(struct slot *slot, const struct strv *paths, struct err **e)
{
	_cleanup_close_ int dir = file_make_dirs(slot->dir, "nix/var/nix/gcroots/igloo", 0755, e);

	if (dir < 0)
		return dir;
	for (size_t i = 0; i < paths->n; i++)
		if (symlinkat(paths->v[i], dir, storepath_base(paths->v[i])) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cannot root %s in the slot", paths->v[i]);
	return 0;
}
