/* A tap: an Ethernet link of a network namespace whose other end is a descriptor (the kernel's
 * Documentation/networking/tuntap.rst). */
#ifndef IGLOO_SYS_TAP_H
#define IGLOO_SYS_TAP_H

#include "base/err.h"

#define TAP_DEVICE "/dev/net/tun"

/* May this process make taps, as far as the device is concerned? 0 or -errno; opens it once. */
int tap_try(void);
/* The device as a descriptor that tap_make() takes in whatever mount namespace it is called, if that has a /proc.
 * -errno with what helps. */
int tap_device(struct err **e);
/* Makes the link `name` in the caller's network namespace, over which it needs CAP_NET_ADMIN: down, without an address.
 * Returns the descriptor: a read() or write() of it is one frame behind a struct virtio_net_hdr. The link goes with its
 * last copy; until then the network namespace stays. -errno. */
int tap_make(int device, const char *name, struct err **e);

#endif
