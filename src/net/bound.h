/* Connections of the engine to hosts that have secrets: dialled as any other, then handed to the broker (net/broker.h).
 * The engine keeps its own copies of both sockets, so that it can end what the policy no longer allows, whatever the
 * broker does. */
#ifndef IGLOO_NET_BOUND_H
#define IGLOO_NET_BOUND_H

#include "net/relay.h"

/* "name:port" of each such host; takes the descriptor, without which (-1) they are refused. 0 or -errno. */
int bound_begin(struct engine *g, const struct strv *hosts, int broker);
bool bound_has(const struct engine *g, const char *name, uint16_t port);
/* The host is connected, and the ClientHello waits in flow[BOX].chunk. */
void bound_hand(struct relay *c);
/* The relay ends. */
void bound_end(const struct relay *c);
/* An event of the broker's socket. */
void bound_event(struct engine *g, uint32_t events);

#endif
