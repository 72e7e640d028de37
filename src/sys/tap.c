#include "sys/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int tap_try(void)
{
	_cleanup_close_ int fd = open(TAP_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : 0;
}

int tap_device(struct err **e)
{
	int fd = open(TAP_DEVICE, O_PATH | O_CLOEXEC);

	return fd < 0 ? err_errno(e, errno, "cannot open %s", TAP_DEVICE) : fd;
}

int tap_make(int device, const char *name, struct err **e)
{
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	_cleanup_close_ int fd = -1;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", device);
	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	/* The link's network namespace is the one that the device was opened in, so it is opened here and now. */
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", TAP_DEVICE);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return err_errno(e, errno, "cannot make a tap");
	return take_fd(&fd);
}
