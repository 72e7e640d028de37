#include "box/slotcopy.h"

#include "base/log.h"
#include "box/dirs.h"
#include "nix/hoststore.h"
#include "nix/storepath.h"
#include "sys/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- rests
 * ------------------------------------------------------------------------------------------------------------ */

/* The names in a folder that begin with a point (a rest may be one of them) or, with `links`, that are links. */
static void names_in(int dirfd, bool links, struct strv *names)
{
	int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *ent;

	if (!d) {
		(void)close_fd(copy);
		return;
	}
	while ((ent = readdir(d))) {
		struct stat st;

		if (links ? fstatat(dirfd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)
			  : ent->d_name[0] == '.')
			strv_add(names, ent->d_name);
	}
	(void)closedir(d);
	strv_sort_unique(names);
}

/* The slot that was taken aside where a file system cannot exchange: back, unless the new one is there. */
static void put_back(int parent, const char *rest)
{
	_cleanup_free_ char *name = xstrdup(rest + 1);

	for (int points = 0; points < 2; points++)
		*strrchr(name, '.') = '\0'; /* .NAME.PID.replaced */
	if (renameat2(parent, rest, parent, name, RENAME_NOREPLACE) < 0 && errno == EEXIST)
		(void)file_remove_tree(parent, rest, NULL);
}

static void clear(const char *folder)
{
	_cleanup_close_ int dir = dirs_open(DIRS_STATE, folder, NULL);
	_cleanup_strv_ struct strv names = STRV_INIT;

	if (dir < 0)
		return;
	names_in(dir, false, &names);
	for (size_t i = 0; i < names.n; i++) {
		if (str_ends(names.v[i], ".copying") || str_ends(names.v[i], ".removed"))
			(void)file_remove_tree(dir, names.v[i], NULL);
		else if (str_ends(names.v[i], ".replaced") && strchr(names.v[i] + 1, '.') != strrchr(names.v[i], '.'))
			put_back(dir, names.v[i]);
	}
}

int slotcopy_begin(struct err **e)
{
	_cleanup_close_ int dir = dirs_open(DIRS_STATE, "snapshots", e);
	_cleanup_close_ int lock = -1;

	if (dir < 0)
		return dir;
	lock = file_lock(dir, ".lock", false, false, e);
	if (lock == -EWOULDBLOCK) {
		lock = file_lock(dir, ".lock", true, true, e);
	} else if (lock >= 0) {
		clear("slots");
		clear("snapshots");
		if (flock(lock, LOCK_SH) < 0)
			return err_errno(e, errno, "cannot lock the folder of snapshots");
	}
	return lock < 0 ? lock : take_fd(&lock);
}

/* --- copying
 * ---------------------------------------------------------------------------------------------------------- */

/* Locks, and what file_replace() has not finished. */
static bool is_no_content(const char *name)
{
	return strcmp(name, "lock") == 0 || str_ends(name, ".lock") || (name[0] == '.' && str_ends(name, ".tmp"));
}

int slotcopy_make(int from, int parent, const char *name, struct copytree *c, char **ret_temporary, int *ret_dir,
		  struct err **e)
{
	_cleanup_free_ char *temporary = xasprintf(".%s.%d.copying", name, (int)getpid());
	_cleanup_close_ int dir = -1;
	int r;

