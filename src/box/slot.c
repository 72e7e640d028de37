#include "box/slot.h"

#include "box/dirs.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* FNV-1a, 64 bits (RFC 9923): ids only need to differ, not to resist anybody; the repository file tells
 * two apart that do not. */
static uint64_t path_hash(const char *path)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 0x100000001b3U;
	return h;
}

char *slot_make_id(const char *repository, const char *name)
{
	const char *slash = strrchr(repository, '/');
	const char *base = name ? name : slash ? slash + 1 : repository;
	_cleanup_str_ struct str id = STR_INIT;

	for (const char *p = base; *p && id.len < 40; p++) {
		char c = *p;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (id.len > 0 && (c == '_' || c == '-')))
			str_addc(&id, c);
		else if (id.len > 0 && id.p[id.len - 1] != '-')
			str_addc(&id, '-');
	}
	if (id.len == 0)
		str_adds(&id, "slot");
	str_addf(&id, "-%012llx", (unsigned long long)(path_hash(repository) & 0xffffffffffffU));
	return str_take(&id);
}

/* -ENOENT without an error set: it was removed just now. */
static int open_once(int slots, const char *id, bool exclusive, struct slot **ret, struct err **e)
{
	_cleanup_slot_ struct slot *slot = xcalloc(1, sizeof(*slot));
	_cleanup_str_ struct str repository = STR_INIT;
	_cleanup_free_ char *sub = xasprintf("slots/%s", id);
	int r;

	slot->dir = slot->lock = slot->disk = -1;
	slot->id = xstrdup(id);
	r = dirs_path(DIRS_STATE, sub, &slot->path, e);
	if (r < 0)
		return r;
	slot->dir = file_open_beneath(slots, id, O_RDONLY | O_DIRECTORY, 0);
	if (slot->dir < 0)
		return slot->dir == -ENOENT ? -ENOENT : err_errno(e, -slot->dir, "slot '%s'", id);
	slot->lock = file_lock(slot->dir, "lock", !exclusive, false, e);
	if (slot->lock == -EWOULDBLOCK) {
		pid_t pid = 0;

		/* Boxes hold it shared. */
		if (!file_is_locked(slot->dir, "lock", &pid) && exclusive)
			return err_set(e, EBUSY, "slot '%s' is in use by a box", id);
		return err_set(e, EBUSY, "slot '%s' is held by process %d, which copies, removes or cleans it", id,
			       (int)pid);
	}
	if (slot->lock == -ENOENT || (slot->lock >= 0 && !file_is_named(slot->dir, slots, id))) {
		err_clear(e);
		return -ENOENT;
	}
	if (slot->lock < 0)
		return slot->lock;
	if (file_read(slot->dir, "repository", 8192, &repository, NULL) == 0)
		slot->repository = str_take(&repository);
	*ret = take_ptr(slot);
	return 0;
}

