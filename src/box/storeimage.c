#include "box/storeimage.h"

#include "base/log.h"
#include "box/dirs.h"
#include "fmt/digest.h"
#include "fmt/erofs.h"
#include "nix/storepath.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "store-images"
#define NEW ".new"
#define SUFFIX ".erofs"

enum { DAY = 24 * 3600, BLOCK = 512 /* of st_blocks */, ROOM_BYTES = 1 << 20 /* less is a full file system */ };

int storeimages_open(struct storeimages *ret, struct err **e)
{
	int dir = dirs_open(DIRS_CACHE, FOLDER, e);
	int r;

	*ret = (struct storeimages){.dir = -1, .max_bytes = STOREIMAGE_CACHE_MAX};
	if (dir < 0)
		return dir;
	r = dirs_path(DIRS_CACHE, FOLDER, &ret->path, e);
	if (r < 0) {
		(void)close_fd(dir);
		return r;
	}
	ret->dir = dir;
	return 0;
}

void storeimages_close(struct storeimages *c)
{
	c->dir = close_fd(c->dir);
	free(take_ptr(c->path));
}

static char *file_name(const char *key)
{
	return xasprintf("%s" SUFFIX, key);
}

char *storeimage_path(const struct storeimages *c, const char *key)
{
	return xasprintf("%s/%s" SUFFIX, c->path, key);
}

/* --- the key ------------------------------------------------------------------------------------------------------ */

static void add_text(struct digest *d, const char *text)
{
	digest_add(d, text, strlen(text) + 1);
}

static void add_time(struct digest *d, const struct timespec *t)
{
	_cleanup_free_ char *text = xasprintf("%lld.%09ld", (long long)t->tv_sec, t->tv_nsec);

	add_text(d, text);
}

/* No device and no inode: where one begins with a layer of its own at every boot, they change. */
static int add_path(struct digest *d, const struct slot *slot, int store, const char *path, const char *source,
		    struct err **e)
{
	struct stat st;
	int r = source ? lstat(source, &st) : fstatat(store, storepath_base(path), &st, AT_SYMLINK_NOFOLLOW);

	if (r < 0)
		return err_errno(e, errno, "store path '%s'", path);
	add_text(d, path);
	add_text(d, source ? "host" : slot->id);
	add_text(d, source ? source : "");
	add_time(d, &st.st_ctim);
	return 0;
}

static int add_all(struct digest *d, const struct slot *slot, const struct hostpaths *set, const struct strv *paths,
		   const char *program, struct err **e)
{
	_cleanup_close_ int store = file_open_beneath(slot->dir, "nix/store", O_PATH | O_DIRECTORY, 0);
	_cleanup_free_ char *begin = NULL;
	struct stat st;
	int r = 0;

	if (store < 0)
		return err_errno(e, -store, "cannot open the store of slot '%s'", slot->id);
	if (stat(program, &st) < 0)
		return err_errno(e, errno, "cannot look at '%s'", program);
	begin = xasprintf("igloo-store-image %d %s %lld", STOREIMAGE_FORMAT, program, (long long)st.st_size);
	add_text(d, begin);
	add_time(d, &st.st_mtim);
	for (size_t i = 0; i < paths->n && r == 0; i++) {
		_cleanup_free_ char *source = hostpaths_source(set, paths->v[i]);

		r = add_path(d, slot, store, paths->v[i], source, e);
	}
	return r;
}

int storeimage_key(const struct slot *slot, const struct hostpaths *set, const struct strv *paths, const char *program,
		   char ret[static STOREIMAGE_KEY_HEX + 1], struct err **e)
{
	_cleanup_digest_ struct digest *d = NULL;
	uint8_t bytes[DIGEST_SHA256_BYTES];
	int r = digest_open(&d, e);

	if (r == 0)
		r = add_all(d, slot, set, paths, program, e);
	if (r == 0)
		r = digest_finish(d, bytes, e);
	if (r == 0)
		digest_hex(bytes, sizeof(bytes), ret);
	return r;
}

