/* One connection: the box's socket, the host's socket, and what is between them.
 *
 *     GATE ── the first bytes are good ──> RESOLVE ──> DIAL ──> FLOW
 *
 * Ports without a gate before dialling begin with RESOLVE, connections to a granted address with DIAL. In FLOW each
 * direction goes for itself until both have ended. */
#ifndef IGLOO_NET_RELAY_H
#define IGLOO_NET_RELAY_H

#include "net/engine_impl.h"
#include "net/hello.h"
#include "net/httphost.h"

enum phase {
	PHASE_GATE,
	PHASE_RESOLVE,
	PHASE_DIAL,
	PHASE_FLOW,
	PHASE_HANDING, /* connected, to be handed to the broker (bound.h) */
	PHASE_HANDED,  /* the broker has it */
	PHASE_DEAD,
};

/* What the box's bytes must pass. */
enum gate {
	GATE_NONE,
	GATE_FIRST, /* any port: a first byte that looks like TLS makes it GATE_TLS */
	GATE_TLS,
	GATE_HTTP,
};

enum side { BOX, HOST };

enum { DIAL_ADDRESSES_MAX = 3 };

/* Only until the connection flows. */
struct dial {
	struct address addresses[DIAL_ADDRESSES_MAX];
	size_t n;
	size_t next;
	int error; /* the last one */
};

/* Of the direction that begins at this side. */
struct flow {
	struct pipe *pipe; /* while bytes are in it */
	uint8_t *chunk;    /* bytes in memory, which go before the pipe's */
	uint32_t chunk_at;
	uint32_t chunk_len;
	bool readable; /* this side's socket, as far as known */
	bool writable;
	bool ended;  /* this side sent its end */
	bool closed; /* and it was passed on */
	bool hup;    /* its end or a failure was announced: a short read is not the last */
	bool large;  /* the last read filled the buffer: splice */
};

struct relay {
	struct engine *g;
	struct relay *next;
	struct relay *previous;
	struct relay *next_runnable;
	const char *name; /* of g->synth; NULL: the address itself is granted */
	struct dial *dial;
	union {
		struct hello *hello;
		struct httphost *http;
	} parser;
	struct flow flow[2];
	int fd[2];
	uint32_t index;
	uint32_t since;  /* second of the last sign of life */
	uint32_t queued; /* second at which it came into its list */
	uint32_t serial; /* of the handing over */
	uint16_t port;
	uint8_t phase;
	uint8_t gate;
	uint8_t wait;
	bool runnable;
	bool forwarded; /* relay_adopt()'s: no policy says anything about it */
	bool holding;   /* chunk[BOX] must not go on yet */
	bool resolving;
};

/* Takes the accepted socket. Port 0: its own address says which. */
void relay_accept(struct engine *g, int fd, uint16_t port);
/* Takes two sockets that are connected already. */
void relay_adopt(struct engine *g, int host_fd, int box_fd);
/* Has all that boxes sent been passed on, to its end? */
bool relay_all_sent(const struct engine *g);
/* An event of one of its sockets. */
void relay_event(struct engine *g, uint32_t index, enum side side, uint32_t events);
/* Goes on with those that had more to do, a bounded amount each. */
void relay_run(struct engine *g);
/* Ends what has waited for too long; frees what has ended. Returns seconds until the next time limit, at most 60. */
uint32_t relay_timeouts(struct engine *g);
void relay_bury(struct engine *g);
/* Ends the connections that the policy in force does not allow. */
void relay_check_all(struct engine *g);

/* Between relay.c, gate.c, dial.c and flow.c: */

/* Ends it. With a reset the peers see that something was missing. */
void relay_end(struct relay *c, bool reset);
/* Tells the supervisor, and ends it. */
void relay_deny(struct relay *c, enum engine_reason reason, const char *detail);
void relay_wait(struct relay *c, enum wait w);

/* Looks at n more bytes of the box: false when the relay was ended. c->holding says whether they may go on. */
bool gate_feed(struct relay *c, const uint8_t *bytes, size_t n);
/* Reads from the box before there is another side. */
void gate_read(struct relay *c);
/* The box ended, or time is over, before the gate was passed. */
void gate_missing(struct relay *c, const char *why);
void gate_free(struct relay *c);

/* Looks the name up, then dials. */
void dial_start(struct relay *c);
/* An event of the socket that is being connected. */
void dial_event(struct relay *c, uint32_t events);
/* The address took too long: the next one. */
void dial_timeout(struct relay *c);
/* May a connection go to this address? */
bool dial_allowed(struct engine *g, const struct address *a, uint16_t port);
void dial_free(struct relay *c);

/* Copies in both directions as far as it goes now. */
void flow_run(struct relay *c);
/* Keeps bytes of this side that cannot go on yet. */
void flow_keep(struct flow *f, const uint8_t *bytes, size_t n);

#endif
