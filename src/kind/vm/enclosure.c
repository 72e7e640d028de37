#include "kind/vm/enclosure.h"

#include "base/mem.h"
#include "base/str.h"
#include "kind/common/gateway.h"
#include "kind/common/rootfs.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE "/nix/store"

static struct enclosure_item *add(struct enclosure *c, const char *to)
{
	struct enclosure_item *item = &c->items[c->n++];

	*item = (struct enclosure_item){.to = to, .source = -1};
	return item;
}

static int add_file(struct enclosure *c, const char *from, const char *to, bool device, struct err **e)
{
	struct enclosure_item *item = add(c, to);

	item->file = true;
	item->device = device;
	item->source = mnt_clone(AT_FDCWD, from, 0);
	return item->source < 0 ? err_errno(e, -item->source, "cannot give %s to QEMU", from) : 0;
}

/* A folder or a link to one; neither is nothing. */
static int add_folder(struct enclosure *c, const char *path, struct err **e)
{
	char to[PATH_MAX];
	ssize_t n = readlink(path, to, sizeof(to) - 1);
	struct stat st;

	if (n > 0) {
		add(c, path)->link = xstrndup(to, (size_t)n);
		return 0;
	}
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	n = mnt_clone(AT_FDCWD, path, MNT_RECURSIVE);
	if (n < 0)
		return err_errno(e, (int)-n, "cannot give %s to QEMU", path);
	add(c, path)->source = (int)n;
	return 0;
}

static int add_state(struct enclosure *c, struct err **e)
{
	struct enclosure_item *item = add(c, ENCLOSURE_STATE);

	item->writable = true;
	item->source = mnt_clone(AT_FDCWD, c->state, 0);
	return item->source < 0 ? err_errno(e, -item->source, "cannot give %s to QEMU", c->state) : 0;
}

static const char *const folders[] = {"/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32"};

int enclosure_check(const char *qemu, struct err **e)
{
	bool has = str_starts(qemu, STORE "/");

	for (size_t i = 0; i < ARRAY_SIZE(folders) && !has; i++)
		has = str_starts(qemu, folders[i]) && qemu[strlen(folders[i])] == '/';
	if (has)
		return 0;
	(void)err_set(e, ENOENT,
		      "QEMU is '%s', and of the host's folders the box around a machine has /usr and " STORE " only",
		      qemu);
	return err_hint(e, "install it below /usr, or as a package of Nix, and have that in PATH");
}

int enclosure_sources(void *arg, struct err **e)
{
	static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/kvm"};
	struct enclosure *c = arg;
	int r = 0;

	if (strncmp(c->qemu, STORE "/", sizeof(STORE)) == 0)
		r = add_folder(c, STORE, e);
	for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++)
		r = add_folder(c, folders[i], e);
	for (size_t i = 0; i < ARRAY_SIZE(devices) - (c->kvm ? 0 : 1) && r == 0; i++)
		r = add_file(c, devices[i], devices[i], true, e);
	if (r == 0)
		r = add_file(c, c->kernel, ENCLOSURE_KERNEL, false, e);
	if (r == 0)
		r = add_file(c, c->initrd, ENCLOSURE_INITRD, false, e);
	return r == 0 && c->state ? add_state(c, e) : r;
}

static int attach(const struct enclosure_item *item, int root, struct err **e)
{
	_cleanup_close_ int target = -1;
	int r;

	if (item->link)
		return symlinkat(item->link, root, item->to + 1) < 0
			       ? err_errno(e, errno, "cannot make QEMU's %s", item->to)
			       : 0;
	target = rootfs_mount_point(root, item->to + 1, item->file, e);
	if (target < 0)
		return target;
	r = mnt_attach(item->source, target,
		       item->device     ? MNT_DEVICES
		       : item->writable ? MNT_NOEXEC
					: MNT_RDONLY | (item->file ? MNT_NOEXEC : MNT_RECURSIVE));
	return r < 0 ? err_errno(e, -r, "cannot mount QEMU's %s", item->to) : 0;
}

static int put_files(const struct enclosure *c, int root, struct err **e)
{
	_cleanup_close_ int dir = c->n_files ? rootfs_mount_point(root, ENCLOSURE_FILES + 1, false, e) : -1;
	int r = c->n_files && dir < 0 ? dir : 0;

	for (size_t i = 0; i < c->n_files && r == 0; i++) {
		const struct enclosure_file *f = &c->files[i];

		r = rootfs_put_file(dir, f->name, f->bytes, f->n, e);
		if (r == 0 && f->program && fchmodat(dir, f->name, 0555, 0) < 0)
			r = err_errno(e, errno, "cannot make %s a program", f->name);
	}
	return r;
}

int enclosure_fill(void *arg, int root, struct err **e)
{
	static const char resolv[] = "nameserver " GATEWAY_ADDRESS "\n";
	const struct enclosure *c = arg;
	_cleanup_close_ int etc = -1;
	int r = 0;

	for (size_t i = 0; i < c->n && r == 0; i++)
		r = attach(&c->items[i], root, e);
	if (r == 0)
		r = put_files(c, root, e);
	if (r < 0)
		return r;
	etc = rootfs_mount_point(root, "etc", false, e);
	return etc < 0 ? etc : rootfs_put_file(etc, "resolv.conf", resolv, sizeof(resolv) - 1, e);
}
