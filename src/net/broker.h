/* The broker: the process that puts secrets into a box's requests, so that the box has none of them.
 *
 * Theory of operation
 *
 *     box ──TLS, by the box's own authority── broker ──TLS, verified── host
 *              placeholder in a header                  the secret in its place
 *
 * A box whose secrets are bound to hosts (`--secret NAME@HOST`) has placeholders: random texts that mean nothing
 * elsewhere. Connections to such a host and port pass the engine (net/engine.h) as any other: the policy, the
 * ClientHello's name, the address that was looked up and checked. Then the engine does not copy bytes but hands both
 * sockets and the ClientHello to the broker (net/handoff.h). The broker answers the box with a certificate of an
 * authority that only this box trusts (net/authority.h), verifies the host as any client would, and reads the requests
 * that pass (net/rewrite.h). Answers pass as they are.
 *
 * Three processes, three powers: the supervisor has neither sockets of the box nor reads its bytes; the engine dials
 * and has no secret; the broker has the secrets and the authority's key and can open nothing: no file, no socket, no
 * name, in a network namespace with nothing in it. A connection that is handed over stays in the engine's tables, which
 * ends it when the policy says so.
 *
 * One process per box, one epoll loop, no threads. It is shut in before the first byte of the box, and ends with its
 * supervisor, or when the engine ends. */
#ifndef IGLOO_NET_BROKER_H
#define IGLOO_NET_BROKER_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

/* One for each host of a secret. The texts and descriptors stay the caller's. */
struct broker_secret {
	const char *name;        /* for errors */
	const char *placeholder; /* what the box has instead */
	int fd;                  /* the value: a memory file */
	const char *host;        /* in normal form */
	uint16_t port;
};

struct broker_config {
	const struct broker_secret *secrets; /* not more than INJECT_MAX for one host and port */
	size_t n;
	const struct str *roots; /* the authorities that hosts are verified by, PEM */
};

/* Forks it. *ret_control: closing it ends the broker. *ret_engine: for the engine (engine_config.broker). *ret_ca: the
 * certificate of the box's authority, PEM, the caller's. -EINVAL for a value that no header can hold. */
int broker_start(const struct broker_config *config, pid_t *ret_pid, int *ret_control, int *ret_engine, char **ret_ca,
		 struct err **e);

#endif
