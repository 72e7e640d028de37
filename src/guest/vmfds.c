#include "guest/vmfds.h"

#include "guest/guest.h"
#include "guest/image.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Each connection and each command has descriptors here. QEMU may have as many. */
static void raise_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

void vmfds_keep(const char *fd, bool tap, bool disk)
{
	int first = tap ? VMHOST_TAP_FD + 1 : VMHOST_TAP_FD;

	guest_set_descriptors(fd, disk ? VMHOST_DISK_FD + 1 : first);
	for (int i = first; disk && i < VMHOST_DISK_FD; i++)
		(void)close(i);
	/* The disk stays open, and locked, as long as QEMU may write to it. */
	if (disk)
		(void)fcntl(VMHOST_DISK_FD, F_SETFD, FD_CLOEXEC);
	if (tap)
		(void)fcntl(VMHOST_TAP_FD, F_SETFD, FD_CLOEXEC);
	raise_limit();
}
