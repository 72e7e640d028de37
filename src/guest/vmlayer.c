/* Theory of operation. The layer's file system is mounted in the initrd, where the box does not see it; parts of it are
 * bound, and laid, over the root's.
 *
 * A store path that the box's view has is right as it is there, and belongs to nobody in the machine. Whatever the
 * layer has in its place (a mark that it was removed, a copy of a part that was changed, the same path built here
 * earlier) goes before the overlay is mounted. */
#include "guest/vmlayer.h"

#include "base/str.h"
#include "guest/vmdisk.h"
#include "guest/vmnixdb.h"
#include "guest/vmroot.h"
#include "guest/vmstore.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LAYER "/layer"
#define HOME "/home/igloo"
#define ROOTS "/nix/var/nix/gcroots/igloo"

/* ext4's own, from fs/ext4/ext4.h; to be found in no header of the kernel's. */
#define EXT4_RESIZE_FS _IOW('f', 16, uint64_t)

enum { USER = 1000, PATH_BYTES = 4096, DEPTH_MAX = 128 };

static int layer_fd = -1;
static bool on_disk;

static int failed(const char **ret_what, const char *what, int r)
{
	*ret_what = what;
	return r;
}

/* --- the file system ---------------------------------------------------------------------------------------------- */

/* The host may have made the disk larger. A file system that cannot grow is as good as it was. */
static void grow(int disk, int fs)
{
	struct statfs st;
	uint64_t bytes = 0;
	uint64_t blocks;

	if (ioctl(disk, BLKGETSIZE64, &bytes) < 0 || fstatfs(fs, &st) < 0 || st.f_bsize <= 0)
		return;
	blocks = bytes / (uint64_t)st.f_bsize;
	/* f_blocks leaves out what the file system needs for itself: only the kernel knows better, and says nothing
	 * when there is nothing to do. */
	if (blocks > (uint64_t)st.f_blocks)
		(void)ioctl(fs, EXT4_RESIZE_FS, &blocks);
}

static int mount_disk(const char *serial, const char **ret_what)
{
	char path[VMDISK_PATH_BYTES];
	_cleanup_close_ int disk = -1;

	if (vmdisk_wait(serial, path) < 0)
		return failed(ret_what, "the slot's disk", -ENODEV);
	/* Unwritten tables stay so: the image is sparse, and was made with zeros. */
	if (mount(path, LAYER, "ext4", MS_NOSUID | MS_NODEV, "discard,noinit_itable,errors=remount-ro") < 0)
		return failed(ret_what, "the slot's disk", -errno);
	layer_fd = open(LAYER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	disk = open(path, O_RDONLY | O_CLOEXEC);
	if (layer_fd < 0)
		return failed(ret_what, "the slot's disk", -errno);
	on_disk = true;
	if (disk >= 0)
		grow(disk, layer_fd);
	/* Nobody else is to read it. */
	(void)unlink(path);
	return 0;
}

static int mount_memory(const char *options, const char **ret_what)
{
	if (mount("layer", LAYER, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return failed(ret_what, "the layer in memory", -errno);
	return 0;
}

/* --- what is in it ------------------------------------------------------------------------------------------------ */

static int make_folders(const char **ret_what)
{
	static const struct {
		const char *path;
		mode_t mode;
		uid_t user;
	} folders[] = {{LAYER "/upper", 0755, USER},
		       {LAYER "/work", 0700, 0},
		       {LAYER "/var", 0755, USER},
		       {LAYER "/home", 0700, USER},
		       {LAYER "/tmp", 01777, 0},
		       {LAYER "/var/nix", 0755, USER},
		       {LAYER "/var/log", 0755, USER},
		       {LAYER "/var/nix/db", 0755, USER},
		       {LAYER "/var/nix/gcroots", 0755, USER},
		       {LAYER "/var/nix/gcroots/igloo", 0755, USER}};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (mkdir(folders[i].path, 0700) < 0) {
			if (errno == EEXIST)
				continue;
			return failed(ret_what, folders[i].path, -errno);
		}
		if (chown(folders[i].path, folders[i].user, folders[i].user) < 0 ||
		    chmod(folders[i].path, folders[i].mode) < 0)
			return failed(ret_what, folders[i].path, -errno);
	}
	return 0;
}

/* Removes the entry and all that is below it. Root may, whatever its modes. */
static int remove_tree(int dir, const char *name, int depth)
{
	int fd;
	DIR *d;
	const struct dirent *ent;
	int r = 0;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return -errno;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 || depth == DEPTH_MAX ? NULL : fdopendir(fd);
	if (!d) {
		(void)close_fd(fd);
		return -ELOOP;
	}
	while (r == 0 && (ent = readdir(d)))
		if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0)
			r = remove_tree(dirfd(d), ent->d_name, depth + 1);
	(void)closedir(d);
	return r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : r;
}

static int drop_covered(const char **ret_what)
{
	_cleanup_close_ int view = open(VMROOT "/nix/store", O_PATH | O_DIRECTORY | O_CLOEXEC);
	DIR *d = opendir(LAYER "/upper");
	const struct dirent *ent;
	struct stat st;
	int r = 0;

	if (view < 0 || !d)
		return failed(ret_what, "/nix/store", -errno);
	while (r == 0 && (ent = readdir(d))) {
		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		/* A mark that something was removed hides what comes into the view later. */
		if (fstatat(view, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
		    (fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode)))
			r = remove_tree(dirfd(d), ent->d_name, 0);
	}
	(void)closedir(d);
	return r < 0 ? failed(ret_what, "the slot's disk", r) : 0;
}

/* --- over the root ------------------------------------------------------------------------------------------------ */

static int bind_over(const char *from, const char *to, const char **ret_what)
{
	return mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0 ? failed(ret_what, to, -errno) : 0;
}

/* The folder of the layer that lies over what `path` is in; *ret_rest is the path in it. */
static const char *folder_of(const char *path, const char **ret_rest)
{
	static const struct {
		const char *over;
		const char *folder;
	} folders[] = {{HOME "/", LAYER "/home/"}, {"/var/tmp/", LAYER "/tmp/"}};

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		*ret_rest = path + strlen(folders[i].over);
		if (str_starts(path, folders[i].over))
			return folders[i].folder;
	}
	return NULL;
}

