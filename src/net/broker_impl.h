/* What the parts of the broker share. broker.h says what it is. */
#ifndef IGLOO_NET_BROKER_IMPL_H
#define IGLOO_NET_BROKER_IMPL_H

#include "net/authority.h"
#include "net/broker.h"
#include "net/handoff.h"
#include "net/inject.h"
#include "net/rewrite.h"
#include "sys/confine.h"

/* A TLS record has at most 16 KiB: what one SSL_read(3) gives. */
enum { BROKER_BUFFER = 16 * 1024 };

struct ssl_st;
struct ssl_ctx_st;

struct bound_host {
	const char *name;
	uint16_t port;
	struct inject inject;
};

struct broker {
	int epoll_fd;
	int control;
	int channel; /* to the engine */
	uint32_t now;
	struct authority *authority;
	struct ssl_ctx_st *client; /* for connections to hosts */
	struct bound_host *hosts;
	size_t n_hosts;
	char *values; /* locked memory */
	size_t values_size;

	struct conn *first;
	size_t n, max;
	struct conn *dead;                 /* freed at the end of this turn: events of them may be under way */
	struct conn *runnable;             /* have more to do than one turn allows */
	struct str ends;                   /* struct handoff_end that the channel had no room for */
	uint8_t buffer[HANDOFF_BYTES_MAX]; /* of which records need BROKER_BUFFER */
};

enum { BOX, HOST };

/* One side of a connection. */
struct leg {
	struct conn *conn; /* whose it is */
	int fd;            /* -1: closed */
	struct ssl_st *ssl;
	bool readable;  /* as far as known */
	bool before;    /* OpenSSL still reads what the engine had read */
	bool open;      /* the handshake is done */
	bool ended;     /* it sends no more */
	bool clean;     /* and said so */
	bool shut;      /* nothing more is sent to it */
	struct str out; /* to be sent to it, from out_at on */
	size_t out_at;
};

enum conn_phase {
	CONN_FLOW,
	CONN_ANSWER, /* the broker's own answer is on its way; nothing is read any more */
	CONN_LINGER, /* all is sent: the box may have to read it still */
	CONN_DEAD,
};

struct conn {
	struct broker *b;
	struct conn *next, *previous;
	struct conn *next_runnable;
	const struct bound_host *host;
	struct rewrite *rewrite;
	struct leg leg[2];
	struct handoff_end end; /* what the engine is told */
	uint32_t since;         /* second of the last sign of life, or of this phase */
	uint8_t phase;
	bool runnable;
	bool failed; /* there is no host to talk to: end.detail says why */
};

/* broker.c: no names, no sockets but those it is handed (broker_rules.h), nothing in its network. */
extern const struct confine broker_walls;

/* brokerleg.c. The handshake: 1 when it is done, 0 when it has to wait, -1 when it failed (tlslib_failure()). */
int leg_shake(struct leg *l);
/* Reads a record: its bytes, 0 when there is none now, -1 at the end. */
int leg_take(struct leg *l, uint8_t *to, size_t n);
/* Bytes that this side took: 0 when it takes none now, -1 when it never will. */
int leg_put(struct leg *l, const void *bytes, size_t n);
/* Sends what is kept for this side. False when nothing was. */
bool leg_flush(struct leg *l);
/* Says that nothing more comes; if not `clean`, without TLS's word for it. False: there is no room for it now. */
bool leg_finish(struct leg *l, bool clean);
void leg_close(struct leg *l);

/* brokerconn.c: takes both sockets in any case. */
void conn_new(struct broker *b, const struct handoff *h, const uint8_t *bytes, size_t n, int box_fd, int host_fd);
/* An event of one of its sockets. */
void conn_event(struct leg *l, uint32_t events);
/* Goes on as far as it can, a bounded amount. */
void conn_run(struct conn *c);
/* Ends it; the engine is told. */
void conn_end(struct conn *c);
/* Ends what has waited for too long. */
void conn_timeout(struct conn *c);

/* brokerloop.c: works until the supervisor or the engine ends. */
void broker_serve(struct broker *b);
/* Tells the engine, now or as soon as there is room. */
void broker_tell(struct broker *b, const struct handoff_end *end);

#endif
