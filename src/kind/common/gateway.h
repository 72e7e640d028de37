/* The gateway namespace of a box: the network namespace in which the box's network ends.
 *
 *     box: eth0 192.0.0.2/30 ──veth── gw0 192.0.0.1/30: gateway namespace; nothing leads out of it
 *
 * What the box may reach (the synthetic addresses of net/synth.h, and granted addresses) is routed there and local
 * there, whatever the address ("AnyIP": a local route of a whole network), so that a connection to any of them is
 * accepted by a socket of the gateway namespace. These sockets are made here and served elsewhere (net/engine.h). The
 * namespace has no process and no name: it lives by its sockets alone.
 *
 * A machine's box has a tap in place of the veth (gatewaytap.c): its frames come out of the gateway's own link, and the
 * box's network namespace, where only QEMU is, stays empty.
 *
 *     machine: eth0 192.0.0.2/30 ──QEMU──tap── gw0 192.0.0.1/30: gateway namespace
 *
 * A box to which nothing is granted, as most, needs no gateway to see that: it only gets 192.0.0.1 on its loopback,
 * with the DNS sockets there, so that what it asks for is known. Its gateway is made when something is granted. With a
 * tap it has one from the start. */
#ifndef IGLOO_KIND_COMMON_GATEWAY_H
#define IGLOO_KIND_COMMON_GATEWAY_H

#include "base/err.h"
#include "box/spec.h"
#include "net/engine.h"
#include "net/policy.h"
#include "sys/netlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Of the prefix for the two ends of a translator on one machine (RFC 7335): no server has such an address, while
 * documentation's prefixes are in use in many a laboratory. */
#define GATEWAY_ADDRESS BOX_GATEWAY_ADDRESS
#define GATEWAY_BOX_ADDRESS "192.0.0.2"
/* The synthetic addresses (RFC 2544's, which no machine has: net/synth.h). */
#define GATEWAY_SYNTHETIC "198.18.0.0"
enum { GATEWAY_LINK_BITS = 30, GATEWAY_SYNTHETIC_BITS = 15 };

/* Made by the supervisor, and used by it and by the two processes that make a box. */
struct gateway {
	bool stub;               /* nothing is granted: the box gets a DNS that is asked in vain, and no gateway yet */
	bool store;              /* and the host's store (box/boxstore.h) */
	size_t n_spare;          /* sockets for the policy's ports, and some for those to come */
	bool every;              /* a socket for every port at once is wanted */
	struct policy_net *nets; /* granted addresses and networks */
	size_t n_nets;
	int give[2];  /* SOCK_SEQPACKET: the sockets go from [1] to the supervisor at [0] */
	int ready[2]; /* SOCK_SEQPACKET: a byte comes to [0] when the link is there, with the tap if it is one */
	int device;   /* what makes taps; -1: the link is a veth */
	int tap;      /* after gateway_wait(): the tap's descriptor; else -1 */
};
#define GATEWAY_INIT ((struct gateway){.give = {-1, -1}, .ready = {-1, -1}, .device = -1, .tap = -1})

/* For a box whose network is BOX_NET_GATE; `tap`: the link is to be one. -EINVAL for entries that are no policy. */
int gateway_prepare(struct gateway *g, const struct box_spec *spec, bool tap, struct err **e);
void gateway_release(struct gateway *g);
/* In the supervisor, after the fork: lets go of what is the children's, so that each sees the end of the other. Accepts
 * NULL. */
void gateway_forked(struct gateway *g);

/* In the supervisor, when the box has started: all of the sockets. -EPIPE when they did not come. */
int gateway_take(struct gateway *g, struct engine_sockets *ret, struct err **e);

/* In the helper, with every capability in its user namespace, which also owns the network namespace of `box`: makes the
 * gateway namespace, the link, the sockets; sends them off; and lets the box go on. The caller, who may be in any
 * network namespace afterwards, is to end. */
int gateway_make(struct gateway *g, pid_t box, struct err **e);
/* In the box's first process: waits until the link is there, and takes the tap over. */
int gateway_wait(struct gateway *g, struct err **e);
/* In a process with every capability in the user namespace of the running box `box`, which was made with a stub: makes
 * its gateway. The sockets come as in the others. The caller is to end. */
int gateway_make_late(struct gateway *g, pid_t box, struct err **e);
/* In a process with every capability in the user namespace of the running box `box`: adds the routes of g->nets that
 * are not there yet, and the socket if g->every, to be had with gateway_take_every(). `anchor` is
 * engine_sockets.anchor. The routes in a machine are the machine's own (FRAME_ROUTE). */
int gateway_widen(struct gateway *g, pid_t box, int anchor, struct err **e);
int gateway_take_every(struct gateway *g, int *ret, struct err **e);
/* Where there is no helper: the caller's network namespace, which must be a new one, becomes the gateway's, and the
 * caller gets another. */
int gateway_make_alone(struct gateway *g, struct err **e);

#endif