	if (mkdirat(parent, temporary, 0700) < 0)
		return err_errno(e, errno, "cannot make the folder of a copy of '%s'", name);
	dir = file_open_beneath(parent, temporary, O_RDONLY | O_DIRECTORY, 0);
	c->leave_out = is_no_content;
	c->owned = "guests"; /* kind/vm/nixos.h */
	r = dir < 0 ? err_errno(e, -dir, "cannot open the folder of a copy of '%s'", name)
		    : copytree_run(c, from, dir, e);
	/* Its time is now, not the original's: together with its inode it tells views apart (box/hostpaths.h), and
	 * inodes come back. */
	if (r == 0 && utimensat(dir, "host-paths", NULL, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
		r = err_errno(e, errno, "cannot copy '%s'", name);
	if (r < 0) {
		(void)file_remove_tree(parent, temporary, NULL);
		return r;
	}
	*ret_temporary = take_ptr(temporary);
	*ret_dir = take_fd(&dir);
	return 0;
}

/* --- roots
 * ------------------------------------------------------------------------------------------------------------ */

/* "NAME-12" is the twelfth of "NAME", and "NAME" the first. */
static size_t base_length(const char *name)
{
	size_t n = strlen(name);
	size_t k = n;

	while (k > 0 && isdigit((unsigned char)name[k - 1]))
		k--;
	return k > 1 && k < n && name[k - 1] == '-' ? k - 1 : n;
}

static int root_group(struct hoststore *host, const char *base, const struct strv *targets, const char *path,
		      struct err **e)
{
	_cleanup_free_ char *link = xasprintf("%s/roots/%s", path, base);
	_cleanup_strv_ struct strv valid = STRV_INIT;
	int r = hoststore_valid(host, targets, &valid, e);

	return r < 0 || valid.n == 0 ? r : hoststore_root(host, &valid, link, e);
}

uint64_t slotcopy_entries(int dir, const struct copytree *c)
{
	_cleanup_close_ int roots = file_open_beneath(dir, "roots", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_strv_ struct strv names = STRV_INIT;

	if (roots >= 0)
		names_in(roots, true, &names);
	return c->entries - names.n;
}

int slotcopy_root(int dir, const char *path, struct err **e)
{
	_cleanup_close_ int roots = file_open_beneath(dir, "roots", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_hoststore_ struct hoststore *host = NULL;
	_cleanup_strv_ struct strv names = STRV_INIT;
	int r = roots < 0 ? 0 : hoststore_open(NULL, &host, e);

	if (roots < 0 || r < 0 || !host)
		return r;
	names_in(roots, true, &names);
	/* Sorted: what has one base stands together, or nearly so; a group in two parts is rooted by the larger. */
	for (size_t i = 0; i < names.n && r == 0;) {
		size_t n = base_length(names.v[i]);
		_cleanup_free_ char *base = xstrndup(names.v[i], n);
		_cleanup_strv_ struct strv targets = STRV_INIT;

		for (; i < names.n && base_length(names.v[i]) == n && strncmp(names.v[i], base, n) == 0; i++) {
			char target[PATH_MAX];
			ssize_t k = readlinkat(roots, names.v[i], target, sizeof(target) - 1);

			target[k > 0 ? k : 0] = '\0';
			if (storepath_ok(target))
				strv_add(&targets, target);
		}
		strv_sort_unique(&targets);
		r = root_group(host, base, &targets, path, e);
	}
	return r;
}

/* --- placing
 * ---------------------------------------------------------------------------------------------------------- */

/* Returns 0 with what was at `name` now at `temporary`. */
static int exchange(int parent, const char *temporary, const char *name)
{
	_cleanup_free_ char *aside = xasprintf(".%s.%d.replaced", name, (int)getpid());

	if (renameat2(parent, temporary, parent, name, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -errno;
	/* Killed between the two, slotcopy_begin() puts the old one back. */
	if (renameat(parent, name, parent, aside) < 0)
		return -errno;
	if (renameat(parent, temporary, parent, name) < 0) {
		int r = -errno;

		(void)renameat(parent, aside, parent, name);
		return r;
	}
	return renameat(parent, aside, parent, temporary) < 0 ? -errno : 0;
}

static int rename_new(int parent, const char *temporary, const char *name)
{
	if (renameat2(parent, temporary, parent, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
		return -errno;
	/* rename(2) replaces an empty folder only, which nobody has put anything into. */
	return renameat(parent, temporary, parent, name) < 0 ? (errno == ENOTEMPTY ? -EEXIST : -errno) : 0;
}

int slotcopy_place(int parent, const char *temporary, int dir, const char *name, struct slot *old, struct err **e)
{
	int r = syncfs(dir) < 0 ? -errno : 0;

	if (r == 0)
		r = old ? exchange(parent, temporary, name) : rename_new(parent, temporary, name);
	if (r < 0) {
		(void)file_remove_tree(parent, temporary, NULL);
		return r == -EEXIST ? err_set(e, EEXIST, "there is a '%s' already", name)
				    : err_errno(e, -r, "cannot put the copy of '%s' in its place", name);
	}
	(void)fsync(parent);
	/* What it cannot remove, the next copy will try again. */
	if (old && file_remove_tree(parent, temporary, NULL) < 0)
		log_debug("the rests of '%s' could not be removed", name);
	return 0;
}

int slotcopy_fork(struct slot *slot, const char *name, struct copytree *c, char **ret_id, struct err **e)
{
	_cleanup_close_ int lock = slotcopy_begin(e);
	_cleanup_close_ int slots = lock < 0 ? lock : dirs_open(DIRS_STATE, "slots", e);
	_cleanup_free_ char *id = slot_make_id(slot->repository, name);
	_cleanup_free_ char *temporary = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *sub = xasprintf("slots/%s", id);
	_cleanup_err_ struct err *problem = NULL;
	_cleanup_close_ int dir = -1;
	int r = slots < 0 ? slots : dirs_path(DIRS_STATE, sub, &path, e);

	if (r < 0)
		return r;
	if (faccessat(slots, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(e, EEXIST, "there is a slot '%s' already", id);
	r = slotcopy_make(slot->dir, slots, id, c, &temporary, &dir, e);
	if (r == 0)
		r = slotcopy_place(slots, temporary, dir, id, NULL, e);
	if (r < 0)
		return r;
	if (slotcopy_root(dir, path, &problem) < 0)
		log_note("the host's store paths of slot '%s' are not kept from its garbage collection: %s", id,
			 err_message(problem));
	*ret_id = take_ptr(id);
	return 0;
}
