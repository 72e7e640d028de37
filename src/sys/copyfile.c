#include "sys/copyfile.h"

#include "base/mem.h"
#include "sys/fd.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { STEP_BYTES = 16 << 20, BUFFER_BYTES = 256 << 10, BLOCK = 512 };

static int say(struct copyfile *c, uint64_t bytes)
{
	return c->tick ? c->tick(c->arg, bytes) : 0;
}

/* 1 when it worked, 0 when it cannot be done here, -errno when it could but failed. */
static int clone_whole(struct copyfile *c, int from, int to)
{
	if (c->no_clone)
		return 0;
	if (ioctl(to, FICLONE, from) == 0)
		return 1;
	switch (errno) {
	case ENOSPC:
	case EDQUOT:
	case EIO:
		return -errno;
	case EINVAL: /* this pair of files only: no copy on write, on btrfs */
	case ETXTBSY:
		return 0;
	default:
		c->no_clone = true;
		return 0;
	}
}

static int read_and_write(int from, int to, off_t at, size_t n)
{
	_cleanup_free_ char *buffer = xmalloc(BUFFER_BYTES);

	while (n > 0) {
		ssize_t k = pread(from, buffer, n < BUFFER_BYTES ? n : BUFFER_BYTES, at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -ESTALE;
		for (ssize_t done = 0; done < k;) {
			ssize_t w = pwrite(to, buffer + done, (size_t)(k - done), at + done);

			if (w < 0 && errno != EINTR)
				return -errno;
			done += w > 0 ? w : 0;
		}
		at += k;
		n -= (size_t)k;
	}
	return 0;
}

static int copy_step(struct copyfile *c, int from, int to, off_t at, size_t n)
{
	while (n > 0 && !c->no_range) {
		off_t out = at;
		ssize_t k = copy_file_range(from, &at, to, &out, n, 0);

		if (k == 0)
			return -ESTALE;
		if (k > 0)
			n -= (size_t)k;
		else if (errno == EXDEV || errno == ENOSYS || errno == EOPNOTSUPP || errno == EINVAL || errno == EPERM)
			c->no_range = true;
		else if (errno != EINTR)
			return -errno;
	}
	return read_and_write(from, to, at, n);
}

static int copy_extent(struct copyfile *c, int from, int to, off_t at, off_t end)
{
	int r = 0;

	while (r == 0 && at < end) {
		size_t n = end - at < STEP_BYTES ? (size_t)(end - at) : STEP_BYTES;

		r = copy_step(c, from, to, at, n);
		if (r == 0)
			r = say(c, n);
		at += (off_t)n;
	}
	return r;
}

int copyfile_bytes(struct copyfile *c, int from, int to, const struct stat *st)
{
	bool has_holes = (off_t)st->st_blocks * BLOCK < st->st_size;
	int r = st->st_size > 0 ? clone_whole(c, from, to) : 0;

	if (r != 0)
		return r < 0 ? r : (r = say(c, (uint64_t)st->st_size)) < 0 ? r : 1;
	for (off_t at = 0; r == 0 && at < st->st_size;) {
		off_t data = has_holes ? lseek(from, at, SEEK_DATA) : at;
		off_t end = has_holes && data >= 0 ? lseek(from, data, SEEK_HOLE) : st->st_size;

		if (data < 0 && errno == ENXIO)
			break; /* a hole to the end */
		if (data < 0 || end <= data) {
			data = at;
			end = st->st_size;
		}
		if (end > st->st_size)
			end = st->st_size;
		r = copy_extent(c, from, to, data, end);
		at = end;
	}
	if (r == 0 && has_holes && ftruncate(to, st->st_size) < 0)
		r = -errno;
	return r;
}
