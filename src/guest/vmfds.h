/* The descriptors that PID 1 of a machine's box was handed for QEMU (vm.h). */
#ifndef IGLOO_GUEST_VMFDS_H
#define IGLOO_GUEST_VMFDS_H

#include <stdbool.h>

/* Closes all but 0 to 2, `fd` (guest_set_descriptors()), VMHOST_TAP_FD if it was handed down, and the
 * `disks` from VMHOST_DISK_FD on: those become CLOEXEC. Raises the number of descriptors that this process, and QEMU,
 * may have. */
void vmfds_keep(const char *fd, bool tap, int disks);

#endif
