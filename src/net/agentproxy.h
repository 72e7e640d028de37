/* The process between a box and the user's SSH agent.
 *
 * Theory of operation
 *
 *     box: ssh ── socket in the box's /run ─ supervisor ── both ends ──> this process ── the user's agent
 *
 * The supervisor accepts and connects, and reads not a byte: for each connection of the box it makes one to the agent,
 * because an agent keeps what a connection is bound to (session-bind@openssh.com). Both go to this process, which takes
 * one request after the other, refuses all but those that net/agentmsg.h lets pass, and reports how many signatures
 * each key has made. It is forked by the first connection and shuts itself in (sys/confine.h): it has no name of
 * anything, no secret, and may read, write and close what it was handed, and not even make a socket.
 *
 * While a connection waits for the agent, which may ask the user or want a touch of a key, it waits for nothing else;
 * others go on. */
#ifndef IGLOO_NET_AGENTPROXY_H
#define IGLOO_NET_AGENTPROXY_H

#include "base/err.h"
#include "net/agentmsg.h"
#include "sys/confine.h"

#include <sys/types.h>

/* At a time; further ones wait in the box's listening socket. Each is a descriptor of the agent's, too. */
enum { AGENTPROXY_CONNECTIONS_MAX = 128 };

/* Signatures so far, by the index of the key. */
struct agentproxy_totals {
	uint32_t signatures[AGENTMSG_KEYS_MAX];
};

/* What it is shut in by: no names, no sockets but those it has (agent_rules.h), nothing in its network. */
extern const struct confine agentproxy_walls;

/* Forks it. *ret_control: SOCK_SEQPACKET, non-blocking; closing it ends the process. */
int agentproxy_start(const struct agentmsg_keys *keys, pid_t *ret_pid, int *ret_control, struct err **e);
/* Hands over two connected, non-blocking sockets, the box's and the agent's; -1 for one that is not to be had: then the
 * box gets a failure for every request. Both are closed here, but with -EAGAIN, when the process is busy. */
int agentproxy_serve(int control, int box_fd, int agent_fd);
/* The newest totals: 1, 0 when there are none now, -EPIPE when the process has ended. */
int agentproxy_totals(int control, struct agentproxy_totals *ret);
/* Ends it; what it has to tell can be read afterwards, up to its end. */
void agentproxy_finish(int control, int timeout_ms);

#endif