/* Opens it, after making it if `make`. */
static int open_in(int slots, const char *id, bool make, bool exclusive, struct slot **ret, struct err **e)
{
	enum { TRIES = 20 };
	int r = -ENOENT;

	for (int i = 0; i < TRIES && r == -ENOENT; i++) {
		if (make && mkdirat(slots, id, 0700) < 0 && errno != EEXIST)
			return err_errno(e, errno, "cannot make slot '%s'", id);
		r = open_once(slots, id, exclusive, ret, e);
		/* Another slot may have been put in its place just then. */
		if (!make && faccessat(slots, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			break;
	}
	return r == -ENOENT ? err_errno(e, ENOENT, "slot '%s'", id) : r;
}

/* What slot_remove() was killed over. */
static void remove_rests(int slots)
{
	_cleanup_close_ int copy = openat(slots, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *ent;

	if (!d)
		return;
	(void)take_fd(&copy);
	while ((ent = readdir(d)))
		if (ent->d_name[0] == '.' && str_ends(ent->d_name, ".removed"))
			(void)file_remove_tree(slots, ent->d_name, NULL);
	(void)closedir(d);
}

int slot_open(const char *repository, const char *name, struct slot **ret, struct err **e)
{
	static const char *const parts[] = {"nix/store", "nix/var/nix", "home", "cache", "env", "roots"};
	_cleanup_slot_ struct slot *slot = NULL;
	_cleanup_free_ char *id = slot_make_id(repository, name);
	_cleanup_close_ int slots = dirs_open(DIRS_STATE, "slots", e);
	int r;

	if (slots < 0)
		return slots;
	r = open_in(slots, id, true, false, &slot, e);
	if (r < 0)
		return r;
	if (!slot->repository) {
		/* New, or cut short while being made: each step is repeated until the last one, this file, is there. */
		remove_rests(slots);
		for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
			_cleanup_close_ int fd = file_make_dirs(slot->dir, parts[i], 0755, e);

			if (fd < 0)
				return err_wrap(e, "slot '%s'", id);
		}
		r = file_replace(slot->dir, "repository", repository, strlen(repository), 0600, true, e);
		if (r < 0)
			return err_wrap(e, "slot '%s'", id);
		slot->repository = xstrdup(repository);
	} else if (strcmp(slot->repository, repository) != 0) {
		(void)err_set(e, EEXIST, "slot '%s' belongs to another repository, '%s'", id, slot->repository);
		return err_hint(e, "choose another slot with --slot NAME, or remove it with: igloo slot rm %s", id);
	}
	*ret = take_ptr(slot);
	return 0;
}

int slot_open_id(const char *id, bool exclusive, struct slot **ret, struct err **e)
{
	_cleanup_close_ int slots = dirs_open(DIRS_STATE, "slots", e);

	if (slots < 0)
		return slots;
	return open_in(slots, id, false, exclusive, ret, e);
}

int slot_lock_resolve(struct slot *slot, void (*on_wait)(pid_t holder), struct err **e)
{
	int fd = file_lock(slot->dir, "resolve.lock", false, false, e);
	pid_t pid = 0;

	if (fd != -EWOULDBLOCK)
		return fd;
	(void)file_is_locked(slot->dir, "resolve.lock", &pid);
	if (on_wait)
		on_wait(pid);
	return file_lock(slot->dir, "resolve.lock", false, true, e);
}

int slot_list(struct strv *ret, struct err **e)
{
	_cleanup_close_ int slots = dirs_open(DIRS_STATE, "slots", e);
	const struct dirent *ent;
	DIR *d;

	if (slots < 0)
		return slots;
	d = fdopendir(slots);
	if (!d)
		return err_errno(e, errno, "cannot list the slots");
	(void)take_fd(&slots);
	while ((ent = readdir(d)))
		if (ent->d_name[0] != '.')
			strv_add(ret, ent->d_name);
	(void)closedir(d);
	strv_sort_unique(ret);
	return 0;
}

int slot_remove(struct slot *slot, struct err **e)
{
	_cleanup_close_ int slots = dirs_open(DIRS_STATE, "slots", e);
	_cleanup_free_ char *name = NULL;
	int r;

	if (slots < 0)
		return slots;
	/* First another name: a slot is whole or not there, and who opens it by its own name gets a new one. */
	name = xasprintf(".%s.%d.removed", slot->id, (int)getpid());
	if (renameat(slots, slot->id, slots, name) < 0)
		return err_errno(e, errno, "cannot remove slot '%s'", slot->id);
	r = file_remove_tree(slots, name, e);
	remove_rests(slots);
	return r < 0 ? err_wrap(e, "slot '%s'", slot->id) : 0;
}

void slot_free(struct slot *slot)
{
	if (!slot)
		return;
	free(slot->id);
	free(slot->path);
	free(slot->repository);
	(void)close_fd(slot->dir);
	(void)close_fd(slot->lock);
	(void)close_fd(slot->disk);
	free(slot);
}
