/* Theory of operation. The view has the image's paths, too: an overlay would look for each folder of the image there as
 * well, and merge the two, which costs what the image is to spare. So a layer lies between them that says of each name
 * in the image that there is nothing further down: a whiteout, which is a device 0:0
 * (Documentation/filesystems/overlayfs.rst). What the image has not is looked for in the view, as ever. */
#include "guest/vmstore.h"

#include "base/mem.h"
#include "guest/vmdisk.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char **ret_what)
{
	int errnum = errno;

	*ret_what = "the image of the store";
	return -errnum;
}

static int make_mask(void)
{
	DIR *image = opendir(VMSTORE_IMAGE);
	_cleanup_close_ int mask = open(VMSTORE_MASK, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *ent;
	int r = !image || mask < 0 ? -errno : 0;

	while (image && r == 0 && (ent = readdir(image)))
		if (strcmp(ent->d_name, ".") != 0 && strcmp(ent->d_name, "..") != 0 &&
		    mknodat(mask, ent->d_name, S_IFCHR, 0) < 0)
			r = -errno;
	if (image)
		(void)closedir(image);
	errno = -r;
	return r;
}

int vmstore_mount(const char *serial, const char **ret_what)
{
	char path[VMDISK_PATH_BYTES];
	int r = vmdisk_wait(serial, path);

	errno = -r;
	if (r < 0 || (mkdir(VMSTORE_IMAGE, 0755) < 0 && errno != EEXIST) ||
	    (mkdir(VMSTORE_MASK, 0755) < 0 && errno != EEXIST) ||
	    mount(path, VMSTORE_IMAGE, "erofs", MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0 ||
	    mount("mask", VMSTORE_MASK, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,nr_inodes=0") < 0 ||
	    make_mask() < 0 || mount(NULL, VMSTORE_MASK, NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
		return failed(ret_what);
	(void)unlink(path);
	return 0;
}
