#include "cmd/du.h"

#include "base/mem.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH_MAX = 2000, BLOCK = 512 };

static uint64_t below(int dirfd, dev_t dev, int depth)
{
	_cleanup_close_ int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *ent;
	uint64_t bytes = 0;

	if (!d)
		return 0;
	(void)take_fd(&copy);
	while ((ent = readdir(d))) {
		_cleanup_close_ int sub = -1;
		struct stat st;

		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0 ||
		    fstatat(dirfd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != dev)
			continue;
		bytes += (uint64_t)st.st_blocks * BLOCK / (S_ISDIR(st.st_mode) || !st.st_nlink ? 1 : st.st_nlink);
		if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
			continue;
		sub = openat(dirfd, ent->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			bytes += below(sub, dev, depth + 1);
	}
	(void)closedir(d);
	return bytes;
}

uint64_t du(int dirfd, const char *path)
{
	_cleanup_close_ int fd = file_open_beneath(dirfd, path, O_RDONLY | O_DIRECTORY, 0);
	struct stat st;

	if (fd < 0)
		fd = file_open_beneath(dirfd, path, O_PATH, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	return (uint64_t)st.st_blocks * BLOCK + (S_ISDIR(st.st_mode) ? below(fd, st.st_dev, 0) : 0);
}
