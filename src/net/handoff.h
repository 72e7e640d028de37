/* What the engine and the broker (net/broker.h) say to each other, over SOCK_SEQPACKET: a connection is handed to the
 * broker, and the broker says when it has ended. Both read what the other may have been made to say by hostile bytes:
 * everything is bounded and checked. */
#ifndef IGLOO_NET_HANDOFF_H
#define IGLOO_NET_HANDOFF_H

#include "net/engine.h"

/* Of what the client sent so far: a ClientHello. */
enum { HANDOFF_BYTES_MAX = 32 * 1024 };

/* Which connection: the engine's, to be repeated in `struct handoff_end`. */
struct handoff_id {
	uint32_t index;
	uint32_t serial;
};

struct handoff {
	struct handoff_id id;
	uint16_t port;
	char host[HOSTNAME_MAX + 1]; /* in normal form */
};

struct handoff_end {
	struct handoff_id id;
	uint32_t reason; /* enum engine_reason; 0: nothing to tell */
	char detail[HOSTNAME_MAX + 1];
};

/* The pair, non-blocking: [0] for the engine, [1] for the broker. 0 or -errno. */
int handoff_pair(int ret[2]);
/* Both sockets stay the caller's, too. -EAGAIN when there is no room now, -EMSGSIZE for too many bytes. */
int handoff_send(int sock, const struct handoff *h, const uint8_t *bytes, size_t n, int box_fd, int host_fd);
/* 1, 0 when there is none now, -EPIPE at the end. `buffer` has HANDOFF_BYTES_MAX; the descriptors are the caller's.
 * What is no handoff is skipped. */
int handoff_receive(int sock, struct handoff *ret, uint8_t *buffer, size_t *ret_n, int *ret_box_fd, int *ret_host_fd);
/* 0 or -errno, as handoff_send(). */
int handoff_send_end(int sock, const struct handoff_end *end);
/* 1, 0 or -EPIPE, as handoff_receive(). */
int handoff_receive_end(int sock, struct handoff_end *ret);

#endif
