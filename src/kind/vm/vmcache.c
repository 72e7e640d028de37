#include "kind/vm/vmcache.h"

#include "base/str.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

enum { DAY = 24 * 3600, UNUSED_MAX = 30 * DAY };

static const char *const made[] = {"vmlinux-", "initrd-", "qemu-", "virtiofsd-", "template-"};

static uint64_t fnv(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

void vmcache_key_add(uint64_t *key, const void *bytes, size_t n)
{
	uint64_t length = n;

	*key = fnv(fnv(*key, &length, sizeof(length)), bytes, n);
}

void vmcache_key_add_text(uint64_t *key, const char *text)
{
	vmcache_key_add(key, text, strlen(text));
}

void vmcache_key_add_state(uint64_t *key, const struct stat *st)
{
	uint64_t state[] = {
		st->st_dev,
		st->st_ino,
		(uint64_t)st->st_size,
		(uint64_t)st->st_mtim.tv_sec,
		(uint64_t)st->st_mtim.tv_nsec,
		(uint64_t)st->st_ctim.tv_sec,
		(uint64_t)st->st_ctim.tv_nsec,
	};

	vmcache_key_add(key, state, sizeof(state));
}

static char *file_name(const char *what, uint64_t key)
{
	return xasprintf("%s-%016" PRIx64, what, key);
}

char *vmcache_find(const struct vmcache *c, const char *what, uint64_t key)
{
	_cleanup_free_ char *name = file_name(what, key);
	struct stat st;

	if (fstatat(c->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return NULL;
	/* Its time says when it was last used, to the day. */
	if (st.st_mtime < time(NULL) - DAY)
		(void)utimensat(c->dir, name, NULL, AT_SYMLINK_NOFOLLOW);
	return xasprintf("%s/%s", c->path, name);
}

static void drop_unused(const struct vmcache *c)
{
	int fd = file_open_beneath(c->dir, "", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	time_t since = time(NULL) - UNUSED_MAX;
	const struct dirent *ent;

	if (!d) {
		(void)close_fd(fd);
		return;
	}
	while ((ent = readdir(d))) {
		struct stat st;

		for (size_t i = 0; i < ARRAY_SIZE(made); i++)
			if (str_starts(ent->d_name, made[i]) &&
			    fstatat(fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
			    st.st_mtime < since)
				(void)unlinkat(fd, ent->d_name, 0);
	}
	(void)closedir(d);
	file_sweep_temporary(c->dir, "");
}

int vmcache_lock(const struct vmcache *c, struct err **e)
{
	_cleanup_close_ int fd = file_open_beneath(c->dir, "", O_RDONLY | O_DIRECTORY, 0);
	int r = fd < 0 ? fd : 0;

	while (r == 0 && flock(fd, LOCK_EX) < 0)
		r = errno == EINTR ? 0 : -errno;
	return r < 0 ? err_errno(e, -r, "cannot lock '%s'", c->path) : take_fd(&fd);
}

int vmcache_put(const struct vmcache *c, const char *what, uint64_t key, const void *bytes, size_t n, char **ret_path,
		struct err **e)
{
	_cleanup_free_ char *name = file_name(what, key);
	int r;

	drop_unused(c);
	r = file_replace(c->dir, name, bytes, n, 0600, true, e);
	if (r < 0)
		return err_wrap(e, "'%s'", c->path);
	*ret_path = xasprintf("%s/%s", c->path, name);
	return 0;
}
