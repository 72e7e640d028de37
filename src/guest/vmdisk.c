#include "guest/vmdisk.h"

#include "base/str.h"
#include "guest/guest.h"
#include "sys/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { DISK_MS = 5000 };

static bool has_serial(const char *disk, const char *serial)
{
	char path[300];
	char text[32] = "";
	_cleanup_close_ int fd = -1;

	(void)snprintf(path, sizeof(path), "/sys/block/%s/serial", disk);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, serial) == 0;
}

static int find_disk(const char *serial, char *ret)
{
	DIR *d = opendir("/sys/block");
	const struct dirent *ent;
	int r = -ENOENT;

	while (d && r == -ENOENT && (ent = readdir(d))) {
		if (!str_starts(ent->d_name, "vd") || !has_serial(ent->d_name, serial))
			continue;
		(void)snprintf(ret, VMDISK_PATH_BYTES, "/dev/%s", ent->d_name);
		if (access(ret, F_OK) == 0)
			r = 0;
	}
	if (d)
		(void)closedir(d);
	return r;
}

int vmdisk_wait(const char *serial, char ret[static VMDISK_PATH_BYTES])
{
	int64_t end = guest_now_ms() + DISK_MS;

	while (find_disk(serial, ret) < 0) {
		if (guest_now_ms() >= end)
			return -ENODEV;
		(void)poll(NULL, 0, 1);
	}
	return 0;
}
