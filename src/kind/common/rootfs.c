#include "kind/common/rootfs.h"

#include "kind/common/gateway.h"
#include "kind/common/view.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/mnt.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder that a held descriptor means, opened again by its path in this namespace: mounts can be cloned only
 * from there. Another folder by that name is refused. */
static int open_again(int held, const char *path, struct err **e)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat a;
	struct stat b;

	if (fd < 0 || fstat(fd, &a) < 0 || fstat(held, &b) < 0)
		return err_errno(e, errno, "cannot open '%s'", path);
	if (a.st_dev != b.st_dev || a.st_ino != b.st_ino)
		return err_set(e, ESTALE, "'%s' was replaced by another folder just now", path);
	return take_fd(&fd);
}

int rootfs_stage(const struct slot *slot, struct err **e)
{
	_cleanup_close_ int slot_dir = -1;
	_cleanup_close_ int below = -1;
	int root;
	int r = mnt_private();

	if (r < 0)
		return err_errno(e, -r, "cannot make the mounts private");
	slot_dir = open_again(slot->dir, slot->path, e);
	if (slot_dir < 0)
		return slot_dir;
	if (mkdirat(slot_dir, "root", 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "cannot make the slot's root folder");
	below = file_open_beneath(slot_dir, "root", O_PATH | O_DIRECTORY, 0);
	if (below < 0)
		return err_errno(e, -below, "cannot open the slot's root folder");
	r = mnt_new("tmpfs", below, MS_NOSUID | MS_NODEV, "mode=0755,size=16m,nr_inodes=4096");
	if (r < 0)
		return err_errno(e, -r, "cannot mount a tmpfs");
	/* Once more by name, which now means the new mount; openat2 may cross into it. */
	root = file_open_beneath(slot_dir, "root", O_PATH | O_DIRECTORY, 0);
	return root < 0 ? err_errno(e, -root, "cannot open the new root") : root;
}

int rootfs_mount_point(int root, const char *path, bool file, struct err **e)
{
	_cleanup_close_ int dir = openat(root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *p = path + strspn(path, "/");
	char name[NAME_MAX + 1];

	if (dir < 0)
		return err_errno(e, errno, "cannot open a folder");
	while (*p) {
		size_t n = strcspn(p, "/");
		const char *rest = p + n + strspn(p + n, "/");
		bool last_file = file && *rest == '\0';
		int fd;

		if (n > NAME_MAX)
			return err_set(e, ENAMETOOLONG, "a name in '%s' is too long", path);
		memcpy(name, p, n);
		name[n] = '\0';
		if (last_file)
			fd = openat(dir, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
		else
			fd = mkdirat(dir, name, 0755);
		if (fd < 0 && errno != EEXIST && errno != EROFS)
			return err_errno(e, errno, "cannot make the mount point '%s'", path);
		if (last_file && fd >= 0)
			(void)close_fd(fd);
		fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC | (last_file ? 0 : O_DIRECTORY));
		if (fd < 0)
			return err_errno(e, errno, "cannot open the mount point '%s'", path);
		(void)close_fd(dir);
		dir = fd;
		p = rest;
	}
	return take_fd(&dir);
}

int rootfs_seal(int target)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

	if (mnt_has_new_api())
		return mount_setattr(target, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
	if (fchdir(target) < 0 ||
	    mount(NULL, ".", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
		return -errno;
	return 0;
}

/* --- the store ------------------------------------------------------------------------------------------ */

/* The slot's store keeps an empty folder or file per host-backed path to mount on. */
static int store_mount_point(int store, const char *name, mode_t type)
{
	int fd = openat(store, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		if (S_ISDIR(type) ? mkdirat(store, name, 0755) < 0 : mknodat(store, name, S_IFREG | 0444, 0) < 0)
			return -errno;
		fd = openat(store, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

/* Mounts a cloned path on its place, without flags: they come for all at once, at the end. Returns 0 or -errno. */
static int store_mount(int store, const char *path, int source)
{
	const char *name = strrchr(path, '/') + 1;
	_cleanup_close_ int target = -1;
	struct stat st;

	if (fstat(source, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode)) {
		/* A link cannot be a mount point: the slot gets the same link. */
		char to[4096];
		ssize_t n = readlinkat(source, "", to, sizeof(to) - 1);

		if (n < 0)
			return -errno;
		to[n] = '\0';
		return symlinkat(to, store, name) < 0 && errno != EEXIST ? -errno : 0;
	}
	target = store_mount_point(store, name, st.st_mode);
	if (target < 0)
		return target;
	if (!mnt_has_new_api())
		return mnt_attach(source, target, MNT_RDONLY);
	return move_mount(source, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? -errno : 0;
}

int rootfs_add_store_path(int store, const char *path, int source)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};

	if (mount_setattr(source, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		return -errno;
	return store_mount(store, path, source);
}

static int fill_store_paths(const struct hostpaths *set, int store, struct err **e)
{
	struct mount_attr all = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	struct mount_attr top = {.attr_clr = MOUNT_ATTR_RDONLY};
	int r;

	for (size_t i = 0; i < set->n; i++) {
		const struct hostpath *p = &set->v[i];
		_cleanup_close_ int source = mnt_clone(AT_FDCWD, p->source, 0);

		r = source < 0 ? source : store_mount(store, p->path, source);
		if (r < 0)
			return err_errno(e, -r, "cannot mount store path '%s'", p->source);
	}
	if (set->n == 0 || !mnt_has_new_api())
		return 0;
	/* One call for thousands of mounts; then the store itself may be written again. */
	if (mount_setattr(store, "", AT_EMPTY_PATH | AT_RECURSIVE, &all, sizeof(all)) < 0 ||
	    mount_setattr(store, "", AT_EMPTY_PATH, &top, sizeof(top)) < 0)
		return err_errno(e, errno, "cannot make the store's mounts read-only");
	return 0;
}

static int bind_slot_folder(int slot_dir, const char *from, int root, const char *to, int *ret_fd, struct err **e)
{
	_cleanup_close_ int target = rootfs_mount_point(root, to, false, e);
	int fd;
	int r;

	if (target < 0)
		return target;
	r = mnt_bind(slot_dir, from, target, 0);
	if (r < 0)
		return err_errno(e, -r, "cannot mount the slot's %s", from);
	if (!ret_fd)
		return 0;
	fd = file_open_beneath(root, to, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return err_errno(e, -fd, "cannot open /%s", to);
	*ret_fd = fd;
	return 0;
}

int rootfs_fill_store(const struct slot *slot, const struct hostpaths *set, int root, struct err **e)
{
	_cleanup_close_ int slot_dir = open_again(slot->dir, slot->path, e);
	_cleanup_close_ int store = -1;
	int r;

	if (slot_dir < 0)
		return slot_dir;
	r = bind_slot_folder(slot_dir, "nix/store", root, "nix/store", &store, e);
	if (r == 0)
		r = fill_store_paths(set, store, e);
	if (r == 0)
		r = bind_slot_folder(slot_dir, "nix/var", root, "nix/var", NULL, e);
	if (r == 0)
		r = bind_slot_folder(slot_dir, "home", root, BOX_HOME + 1, NULL, e);
	return r;
}

/* --- /dev ------------------------------------------------------------------------------------------------- */

int rootfs_new_tmpfs(int root, const char *path, const char *options, struct err **e)
{
	_cleanup_close_ int target = rootfs_mount_point(root, path, false, e);
	int fd;
	int r;

	if (target < 0)
		return target;
	r = mnt_new("tmpfs", target, MS_NOSUID | MS_NODEV, options);
	if (r < 0)
		return err_errno(e, -r, "cannot mount a tmpfs on /%s", path);
	fd = file_open_beneath(root, path, O_PATH | O_DIRECTORY, 0);
	return fd < 0 ? err_errno(e, -fd, "cannot open /%s", path) : fd;
}

int rootfs_put_file(int dir, const char *path, const void *bytes, size_t n, struct err **e)
{
	_cleanup_close_ int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	int r = fd < 0 ? -errno : fd_write_all(fd, bytes, n);

	return r < 0 ? err_errno(e, -r, "cannot write the box's %s", path) : 0;
}

int rootfs_fill_dev(int root, struct err **e)
{
	static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
	static const struct {
		const char *name;
		const char *to;
	} links[] = {{"fd", "/proc/self/fd"},
		     {"stdin", "/proc/self/fd/0"},
		     {"stdout", "/proc/self/fd/1"},
		     {"stderr", "/proc/self/fd/2"},
		     {"ptmx", "pts/ptmx"}};
	_cleanup_close_ int dev = rootfs_new_tmpfs(root, "dev", "mode=0755,size=64k,nr_inodes=64", e);
	int r;

	if (dev < 0)
		return dev;
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
		_cleanup_free_ char *from = xasprintf("/dev/%s", nodes[i]);
		_cleanup_close_ int target = rootfs_mount_point(dev, nodes[i], true, e);

		if (target < 0)
			return target;
		r = mnt_bind(AT_FDCWD, from, target, MNT_DEVICES);
		if (r < 0)
			return err_errno(e, -r, "cannot mount %s", from);
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].to, dev, links[i].name) < 0)
			return err_errno(e, errno, "cannot make /dev/%s", links[i].name);
	if (mkdirat(dev, "pts", 0755) < 0 || mkdirat(dev, "shm", 0755) < 0)
		return err_errno(e, errno, "cannot fill /dev");
	/* For the user's terminal, if a box has one. */
	r = rootfs_put_file(dev, "console", "", 0, e);
	if (r < 0)
		return r;
	r = rootfs_seal(dev);
	return r < 0 ? err_errno(e, -r, "cannot make /dev read-only") : 0;
}

int view_fill(const struct slot *slot, const struct hostpaths *set, int root, struct err **e)
{
	int r = rootfs_fill_store(slot, set, root, e);

	if (r == 0)
		r = rootfs_fill_dev(root, e);
	if (r == 0)
		r = rootfs_fill_etc(root, e);
	return r;
}

/* --- one box ---------------------------------------------------------------------------------------------- */

/* Entries of /proc that act on the whole machine when igloo was started by root, or tell about it. */
static int seal_proc(int root, int scratch, struct err **e)
{
	static const char *const read_only[] = {"sys", "irq", "bus", "fs", "sysrq-trigger"};
	static const char *const hidden[] = {
		"kcore",    "keys",   "key-users",    "timer_list", "latency_stats", "sched_debug", "kmsg",
		"acpi",     "scsi",   "kallsyms",     "kpagecount", "kpageflags",    "kpagecgroup", "vmallocinfo",
		"slabinfo", "vmcore", "pagetypeinfo", "asound",     "dynamic_debug"};
	_cleanup_close_ int proc = file_open_beneath(root, "proc", O_PATH | O_DIRECTORY, 0);
	int r = 0;

	if (proc < 0)
		return err_errno(e, -proc, "cannot open the box's /proc");
	for (size_t i = 0; i < ARRAY_SIZE(read_only) && r == 0; i++) {
		_cleanup_close_ int target = openat(proc, read_only[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);

		if (target >= 0)
			r = mnt_bind(proc, read_only[i], target, MNT_RDONLY | MNT_NOEXEC);
	}
	for (size_t i = 0; i < ARRAY_SIZE(hidden) && r == 0; i++) {
		_cleanup_close_ int target = openat(proc, hidden[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		/* Most of them are root's alone: in an ordinary user's box there is nothing to hide, and no mount to
		 * pay. */
		if (target >= 0 && fstat(target, &st) == 0 && faccessat(proc, hidden[i], R_OK, AT_EACCESS) == 0)
			r = mnt_bind(scratch, S_ISDIR(st.st_mode) ? "empty" : "nothing", target, MNT_RDONLY);
	}
	return r < 0 ? err_errno(e, -r, "cannot seal the box's /proc") : 0;
}

static int bind_scratch(int scratch, const char *from, int root, const char *to, unsigned flags, struct err **e)
{
	_cleanup_close_ int target = rootfs_mount_point(root, to, false, e);
	int r = target < 0 ? target : mnt_bind(scratch, from, target, flags);

	return target < 0 ? target : r < 0 ? err_errno(e, -r, "cannot mount the box's /%s", to) : 0;
}

static int fill_etc_box(const struct box_spec *spec, int scratch, struct err **e)
{
	static const char offline[] = "substitute = false\n";
	/* The engine answers at once; a name that is resolved for the first time may take the host's own resolver long.
	 */
	static const char gate[] = "nameserver " GATEWAY_ADDRESS "\noptions timeout:5 attempts:2\n";
	_cleanup_close_ int dir = openat(scratch, "etc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	for (size_t i = 0; i < spec->nfiles && r == 0; i++)
		r = rootfs_put_file(dir, spec->files[i].name, spec->files[i].text, spec->files[i].n, e);
	if (r == 0 && spec->network == BOX_NET_NONE)
		r = rootfs_put_file(dir, "nix.conf", offline, sizeof(offline) - 1, e);
	if (r == 0 && spec->network == BOX_NET_GATE)
		r = rootfs_put_file(dir, "resolv.conf", gate, sizeof(gate) - 1, e);
	return r;
}

/* In place of the slot's: this box trusts one authority more. */
static int bind_ca(const struct box_spec *spec, int scratch, int root, struct err **e)
{
	int r = 0;

	for (size_t i = 0; i < spec->nfiles && r == 0; i++) {
		_cleanup_close_ int target = -1;

		if (strcmp(spec->files[i].name, BOX_CA_FILE) != 0)
			continue;
		target = file_open_beneath(root, "etc/ssl/certs/ca-certificates.crt", O_PATH, 0);
		r = target < 0 ? target : mnt_bind(scratch, "etc/" BOX_CA_FILE, target, MNT_RDONLY | MNT_NOEXEC);
	}
	return r < 0 ? err_errno(e, -r, "cannot mount the box's certificate authorities") : 0;
}

/* One tmpfs serves all that is the box's own and goes with it. */
static int fill_scratch(const struct box_spec *spec, int root, struct err **e)
{
	static const struct {
		const char *name;
		mode_t mode;
	} folders[] = {{"tmp", 01777},          {"shm", 01777}, {"run", 0755}, {"run/user", 0755},
		       {"run/user/1000", 0700}, {"home", 0700}, {"etc", 0755}, {"empty", 0555}};
	_cleanup_close_ int scratch = -1;
	int r;

	/* First on /tmp, whence its parts are bound; the last bind covers it with its own `tmp`. */
	scratch = rootfs_new_tmpfs(root, "tmp", "mode=0755,size=50%", e);
	if (scratch < 0)
		return scratch;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdirat(scratch, folders[i].name, folders[i].mode) < 0 ||
		    fchmodat(scratch, folders[i].name, folders[i].mode, 0) < 0)
			return err_errno(e, errno, "cannot fill the box's /tmp");
	r = rootfs_put_file(scratch, "nothing", "", 0, e);
	if (r == 0)
		r = fill_etc_box(spec, scratch, e);
	if (r == 0)
		r = bind_scratch(scratch, "etc", root, "etc/box", MNT_RDONLY, e);
	if (r == 0)
		r = bind_ca(spec, scratch, root, e);
	if (r == 0)
		r = bind_scratch(scratch, "shm", root, "dev/shm", 0, e);
	if (r == 0)
		r = bind_scratch(scratch, "run", root, "run", 0, e);
	if (r == 0 && !spec->slot_home)
		r = bind_scratch(scratch, "home", root, BOX_HOME + 1, 0, e);
	if (r == 0)
		r = seal_proc(root, scratch, e);
	if (r == 0)
		r = bind_scratch(scratch, "tmp", root, "tmp", 0, e);
	return r;
}

static int link_program(int root, const char *dir, const char *name, const char *to, struct err **e)
{
	_cleanup_close_ int fd = -1;

	if (!to)
		return 0;
	fd = rootfs_mount_point(root, dir, false, e);
	if (fd < 0)
		return fd;
	return symlinkat(to, fd, name) < 0 ? err_errno(e, errno, "cannot make /%s/%s", dir, name) : 0;
}

int rootfs_fill_box(const struct box_spec *spec, int root, struct err **e)
{
	_cleanup_close_ int proc = rootfs_mount_point(root, "proc", false, e);
	_cleanup_close_ int pts = -1;
	int r;

	if (proc < 0)
		return proc;
	r = mnt_new("proc", proc, MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	if (r < 0) {
		(void)err_errno(e, -r, "cannot mount the box's /proc");
		return err_hint(e, "inside another container this needs an unmasked /proc; see `igloo doctor`");
	}
	pts = file_open_beneath(root, "dev/pts", O_PATH | O_DIRECTORY, 0);
	if (pts < 0)
		return err_errno(e, -pts, "cannot open the box's /dev/pts");
	r = mnt_new("devpts", pts, MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620");
	if (r < 0)
		return err_errno(e, -r, "cannot mount the box's /dev/pts");
	r = fill_scratch(spec, root, e);
	if (r == 0)
		r = link_program(root, "bin", "sh", spec->sh, e);
	if (r == 0)
		r = link_program(root, "usr/bin", "env", spec->env, e);
	return r;
}
