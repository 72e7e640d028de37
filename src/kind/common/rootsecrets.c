/* The files of a box's secrets: a file system of their own, which only the box's user may enter, which nobody can write
 * once it is filled, and which ends with the box's mounts. */
#include "kind/common/rootfs.h"

#include "sys/fd.h"
#include "sys/file.h"
#include "sys/mnt.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

/* ramfs never goes to swap, as systemd has it for its credentials; where it may not be mounted, a tmpfs. */
static int new_folder(int root, struct err **e)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	_cleanup_close_ int target = rootfs_mount_point(root, &SECRETS_DIR[1], false, e);
	int dir;
	int r;

	if (target < 0)
		return target;
	r = mnt_new("ramfs", target, flags, "mode=0700");
	if (r < 0)
		r = mnt_new("tmpfs", target, flags, "mode=0700,size=8m,nr_inodes=128");
	if (r < 0)
		return err_errno(e, -r, "cannot mount the box's " SECRETS_DIR);
	dir = file_open_beneath(root, &SECRETS_DIR[1], O_PATH | O_DIRECTORY, 0);
	return dir < 0 ? err_errno(e, -dir, "cannot open the box's " SECRETS_DIR) : dir;
}

static int put(int dir, const struct secret_use *use, struct err **e)
{
	_cleanup_close_ int fd = openat(dir, use->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	const char *value;
	size_t n;
	int r;

	if (fd < 0 && errno == EEXIST)
		return 0; /* wanted at two places */
	value = fd < 0 ? NULL : secrets_map(use, &n);
	if (!value)
		return err_errno(e, errno, "cannot write the file of secret '%s'", use->name);
	r = fd_write_all(fd, value, n);
	(void)munmap((void *)(uintptr_t)value, n);
	return r < 0 ? err_errno(e, -r, "cannot write the file of secret '%s'", use->name) : 0;
}

static bool is_in_folder(const struct secret_use *use)
{
	return str_starts(use->path, SECRETS_DIR "/");
}

int rootfs_fill_secrets(const struct secrets *s, int root, struct err **e)
{
	_cleanup_close_ int dir = -1;
	int r = 0;

	for (size_t i = 0; s && i < s->n && r == 0; i++) {
		if (!s->v[i].path)
			continue;
		if (dir < 0)
			dir = r = new_folder(root, e);
		if (r >= 0)
			r = put(dir, &s->v[i], e);
	}
	if (r < 0 || dir < 0)
		return r;
	r = rootfs_seal(dir);
	if (r < 0)
		return err_errno(e, -r, "cannot make the box's " SECRETS_DIR " read-only");
	for (size_t i = 0; i < s->n && r == 0; i++) {
		_cleanup_close_ int target = -1;

		if (!s->v[i].path || is_in_folder(&s->v[i]))
			continue;
		target = rootfs_mount_point(root, s->v[i].path + 1, true, e);
		if (target < 0)
			return target;
		r = mnt_bind(dir, s->v[i].name, target, MNT_RDONLY | MNT_NOEXEC);
		if (r < 0)
			return err_errno(e, -r, "cannot mount the file of secret '%s' at '%s'", s->v[i].name,
					 s->v[i].path);
	}
	return 0;
}
