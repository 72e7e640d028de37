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

void vmfds_keep(const char *fd, bool tap, int disks)
{
	int first = tap ? VMHOST_TAP_FD + 1 : VMHOST_TAP_FD;

	guest_set_descriptors(fd, disks ? VMHOST_DISK_FD + disks : first);
	for (int i = first; disks && i < VMHOST_DISK_FD; i++)
		(void)close(i);
	/* They stay open, and locked, as long as QEMU may use them. */
	for (int i = 0; i < disks; i++)
		(void)fcntl(VMHOST_DISK_FD + i, F_SETFD, FD_CLOEXEC);
	if (tap)
		(void)fcntl(VMHOST_TAP_FD, F_SETFD, FD_CLOEXEC);
	raise_limit();
}