/* A place in the layer for what the root has at `path`; the folders on the way are the user's. */
static int make_place(const char *path, char *place)
{
	const char *rest = NULL;
	const char *folder = folder_of(path, &rest);
	struct stat st;
	struct stat from;
	char source[PATH_BYTES];
	int fd;

	if (!folder || strstr(path, "/../") || str_ends(path, "/..") ||
	    snprintf(source, sizeof(source), VMROOT "%s", path) >= (int)sizeof(source) ||
	    snprintf(place, PATH_BYTES, "%s%s", folder, rest) >= PATH_BYTES)
		return -EINVAL;
	if (stat(source, &from) < 0)
		return -errno;
	for (char *p = place + strlen(folder); *p; p++) {
		int r;

		if (*p != '/')
			continue;
		*p = '\0';
		r = mkdir(place, 0755) == 0 ? chown(place, USER, USER) : 0;
		/* A link of the user's leads elsewhere. */
		if (r < 0 || lstat(place, &st) < 0 || !S_ISDIR(st.st_mode))
			return -ENOTDIR;
		*p = '/';
	}
	if (S_ISDIR(from.st_mode)) {
		if (mkdir(place, 0755) == 0)
			(void)lchown(place, USER, USER);
		return lstat(place, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	}
	fd = open(place, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd >= 0)
		(void)fchown(fd, USER, USER);
	(void)close_fd(fd);
	return lstat(place, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -ENOTDIR;
}

static int keep(const char *path, const char **ret_what)
{
	char source[PATH_BYTES];
	char place[PATH_BYTES];
	int r = make_place(path, place);

	if (r < 0)
		return failed(ret_what, path, r);
	(void)snprintf(source, sizeof(source), VMROOT "%s", path);
	return mount(source, place, NULL, MS_BIND | MS_REC, NULL) < 0 ? failed(ret_what, path, -errno) : 0;
}

static int cover(const struct vmconf *c, const char **ret_what)
{
	static const char plain[] = "lowerdir=" VMROOT "/nix/store,upperdir=" LAYER "/upper,workdir=" LAYER
				    "/work,xino=off";
	static const char with_image[] = "lowerdir=" VMSTORE_LOWER ":" VMROOT "/nix/store,upperdir=" LAYER
					 "/upper,workdir=" LAYER "/work,xino=off";
	int r = c->store ? vmstore_mount(c->store, ret_what) : 0;

	if (r < 0)
		return r;
	if (mount("store", VMROOT "/nix/store", "overlay", MS_NOSUID | MS_NODEV, c->store ? with_image : plain) < 0)
		return failed(ret_what, "/nix/store", -errno);
	/* What roots the view's paths: a collection of garbage here would take them out of the database. */
	if (access(VMROOT ROOTS, F_OK) == 0)
		r = bind_over(VMROOT ROOTS, LAYER "/var/nix/gcroots/igloo", ret_what);
	if (r == 0)
		r = bind_over(LAYER "/var", VMROOT "/nix/var", ret_what);
	for (size_t i = 0; i < c->n_keeps && r == 0; i++)
		r = keep(c->keeps[i], ret_what);
	if (r == 0)
		r = bind_over(LAYER "/home", VMROOT HOME, ret_what);
	if (r == 0)
		r = bind_over(LAYER "/tmp", VMROOT "/var/tmp", ret_what);
	return r;
}

int vmlayer_mount(const struct vmconf *c, void (*note)(const char *what, int errnum), const char **ret_what)
{
	const struct vmnixdb db = {.layer = LAYER,
				   .view = VMROOT "/nix/var/nix/db",
				   .root = VMROOT,
				   .nix = c->nix,
				   .upper = LAYER "/upper"};
	int more = 0;
	int r;

	if (!c->layer.type)
		return 0;
	if (mkdir(LAYER, 0755) < 0 && errno != EEXIST)
		return failed(ret_what, LAYER, -errno);
	r = strcmp(c->layer.type, "ext4") == 0 ? mount_disk(c->layer.source, ret_what)
					       : mount_memory(c->layer.source, ret_what);
	if (r == 0)
		r = make_folders(ret_what);
	if (r == 0 && on_disk)
		r = drop_covered(ret_what);
	if (r == 0) {
		more = vmnixdb_begin(&db);
		r = more < 0 ? failed(ret_what, "Nix's database", more) : cover(c, ret_what);
	}
	if (r == 0 && more > 0) {
		r = vmnixdb_finish(&db);
		/* What was built here is built again when it is wanted. */
		if (r < 0)
			note("Nix's database", -r);
		r = 0;
	}
	return r;
}

void vmlayer_settle(void)
{
	if (!on_disk || layer_fd < 0 || fchdir(layer_fd) < 0)
		return;
	(void)syncfs(layer_fd);
	(void)mount(NULL, ".", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	(void)chdir("/");
}
