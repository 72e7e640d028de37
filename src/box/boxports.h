/* The forwarded ports of a running box, as its supervisor holds them.
 *
 * Theory of operation
 *
 *     host: client ── listener ─ supervisor ── DIAL ──> guest: socket ── 127.0.0.1:GUEST, the box's server
 *                                    │ <── DIALED, the socket ──┘
 *                                    └── both sockets ──> engine, which copies
 *
 * The listeners are the supervisor's, so they end with it, however it ends. What a connection is to reach inside is the
 * guest's to make: its sockets belong to the box's network, and the supervisor never goes there. The bytes are copied
 * by a process of their own (net/engine.h, without a gateway), started by the first connection: it is confined as the
 * one of the gateway is, and a box without a network has it too. */
#ifndef IGLOO_BOX_BOXPORTS_H
#define IGLOO_BOX_BOXPORTS_H

#include "base/err.h"
#include "base/str.h"
#include "box/portspec.h"
#include "fmt/json.h"
#include "wire/link.h"

#include <poll.h>

enum { BOXPORTS_POLLS = 1 + 2 * PORTSPECS_MAX };

struct boxports;

/* Listens on all of them (box/portspec.h). Errors name who has a port that is in use. */
int boxports_new(const struct strv *specs, struct boxports **ret, struct err **e);
/* Also publishes the machine's screen (box/display.h) on this machine's loopback: at `port`, or at any free one for 0.
 * Only processes of the same user, and root's, are let in. */
int boxports_add_screen(struct boxports *p, uint16_t port, struct err **e);
/* At run time: all of them or none. Connections that are there already stay when their port is removed. */
int boxports_add(struct boxports *p, const struct strv *specs, struct err **e);
int boxports_remove(struct boxports *p, const struct strv *specs, struct err **e);
/* [{"addresses": ["127.0.0.1", "::1"], "host": 8080, "guest": 80}, …]; "guest" is 0 for the screen. */
json_t *boxports_json(const struct boxports *p);

/* What to wait for; returns how many. */
size_t boxports_poll(const struct boxports *p, struct pollfd fds[BOXPORTS_POLLS]);
/* Takes connections, and asks the guest to make theirs, on streams that begin with *next_stream. */
void boxports_work(struct boxports *p, const struct pollfd *fds, struct link *guest, uint32_t *next_stream);
/* A frame of the guest: 1 when it was about a stream of boxports_work(), 0 when not, -EPROTO. */
int boxports_frame(struct boxports *p, const struct frame *f, struct link *guest);
/* Ends all; what the box sent to its end may still arrive, for a moment. Accepts NULL. */
void boxports_free(struct boxports *p);

#endif
