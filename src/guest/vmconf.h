/* What a machine is told, written by igloo: lines `KEY=VALUE`, at most VMCONF_BYTES_MAX bytes. It comes through the
 * port (vmgiven.h), or is the file /igloo.conf of the initrd, or what the service of a system is given (vm.h).
 *
 *     root=TYPE SOURCE OPTIONS             the root: `9p igloo cache=mmap`, `virtiofs root -`, `ext4 /dev/vda -`
 *     mount=TYPE SOURCE TARGET OPTIONS     then these, in order (TARGET in the root; at most VMCONF_MOUNTS_MAX)
 *     layer=ext4 SERIAL                    over the root's store, /nix/var and HOME: what is on the disk of that serial
 *     layer=tmpfs OPTIONS                  number (guest/vmlayer.h), or an empty file system in memory
 *     store=SERIAL                         under the layer's store, over the root's: the erofs on that disk
 *                                          (guest/vmstore.h)
 *     keep=PATH                            what the root has there, below HOME or /var/tmp, is to be seen (at most
 *                                          VMCONF_KEEPS_MAX; a path may have spaces in it)
 *     nix=PATH                             the folder with nix-store in it
 *     hostname=NAME
 *     address=ADDRESS/BITS                 of eth0, IPv4
 *     gateway=ADDRESS
 *     route=ADDRESS/BITS                   through the gateway (at most VMCONF_ROUTES_MAX); without one: everything is
 *     dns=ADDRESS                          becomes /etc/resolv.conf, if there is that file
 *     pids=NUMBER                          at most so many processes and threads of the guest
 *     device=NAME                          /dev/NAME is to be there, and everybody may open it; all of a
 *                                          folder for "FOLDER/" and a star (at most VMCONF_DEVICES_MAX)
 *     clock=SECONDS                        since 1970: the clock is set when it is behind that
 *     time=NANOSECONDS                     the same, and set back when it is well ahead
 *     seed=HEX                             for the kernel's random numbers (vmgiven.h)
 *     agent=PATH                           where the SSH agent's socket is to be
 *     port=NAME                            of the virtio port, else VM_PORT_NAME
 *     bind=PATH                            of a system's service (vm.h): that of the box is to be there, too; a
 *                                          byte that is %, blank or not printable ASCII is %XX
 *
 * OPTIONS are mount(2)'s data, "-" for none, with "ro", "nosuid", "nodev", "noexec", "relatime" and "noatime" taken out
 * as flags; 9p gets trans=virtio, version=9p2000.L and msize=512000 in front of them. Words are separated by one space
 * and have none in them. */
#ifndef IGLOO_GUEST_VMCONF_H
#define IGLOO_GUEST_VMCONF_H

#include "guest/image.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

enum { VMCONF_MOUNTS_MAX = 32, VMCONF_ROUTES_MAX = 4160, VMCONF_DEVICES_MAX = 16, VMCONF_KEEPS_MAX = 64 };

struct vmconf_mount {
	const char *type;
	const char *source;
	const char *target; /* NULL: the root */
	const char *options;
};

struct vmconf_route {
	struct in_addr to;
	unsigned bits;
};

/* Strings point into the text that was parsed. */
struct vmconf {
	struct vmconf_mount root; /* type NULL: there is none */
	struct vmconf_mount mounts[VMCONF_MOUNTS_MAX];
	size_t n_mounts;
	const char *devices[VMCONF_DEVICES_MAX];
	size_t n_devices;
	const char *binds[VMCONF_BINDS_MAX];
	size_t n_binds;
	struct vmconf_mount layer; /* type NULL: there is none; ext4: `source` is a serial number */
	const char *store;         /* NULL: none */
	const char *keeps[VMCONF_KEEPS_MAX];
	size_t n_keeps;
	const char *nix; /* NULL: there is none */
	const char *hostname;
	const char *port;
	const char *dns;
	struct in_addr address; /* 0: none */
	unsigned bits;
	struct in_addr gateway; /* 0: none */
	struct vmconf_route routes[VMCONF_ROUTES_MAX];
	size_t n_routes;
	int64_t clock; /* 0: none */
	int64_t pids;  /* 0: any number */
	int64_t time;  /* 0: none */
	char *seed;    /* NULL: none */
	char *agent;   /* NULL: none */
};

/* Cuts the NUL-terminated text to pieces. 0, or -EINVAL and the line that is wrong. */
int vmconf_parse(char *text, struct vmconf *ret, const char **ret_line);

#endif
