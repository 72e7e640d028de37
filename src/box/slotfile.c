#include "box/slotfile.h"

#include "box/hostpaths.h"
#include "nix/storepath.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE "/nix/store/"

static const char *host_source(const struct hostpaths *set, const char *path)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->v[i].path, path) == 0)
			return set->v[i].source;
	return NULL;
}

/* A descriptor (O_PATH) of the folder or file that is the store path. */
static int open_store_path(const struct slot *slot, const struct hostpaths *set, const char *path)
{
	const char *source = host_source(set, path);
	_cleanup_close_ int store = -1;

	if (source)
		return file_open_user(source, O_PATH);
	store = file_open_beneath(slot->dir, "nix/store", O_PATH | O_DIRECTORY, 0);
	return store < 0 ? store : file_open_beneath(store, path + strlen(STORE), O_PATH | O_NOFOLLOW, 0);
}

/* Where a link leads. Returns its length or -errno. */
static ssize_t read_link(int fd, char *to, size_t max)
{
	ssize_t n = readlinkat(fd, "", to, max - 1);

	if (n < 0)
		return -errno;
	to[n] = '\0';
	return n;
}

/* One step: a descriptor for reading, or 0 with `path` replaced by where it leads, or -errno. */
static int open_step(const struct slot *slot, const struct hostpaths *set, char *path)
{
	const char *slash = strchr(path + strlen(STORE), '/');
	_cleanup_free_ char *store_path = slash ? xstrndup(path, (size_t)(slash - path)) : NULL;
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (!store_path || !storepath_ok(store_path))
		return -EINVAL;
	dir = open_store_path(slot, set, store_path);
	if (dir < 0)
		return dir;
	fd = file_open_beneath(dir, slash + 1, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) {
		r = (int)read_link(fd, path, PATH_MAX);
		return r < 0 ? r : 0;
	}
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	/* Another one by that name since is refused there, or is as good. */
	return file_open_beneath(dir, slash + 1, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
}

int slotfile_open(const struct slot *slot, const char *path, struct err **e)
{
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_str_ struct str shown = STR_INIT;
	char at[PATH_MAX];
	struct stat st;
	int r = hostpaths_load(slot->dir, &set, e);

	if (r < 0)
		return r;
	str_add_printable(&shown, path, strlen(path), false);
	if (strlen(path) >= sizeof(at))
		return err_set(e, ENAMETOOLONG, "'%s' is too long", str_text(&shown));
	memcpy(at, path, strlen(path) + 1);
	for (int i = 0; i < SLOTFILE_LINKS_MAX && r == 0; i++)
		r = strncmp(at, STORE, strlen(STORE)) == 0 ? open_step(slot, &set, at) : -EINVAL;
	if (r > 0 && (fstat(r, &st) < 0 || !S_ISREG(st.st_mode))) {
		(void)close_fd(r);
		r = -EINVAL;
	}
	if (r == 0)
		r = -ELOOP;
	return r < 0 ? err_errno(e, -r, "cannot open '%s' in the slot's store", str_text(&shown)) : r;
}

bool slotfile_has(const struct slot *slot, const char *path)
{
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_close_ int fd = -1;

	if (!storepath_ok(path) || hostpaths_load(slot->dir, &set, NULL) < 0)
		return false;
	fd = open_store_path(slot, &set, path);
	return fd >= 0;
}
