#include "kind/vm/vmlinux.h"

#include "kind/vm/kimagearm.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>

static int open_image(const char *path, struct stat *ret_st, struct err **e)
{
	_cleanup_close_ int fd = file_open_user(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return err_errno(e, -fd, "cannot open kernel '%s'", path);
	if (fstat(fd, ret_st) < 0)
		return err_errno(e, errno, "cannot look at kernel '%s'", path);
	if (!S_ISREG(ret_st->st_mode))
		return err_set(e, EINVAL, "kernel '%s' is not a regular file", path);
	return take_fd(&fd);
}

/* Whether the image is started as it is. */
static int check_elf(const char *path, const struct str *bytes, struct err **e)
{
	bool pvh = false;
	int r = kimage_check_vmlinux(bytes->p, bytes->len, &pvh, e);

	if (r < 0)
		return err_wrap(e, "kernel '%s'", path);
	if (pvh)
		return 0;
	(void)err_set(e, EOPNOTSUPP, "kernel '%s' has no PVH entry", path);
	(void)err_hint(e, "take one that was built with CONFIG_PVH=y");
	return -EOPNOTSUPP;
}

/* What is in an image that is not one for x86-64 or started as it is. */
static int unpack_arm(const char *path, const struct str *bytes, struct str *to, struct err **e)
{
	struct kimage_payload payload;
	int r = kimagearm_parse(bytes->p, bytes->len, &payload, e);

	if (r == 0)
		r = unpack(payload.format, bytes->p + payload.at, payload.n, payload.unpacked, KIMAGE_VMLINUX_MAX, to,
			   e);
	if (r == 0 && !kimagearm_is_image(to->p, to->len))
		r = err_set(e, EBADMSG, "what is packed in it is no Image for aarch64");
	return r < 0 ? err_wrap(e, "kernel '%s'", path) : 0;
}

static int unpack_image(const char *path, const struct str *bytes, struct str *to, struct err **e)
{
	struct kimage_payload payload;
	int r = kimage_parse(bytes->p, bytes->len, &payload, e);

	if (r == 0)
		r = unpack(payload.format, bytes->p + payload.at, payload.n, payload.unpacked, KIMAGE_VMLINUX_MAX, to,
			   e);
	if (r < 0)
		return err_wrap(e, "kernel '%s'", path);
	r = check_elf(path, to, e);
	if (r == 0)
		to->len = kimage_trim(to->p);
	return r;
}

int vmlinux_get(const struct vmcache *c, const char *path, char **ret_path, struct err **e)
{
	_cleanup_str_ struct str image = STR_INIT;
	_cleanup_str_ struct str vmlinux = STR_INIT;
	struct stat st = {0};
	_cleanup_close_ int fd = open_image(path, &st, e);
	_cleanup_close_ int lock = -1;
	uint64_t key = VMCACHE_KEY_INIT;
	char *made;
	int r;

	if (fd < 0)
		return fd;
	vmcache_key_add_text(&key, "vmlinux 2");
	vmcache_key_add_state(&key, &st);
	made = vmcache_find(c, "vmlinux", key);
	if (!made && (lock = vmcache_lock(c, e)) < 0)
		return lock;
	if (!made)
		made = vmcache_find(c, "vmlinux", key);
	if (made) {
		*ret_path = made;
		return 0;
	}
	r = fd_read_all(fd, KIMAGE_FILE_MAX, &image, e);
	if (r < 0)
		return err_wrap(e, "kernel '%s'", path);
	if (kimage_is_elf(image.p, image.len)) {
		r = check_elf(path, &image, e);
		if (r == 0)
			*ret_path = xstrdup(path);
		return r;
	}
	if (kimagearm_is_image(image.p, image.len)) {
		*ret_path = xstrdup(path);
		return 0;
	}
	if (kimagearm_is_packed(image.p, image.len))
		r = unpack_arm(path, &image, &vmlinux, e);
	else
		r = unpack_image(path, &image, &vmlinux, e);
	return r < 0 ? r : vmcache_put(c, "vmlinux", key, vmlinux.p, vmlinux.len, ret_path, e);
}

/* Leaves in `image` what is to be started. */
static int unpack_in_place(const char *name, struct str *image, struct err **e)
{
	_cleanup_str_ struct str vmlinux = STR_INIT;
	_cleanup_err_ struct err *why = NULL;
	int r;

	if (kimage_is_elf(image->p, image->len))
		return check_elf(name, image, e);
	r = unpack_image(name, image, &vmlinux, &why);
	if (r == 0) {
		str_release(image);
		*image = vmlinux;
		vmlinux = (struct str)STR_INIT;
	}
	/* A bzImage that only the machine can unpack. */
	if (r == 0 || r == -EOPNOTSUPP)
		return 0;
	if (e)
		*e = take_ptr(why);
	return r;
}

int vmlinux_copy(const struct vmcache *c, int fd, const char *name, char **ret_path, struct err **e)
{
	_cleanup_str_ struct str image = STR_INIT;
	uint64_t key = VMCACHE_KEY_INIT;
	struct stat st;
	char *made;
	int r;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot look at kernel '%s'", name);
	vmcache_key_add_text(&key, "vmlinux copy 1");
	vmcache_key_add_state(&key, &st);
	made = vmcache_find(c, "vmlinux", key);
	if (made) {
		*ret_path = made;
		return 0;
	}
	r = fd_read_all(fd, KIMAGE_FILE_MAX, &image, e);
	if (r == 0)
		r = unpack_in_place(name, &image, e);
	if (r < 0)
		return err_wrap(e, "kernel '%s'", name);
	return vmcache_put(c, "vmlinux", key, image.p, image.len, ret_path, e);
}