/* --- one of them -------------------------------------------------------------------------------------------------- */

static int lock(int fd, int how)
{
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* 0, or -EBADMSG with why it is not whole. */
static int check(int fd, const char **ret_why)
{
	uint8_t head[EROFS_HEAD_BYTES] = {0};
	struct stat st;

	*ret_why = "it cannot be read";
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || pread(fd, head, sizeof(head), 0) < 0)
		return -EBADMSG;
	return erofs_check(head, (uint64_t)st.st_size, ret_why);
}

/* -ENOENT: it is not there; -EBADMSG with *ret_why. One that is removed just now is as good as any. */
static int find(const struct storeimages *c, const char *key, const char **ret_why)
{
	_cleanup_free_ char *name = file_name(key);
	_cleanup_close_ int fd = file_open_beneath(c->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	int r = fd < 0 ? fd : lock(fd, LOCK_SH);

	if (r == 0)
		r = check(fd, ret_why);
	if (r < 0)
		return r;
	(void)futimens(fd, NULL);
	return take_fd(&fd);
}

static int say_full(const struct storeimages *c, struct err **e)
{
	(void)err_set(e, ENOSPC, "the image of the store cannot be made: the file system of '%s' is full", c->path);
	(void)err_hint(e, "igloo slot gc frees what can be made again; without --store-image none is needed");
	return -ENOSPC;
}

static bool is_full(const struct storeimages *c)
{
	struct statvfs fs;

	return fstatvfs(c->dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < ROOM_BYTES;
}

/* Into the file NEW. */
static int write_new(const struct storeimages *c, const struct storeimage_maker *maker, struct err **e)
{
	_cleanup_free_ char *path = xasprintf("%s/" NEW, c->path);
	_cleanup_close_ int fd = openat(c->dir, NEW, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	const char *why = "";
	int r;

	if (fd < 0)
		return err_errno(e, errno, "cannot make a file in '%s'", c->path);
	r = maker->make(maker->arg, path, e);
	if (r == 0 && fsync(fd) < 0)
		r = err_errno(e, errno, "cannot write '%s'", path);
	if (r == 0 && check(fd, &why) < 0)
		r = err_set(e, EBADMSG, "the image of the store is not whole: %s", why);
	return r;
}

static int make(const struct storeimages *c, const char *key, const struct storeimage_maker *maker, struct err **e)
{
	_cleanup_free_ char *name = file_name(key);
	_cleanup_err_ struct err *why = NULL;
	int r;

	(void)unlinkat(c->dir, NEW, 0);
	r = write_new(c, maker, &why);
	if (r < 0 && is_full(c))
		r = say_full(c, e);
	else if (r < 0 && e)
		*e = take_ptr(why);
	if (r == 0 && (renameat(c->dir, NEW, c->dir, name) < 0 || fsync(c->dir) < 0))
		r = err_errno(e, errno, "cannot name the image of the store");
	if (r < 0)
		(void)unlinkat(c->dir, NEW, 0);
	return r;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

struct entry {
	char *name;
	uint64_t bytes;
	time_t used;
};

struct entries {
	struct entry *v;
	size_t n;
};

static int by_use(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;

	return x->used < y->used ? -1 : x->used > y->used ? 1 : strcmp(x->name, y->name);
}

static void entries_release(struct entries *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->v[i].name);
	free(list->v);
}

/* Those not used for longest first. */
static int read_entries(const struct storeimages *c, struct entries *ret, struct err **e)
{
	int fd = file_open_beneath(c->dir, "", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;

	if (!d) {
		(void)close_fd(fd);
		return err_errno(e, fd < 0 ? -fd : errno, "cannot read '%s'", c->path);
	}
	while ((ent = readdir(d))) {
		struct stat st;

		if (strlen(ent->d_name) != STOREIMAGE_KEY_HEX + strlen(SUFFIX) || !str_ends(ent->d_name, SUFFIX) ||
		    fstatat(fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		ret->v = xrealloc_array(ret->v, ret->n + 1, sizeof(*ret->v));
		ret->v[ret->n++] = (struct entry){
			.name = xstrdup(ent->d_name), .bytes = (uint64_t)st.st_blocks * BLOCK, .used = st.st_mtime};
	}
	(void)closedir(d);
	if (ret->n > 1)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_use);
	return 0;
}

/* False for one that is used. */
static bool remove_unused(const struct storeimages *c, const char *name)
{
	_cleanup_close_ int fd = file_open_beneath(c->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(c->dir, name, 0) == 0;
}

static bool is_held(const struct storeimages *c, const char *name)
{
	_cleanup_close_ int fd = file_open_beneath(c->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;
}

/* With the folder locked; `keep` (a file's name, or NULL) is not looked at. */
static int clean(const struct storeimages *c, bool all, const char *keep, struct storeimages_info *ret, struct err **e)
{
	struct entries list = {0};
	time_t since = time(NULL) - (time_t)STOREIMAGE_UNUSED_DAYS * DAY;
	int r = read_entries(c, &list, e);

	*ret = (struct storeimages_info){0};
	for (size_t i = 0; i < list.n; i++)
		ret->bytes += list.v[i].bytes;
	for (size_t i = 0; i < list.n; i++) {
		const struct entry *it = &list.v[i];
		bool goes = all || it->used < since || ret->bytes > c->max_bytes;

		if (goes && (!keep || strcmp(it->name, keep) != 0) && remove_unused(c, it->name)) {
			ret->bytes -= it->bytes;
			ret->freed += it->bytes;
			continue;
		}
		ret->n++;
		ret->n_held += is_held(c, it->name);
	}
	entries_release(&list);
	return r;
}

static int lock_folder(const struct storeimages *c, struct err **e)
{
	_cleanup_close_ int fd = file_open_beneath(c->dir, "", O_RDONLY | O_DIRECTORY, 0);
	int r = fd < 0 ? fd : lock(fd, LOCK_EX);

	return r < 0 ? err_errno(e, -r, "cannot lock '%s'", c->path) : take_fd(&fd);
}

int storeimages_clean(const struct storeimages *c, bool all, struct storeimages_info *ret, struct err **e)
{
	_cleanup_close_ int held = lock_folder(c, e);
	struct stat st;
	int r;

	if (held < 0)
		return held;
	r = clean(c, all, NULL, ret, e);
	/* Who made it was killed. */
	if (r == 0 && fstatat(c->dir, NEW, &st, AT_SYMLINK_NOFOLLOW) == 0 && unlinkat(c->dir, NEW, 0) == 0)
		ret->freed += (uint64_t)st.st_blocks * BLOCK;
	return r;
}

int storeimage_get(const struct storeimages *c, const char *key, const struct storeimage_maker *maker, bool *ret_made,
		   struct err **e)
{
	_cleanup_free_ char *name = file_name(key);
	_cleanup_close_ int held = -1;
	struct storeimages_info info;
	const char *why = "";
	int fd = find(c, key, &why);
	int r;

	*ret_made = false;
	if (fd >= 0)
		return fd;
	held = lock_folder(c, e);
	if (held < 0)
		return held;
	fd = find(c, key, &why);
	if (fd >= 0)
		return fd;
	if (fd == -EBADMSG) {
		log_note("the image of the store in igloo's cache was damaged (%s): it is made anew", why);
		(void)unlinkat(c->dir, name, 0);
	} else if (fd != -ENOENT) {
		return err_errno(e, -fd, "cannot open '%s/%s'", c->path, name);
	}
	r = make(c, key, maker, e);
	if (r < 0)
		return r;
	*ret_made = true;
	(void)clean(c, false, name, &info, NULL);
	fd = find(c, key, &why);
	return fd < 0 ? err_errno(e, -fd, "cannot open '%s/%s'", c->path, name) : fd;
}
