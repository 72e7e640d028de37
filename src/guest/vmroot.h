/* What a machine is made of before its guest starts. All return 0 or -errno with *ret_what as what it was about. */
#ifndef IGLOO_GUEST_VMROOT_H
#define IGLOO_GUEST_VMROOT_H

#include "guest/vmconf.h"

#define VMROOT "/root"

/* /dev, /sys and the modules of the initrd, in the order of their names. A module that is there already, or finds no
 * device, is none the worse; what does not load otherwise is told in `notes` lines by its caller's printer. */
int vmroot_begin(const char **ret_what);
int vmroot_modules(void (*note)(const char *what, int errnum), const char **ret_what);
/* Opens the port of that name once both ends of it are there; waits at most timeout_ms. Returns a descriptor. */
int vmroot_port(const char *name, int timeout_ms, const char **ret_what);
/* The root, what it needs of the machine's own, and what the configuration wants in it. */
int vmroot_mount(const struct vmconf *c, void (*note)(const char *what, int errnum), const char **ret_what);
/* Waits for the devices that the configuration names, and lets everybody open them: who is in the machine is its user
 * or its root. Before vmroot_enter(). */
int vmroot_devices(const struct vmconf *c, int timeout_ms, const char **ret_what);
/* The root becomes the only one there is. */
int vmroot_enter(const char **ret_what);
int vmroot_network(const struct vmconf *c, const char **ret_what);
/* One more, through the gateway. */
void vmroot_add_route(const struct vmconf *c, struct in_addr to, unsigned bits);
/* Everything written is on the host; the file systems of disks cannot be written any more. */
void vmroot_settle(const struct vmconf *c);

#endif
