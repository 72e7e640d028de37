/* The network of a machine: what its eth0 is connected to.
 *
 *     MACHNET_TAP    a tap in the box's gateway namespace (kind/common/gatewaytap.c): the machine has the addresses and
 *                    routes that a sandbox has, and the gateway's engine serves it unchanged
 *     MACHNET_USER   where this user may make no tap: QEMU's own stack (SLIRP), in the box's network namespace. It
 *                    translates what the machine sends to connections of QEMU's, which leave by the gateway as any
 *                    process's of a sandbox
 *     MACHNET_NONE   none
 */
#ifndef IGLOO_KIND_VM_MACHNET_H
#define IGLOO_KIND_VM_MACHNET_H

#include "base/err.h"
#include "base/str.h"
#include "box/spec.h"

enum machnet { MACHNET_NONE, MACHNET_TAP, MACHNET_USER };

/* $IGLOO_VM_NET says tap or user, or auto: a tap where /dev/net/tun may be used. -EINVAL for another word; for tap the
 * device's -errno. */
int machnet_choose(const struct box_spec *spec, enum machnet *ret, struct err **e);
/* The value of -netdev (struct machine), NULL for none. */
const char *machnet_netdev(enum machnet net);
/* Adds the machine's lines (guest/vmconf.h): its address, and with a tap the routes to what is granted. */
int machnet_configure(enum machnet net, const struct strv *allow, struct str *to, struct err **e);

#endif
