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

void vmfds_keep(const char *fd, const struct vmoptions *o)
{
	int next = GUEST_LINK_FD + 1;
	int end = o->keep    ? VMHOST_STATE_FD + 1
		  : o->disks ? VMHOST_DISK_FD + o->disks
		  : o->tap   ? VMHOST_TAP_FD + 1
			     : next;

	guest_set_descriptors(fd, end);
	/* The disks stay open, and locked, as long as QEMU may use them. */
	for (; next < end; next++) {
		bool disk = next >= VMHOST_DISK_FD && next < VMHOST_DISK_FD + o->disks;

		if (disk || (o->tap && next == VMHOST_TAP_FD) || (o->keep && next == VMHOST_STATE_FD))
			(void)fcntl(next, F_SETFD, FD_CLOEXEC);
		else
			(void)close(next);
	}
	raise_limit();
}
