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

static bool in_store(const char *path)
{
	return path && str_starts(path, STORE "/");
}

const char *enclosure_virtiofsd(const char *path)
{
	return in_store(path) || str_starts(path, "/usr/") ? path : ENCLOSURE_VIRTIOFSD;
}

static int add_virtiofsd(struct enclosure *c, struct err **e)
{
	int r = 0;

	if (c->virtiofsd && strcmp(enclosure_virtiofsd(c->virtiofsd), ENCLOSURE_VIRTIOFSD) == 0) {
		r = add_file(c, c->virtiofsd, ENCLOSURE_VIRTIOFSD, false, e);
		c->items[c->n - 1].runs = true;
	}
	return r;
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

/* What the machine was granted of the user's: a file, a socket or a folder. */
static int add_given(struct enclosure *c, const struct fittings_file *f, struct err **e)
{
	struct stat st;
	int r;

	if (stat(f->from, &st) < 0)
		return err_errno(e, errno, "cannot give %s to QEMU", f->from);
	r = add_file(c, f->from, f->to, false, e);
	if (r == 0)
		c->items[c->n - 1].file = !S_ISDIR(st.st_mode);
	return r;
}

/* Another start may have dropped it just now: then this one does without. */
static void add_template(struct enclosure *c)
{
	if (c->template && add_file(c, c->template, ENCLOSURE_TEMPLATE, false, NULL) < 0)
		c->n--;
}

int enclosure_sources(void *arg, struct err **e)
{
	static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/kvm"};
	struct enclosure *c = arg;
	int r = 0;

	if (in_store(c->qemu) || in_store(c->virtiofsd))
		r = add_folder(c, STORE, e);
	for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++)
		r = add_folder(c, folders[i], e);
	for (size_t i = 0; i < ARRAY_SIZE(devices) - (c->kvm ? 0 : 1) && r == 0; i++)
		r = add_file(c, devices[i], devices[i], true, e);
	if (r == 0)
		r = add_file(c, c->kernel, ENCLOSURE_KERNEL, false, e);
	if (r == 0)
		r = add_file(c, c->initrd, ENCLOSURE_INITRD, false, e);
	if (r == 0)
		add_template(c);
	for (size_t i = 0; i < c->n_given && r == 0; i++)
		r = add_given(c, &c->given[i], e);
	if (r == 0 && c->state)
		r = add_state(c, e);
	return r < 0 ? r : add_virtiofsd(c, e);
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
		       : item->runs     ? MNT_RDONLY
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

/* virtiofsd opens its files again by /proc/self/fd, and does not start without /proc/sys/fs/nr_open, which a /proc of
 * processes only does not have; it looks at the number where it is to raise its limit, which it is not. */
static int fill_proc(int root, struct err **e)
{
	static const char *const links[] = {"self", "thread-self"};
	static const char number[] = "1048576\n";
	_cleanup_close_ int at = rootfs_mount_point(root, ENCLOSURE_PROC + 1, false, e);
	_cleanup_close_ int proc = -1;
	_cleanup_close_ int fs = -1;
	int r = at < 0 ? at : mnt_bind(root, "proc", at, 0);

	if (at < 0)
		return at;
	if (r < 0)
		return err_errno(e, -r, "cannot mount virtiofsd's /proc");
	proc = rootfs_new_tmpfs(root, "proc", "mode=0755,size=64k,nr_inodes=16", e);
	if (proc < 0)
		return proc;
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		_cleanup_free_ char *to = xasprintf(ENCLOSURE_PROC "/%s", links[i]);

		if (symlinkat(to, proc, links[i]) < 0)
			return err_errno(e, errno, "cannot make virtiofsd's /proc");
	}
	fs = rootfs_mount_point(proc, "sys/fs", false, e);
	r = fs < 0 ? fs : rootfs_put_file(fs, "nr_open", number, sizeof(number) - 1, e);
	if (r < 0)
		return r;
	r = rootfs_seal(proc);
	return r < 0 ? err_errno(e, -r, "cannot finish virtiofsd's /proc") : 0;
}

static int put_conf(const struct enclosure *c, int root, struct err **e)
{
	_cleanup_close_ int vm = rootfs_mount_point(root, "vm", false, e);

	return vm < 0 ? vm : rootfs_put_file(vm, ENCLOSURE_CONF + strlen("/vm/"), c->conf, strlen(c->conf), e);
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
	if (r == 0 && c->conf)
		r = put_conf(c, root, e);
	if (r == 0 && c->virtiofsd)
		r = fill_proc(root, e);
	if (r < 0)
		return r;
	if (c->run) {
		_cleanup_close_ int run = rootfs_new_tmpfs(root, "run", "mode=0700,size=1m,nr_inodes=64", e);

		if (run < 0)
			return run;
	}
	etc = rootfs_mount_point(root, "etc", false, e);
	return etc < 0 ? etc : rootfs_put_file(etc, "resolv.conf", resolv, sizeof(resolv) - 1, e);
}
