/* The gateway engine: the process between a box and the network.
 *
 * Theory of operation
 *
 * A box's network ends in a gateway namespace with no way out. The sockets in that namespace were made there and are
 * served here, by a process in the host's network namespace that dials out itself:
 *
 *     box ──veth── gateway namespace │ listeners, DNS ─ engine ─ sockets of the host's network
 *
 * The box asks DNS for a name; if the policy has it, it gets a synthetic address (net/synth.h), which is local in the
 * gateway namespace, so that a connection to it, on a port of the policy, arrives at a listener; its own address says
 * which name was meant. The engine looks at the first bytes (TLS: net/hello.h; HTTP: net/httphost.h), resolves the name
 * on the host, refuses addresses that are not public unless they are granted, connects to the very address it checked,
 * and copies bytes with splice(2). Nothing that the box says ever chooses an address.
 *
 * The engine is one process per box, one epoll loop, no threads. It confines itself before the first byte from the box:
 * no privileges, an empty root, a seccomp filter. It ends when its supervisor's end of `control` closes. */
#ifndef IGLOO_NET_ENGINE_H
#define IGLOO_NET_ENGINE_H

#include "base/err.h"
#include "base/str.h"
#include "net/hostname.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	ENGINE_SPARE_SOCKETS = 64, /* as many ports as a policy can have */
	ENGINE_CONNECTIONS_MAX = 16384,
};

/* What the gateway namespace provides; all descriptors but the anchor and `store` become the engine's. */
struct engine_sockets {
	int dns_udp;                     /* bound; -1: none */
	int dns_tcp;                     /* bound, listening; -1: none */
	int spare[ENGINE_SPARE_SOCKETS]; /* TCP, unbound, SO_REUSEADDR; any port may be bound (sysctl) */
	size_t n_spare;
	int every;  /* TCP, bound: whatever the port, all of the box's connections come to it (sys/nft.h); -1: none */
	int anchor; /* in that namespace and for nothing else: the caller keeps it, to find the namespace; -1: none */
	int store;  /* TCP, bound, listening: not for the engine (box/boxstore.h); -1: none */
};
#define ENGINE_SOCKETS_INIT \
	((struct engine_sockets){.dns_udp = -1, .dns_tcp = -1, .every = -1, .anchor = -1, .store = -1})

struct engine_config {
	struct engine_sockets sockets;
	uint32_t base;             /* of the synthetic addresses, host order */
	const struct strv *policy; /* entries (net/policy.h), already checked */
	bool allow_unnamed_tls;    /* TLS without a readable name on port 443: pass (default: refuse) */
	const struct strv *bound;  /* "name:port" of the hosts whose connections the broker gets; NULL: none */
	int broker; /* with `bound`: broker_start()'s socket for it, which becomes the engine's; -1: refuse them */
};

enum engine_reason {
	ENGINE_DENIED_NAME = 1,    /* DNS: the policy does not have the name */
	ENGINE_DENIED_PORT,        /* the name, but not on this port */
	ENGINE_DENIED_ADDRESS,     /* the name resolves to an address that is not public; `detail` is the address */
	ENGINE_DENIED_LITERAL,     /* a connection to an address that no name was given for; host is the address */
	ENGINE_DENIED_TLS_NAME,    /* the ClientHello names another host; `detail` is that name */
	ENGINE_DENIED_TLS_NONE,    /* no ClientHello, none with a name, or an encrypted one, on port 443 */
	ENGINE_DENIED_HTTP_HOST,   /* the request names another host, or is no HTTP; `detail` says which */
	ENGINE_FAILED,             /* allowed, but it cannot be resolved or reached; `detail` says why */
	ENGINE_DENIED_CERTIFICATE, /* a host that has a secret, and no certificate that can be trusted; `detail` says
				      why */
};

/* Details of ENGINE_DENIED_TLS_NONE that allow_unnamed_tls lets pass. */
#define ENGINE_TLS_UNNAMED "TLS without a server name"
#define ENGINE_TLS_HIDDEN "encrypted ClientHello"

/* One message of the engine to its supervisor, on `control` (SOCK_SEQPACKET). Once for each host, port and reason. */
struct engine_event {
	uint32_t reason; /* enum engine_reason */
	uint16_t port;   /* 0: any */
	char host[HOSTNAME_MAX + 1];
	char detail[HOSTNAME_MAX + 1];
};

/* Forks the engine. *ret_control: SOCK_SEQPACKET, non-blocking for the caller; closing it ends the engine. Returns when
 * the engine serves (or its error): the box may start. The sockets are closed here in any case. */
int engine_start(const struct engine_config *config, pid_t *ret_pid, int *ret_control, struct err **e);
/* Replaces the policy of a running engine; connections that it no longer allows are closed. One with a name that is
 * allowed on every port needs such a socket: engine_sockets.every, or engine_add_every() before. -ENETDOWN: the engine
 * has ended. */
int engine_set_policy(int control, const struct strv *policy, struct err **e);
/* The socket becomes the engine's, as engine_sockets.every. */
int engine_add_every(int control, int fd, struct err **e);
/* The host's name servers have changed: their addresses, with commas between them. */
int engine_set_servers(int control, const char *servers);
/* The next event: 1, 0 when there is none now, -EPIPE when the engine has ended. */
int engine_event(int control, struct engine_event *ret);
/* Relays between two connected TCP sockets, the host's and the box's, as any connection; both become the engine's.
 * -EAGAIN when it has too much to read just now: then they stay the caller's. */
int engine_forward(int control, int host_fd, int box_fd);
/* Lets the engine pass on what the box sent until its end, at most so long; the engine ends then, or closing `control`
 * ends it. */
void engine_finish(int control, int timeout_ms);
/* For messages and `igloo why`: "name not allowed", … */
const char *engine_reason_name(enum engine_reason reason);

#endif
