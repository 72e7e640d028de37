/* The guest's program, as part of igloo's own file. */
#ifndef IGLOO_GUEST_IMAGE_H
#define IGLOO_GUEST_IMAGE_H

#include <stddef.h>

/* Of `igloo-guest FD --vm …` (guest/vm.h): what the QEMU that it starts has as the port of that name. */
enum { VMHOST_PORT_FD = 3, VMHOST_TAP_FD = 4, VMHOST_MONITOR_FD = 5, VMHOST_FS_FD = 6, VMHOST_DISK_FD = 7 };
/* Of the disks, from VMHOST_DISK_FD on. */
enum { VMHOST_DISKS_MAX = 2 };
/* What is kept of a machine, and where it begins in its file. */
enum { VMHOST_STATE_FD = 9, VMHOST_STATE_OFFSET = 4096 };
/* Where the virtiofsd that it starts listens. */
enum { VMHOST_LISTEN_FD = 3 };
#define VM_PORT_NAME "igloo"

/* A static ELF executable for the machine that igloo was built for. */
extern const unsigned char guest_image[];
extern const size_t guest_image_size;
/* The same for a machine of aarch64, where igloo was built for another; of 0 bytes where the build had no compiler. */
extern const unsigned char guest_image_aarch64[];
extern const size_t guest_image_aarch64_size;

/* What a machine's configuration (vmconf.h) has room for. */
enum { VMCONF_BYTES_MAX = 256 * 1024, VMCONF_BINDS_MAX = 128 };

#endif
