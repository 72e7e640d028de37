/* The descriptors that PID 1 of a machine's box was handed for QEMU (vm.h). */
#ifndef IGLOO_GUEST_VMFDS_H
#define IGLOO_GUEST_VMFDS_H

#include "guest/vmoptions.h"

/* Closes all but 0 to 2, `fd` (guest_set_descriptors()), and what the options say was handed down (VMHOST_TAP_FD, the
 * disks from VMHOST_DISK_FD on, VMHOST_STATE_FD): those become CLOEXEC. Raises the number of descriptors that this
 * process, and QEMU, may have. */
void vmfds_keep(const char *fd, const struct vmoptions *o);

#endif
