/* What the parts of the engine share. engine.h says what it is. */
#ifndef IGLOO_NET_ENGINE_IMPL_H
#define IGLOO_NET_ENGINE_IMPL_H

#include "net/engine.h"
#include "net/hostaddr.h"
#include "net/notes.h"
#include "net/pipes.h"
#include "net/policy.h"
#include "net/resolver.h"
#include "net/synth.h"
#include "sys/confine.h"

#include <sys/epoll.h>

/* The lower half of epoll_data; the upper is an index or a descriptor. RESOLVER_TAG is 1. */
enum tag {
	TAG_CONTROL = RESOLVER_TAG + 1,
	TAG_HOSTADDR,
	TAG_DNS_UDP,
	TAG_DNS_TCP,
	TAG_DNS_CLIENT, /* index of the client */
	TAG_LISTENER,   /* index of the listener */
	TAG_BOX,        /* index of the relay */
	TAG_HOST,       /* the same, its other socket */
	TAG_BROKER,
};

enum { ENGINE_BUFFER = 64 * 1024, DNS_CLIENTS_MAX = 64 };

struct listener {
	int fd;
	uint16_t port; /* 0: spare, unbound; or `every` */
	bool every;    /* for every port: an accepted socket says which was meant */
};

/* Which list of time limits a relay is in; each holds relays in the order of `since`. */
enum wait { WAIT_GATE, WAIT_DIAL, WAIT_FRESH, WAIT_IDLE, WAIT_HALF, WAIT_HANDED, WAITS };

struct relay;
struct dns_client;

struct engine {
	int epoll_fd;
	int control;
	uint32_t now; /* monotonic seconds, of this turn of the loop */
	bool allow_unnamed_tls;
	struct policy *policy;
	struct synth *synth;
	struct resolver *resolver;
	struct hostaddr *hostaddr;
	struct notes notes;
	struct pipes pipes;

	struct listener listeners[ENGINE_SPARE_SOCKETS + 1];
	size_t n_listeners;
	bool full;             /* they are not looked at because there is no room for another relay */
	uint32_t accept_again; /* second at which the listeners are looked at again; 0: they are */

	int dns_udp;
	int dns_tcp;
	struct dns_client *dns_clients[DNS_CLIENTS_MAX];
	size_t max_dns_clients;

	struct relay **relays; /* max of them, NULL: free */
	uint32_t *free_index;
	size_t n_free;
	size_t max;
	struct {
		struct relay *first;
		struct relay *last;
	} waits[WAITS];
	struct relay *dead;     /* freed at the end of this turn: events of them may be under way */
	struct relay *runnable; /* have more to copy than one turn allows */

	bool finishing; /* engine_finish() */

	struct strv bound; /* bound.h: "name:port", sorted */
	int broker;        /* -1: none, or no more */
	uint32_t serial;   /* of the last connection that was handed to it */

	struct str incoming; /* of a policy that comes in pieces */
	uint8_t buffer[ENGINE_BUFFER];
};

/* engine.c: what it keeps is the sockets it has, new TCP and UDP sockets in the host's network, the files by which
 * names are looked up, and few system calls (engine_rules.h). */
extern const struct confine engine_walls;

/* epoll_ctl ADD; 0 or -errno. */
int engine_watch(struct engine *g, int fd, uint32_t events, enum tag tag, uint32_t index);

/* control.c: the messages on the control socket. The first byte says what it is. */
enum message {
	MESSAGE_POLICY,  /* a piece of it: struct policy_message and what it announces; the last has a pipe */
	MESSAGE_FORWARD, /* two sockets */
	MESSAGE_FINISH,
	MESSAGE_EVERY,   /* a listener */
	MESSAGE_SERVERS, /* the host's name servers, as text: resolver_use() */
};
struct policy_message {
	uint8_t message; /* enum message */
	uint32_t total;  /* bytes of the whole policy: its entries, each with its NUL */
	uint32_t offset; /* of what follows the header */
};
enum { POLICY_MESSAGE_MAX = 32 * 1024, POLICY_BYTES_MAX = POLICY_ENTRIES_MAX * (POLICY_ENTRY_BYTES_MAX + 1) };
struct policy_answer {
	int32_t errnum; /* 0: in force */
	char message[500];
};

/* loop.c: serves until control ends. */
void engine_serve(struct engine *g);
/* Makes the policy the one in force; takes it. Listeners for its ports are there or it fails and the old one stays. */
int engine_use_policy(struct engine *g, struct policy *p, struct err **e);
/* ports.c: a listener for each port of the policy. One that is no longer in it stays, and refuses what comes. */
int ports_open(struct engine *g, const struct policy *p, struct err **e);
/* Takes the socket that all connections come to. */
int ports_add_every(struct engine *g, int fd);
/* Reads and applies what the supervisor sent; false when it is gone. */
bool policy_receive(struct engine *g);

#endif
