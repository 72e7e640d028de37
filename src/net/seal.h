/* The engine shuts itself in, before the first byte from the box.
 *
 * What it keeps is what it needs for work: the sockets it has, new TCP and UDP sockets in the host's network, and a
 * root with copies of the host's /etc/hosts and /etc/resolv.conf. Everything else that could be asked of the kernel
 * goes: mounts, IPC, capabilities, other uids, executables, new processes, files, and most system calls (seal_rules.h).
 * Libraries are loaded before: the root has none. */
#ifndef IGLOO_NET_SEAL_H
#define IGLOO_NET_SEAL_H

#include "base/err.h"

/* For good. Fails where a part of it cannot be had; nothing is left out silently but this: a caller that is root and
 * whose user namespace has no uid 65534 keeps its uid (it is an ordinary user outside of that namespace). */
int seal_close(struct err **e);
/* The same for the process of net/agentproxy.h, which needs less: no names, and no new sockets (agent_rules.h). */
int seal_close_agent(struct err **e);
/* The same for the process of net/broker.h, which needs less: no names, no new sockets (broker_rules.h), and a network
 * of its own with nothing in it. */
int seal_close_broker(struct err **e);

#endif
