#include "guest/vmbind.h"

#include "base/str.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folders above the last part of the path. */
static int make_parents(const char *path)
{
	_cleanup_free_ char *copy = xstrdup(path);

	for (char *p = copy + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

static int make_target(const char *path, bool folder)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) == folder ? 0 : -ENOTDIR;
	r = make_parents(path);
	if (r < 0)
		return r;
	if (folder)
		return mkdir(path, 0755) < 0 ? -errno : 0;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : 0;
}

static int bind_one(const char *path, const char *box)
{
	_cleanup_free_ char *source = xasprintf("%s%s", box, path);
	struct stat st;
	int r;

	if (lstat(source, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISLNK(st.st_mode))
		return 0;
	r = make_target(path, S_ISDIR(st.st_mode));
	if (r < 0)
		return r;
	return mount(source, path, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}

int vmbind_all(const struct vmconf *conf, const char *box, const char **ret_what)
{
	for (size_t i = 0; i < conf->n_binds; i++) {
		int r = bind_one(conf->binds[i], box);

		if (r < 0) {
			*ret_what = conf->binds[i];
			return r;
		}
	}
	return 0;
}
