/* The box's DNS server: UDP, and TCP with two bytes of length (RFC 7766). */
#ifndef IGLOO_NET_DNSSERVE_H
#define IGLOO_NET_DNSSERVE_H

#include "net/engine_impl.h"

/* Answers at most a batch of datagrams: the sockets are level-triggered, so that the rest comes with the next turn. */
void dnsserve_udp(struct engine *g);
void dnsserve_accept(struct engine *g);
void dnsserve_client(struct engine *g, uint32_t index);
/* Ends clients that were quiet for 10 s. */
void dnsserve_timeouts(struct engine *g);

#endif
