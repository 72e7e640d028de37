/* Looking up names on the host's network: c-ares (loaded with dlopen), which reads /etc/resolv.conf and /etc/hosts and
 * blocks never. IPv4 and IPv6. */
#ifndef IGLOO_NET_RESOLVER_H
#define IGLOO_NET_RESOLVER_H

#include "base/err.h"
#include "net/address.h"

enum { RESOLVER_ADDRESSES_MAX = 32, RESOLVER_PENDING_MAX = 1024 };

struct resolver;

/* Reads the host's configuration: call it before the process confines itself. `epoll_fd` is told of the resolver's
 * sockets with their descriptor in epoll_data's upper half and RESOLVER_TAG in the lower. */
enum { RESOLVER_TAG = 1 };
int resolver_new(int epoll_fd, struct resolver **ret, struct err **e);
void resolver_free(struct resolver *r); /* accepts NULL; calls what is pending with -ECANCELED */
/* Calls done(arg, 0, addresses, n) with 1 to RESOLVER_ADDRESSES_MAX addresses (more are dropped), or with -ENOENT (no
 * such name), -EIO, -ETIMEDOUT; perhaps before it returns. -EBUSY when too many are pending: done is not called. The
 * answer is kept for the TTL, at least 5 s and at most 300 s. Two questions for one name are one. */
int resolver_start(struct resolver *r, const char *name,
		   void (*done)(void *arg, int result, const struct address *addresses, size_t n), void *arg);
/* Forgets `arg`: its done is not called any more. */
void resolver_cancel(struct resolver *r, void *arg);
/* From now on it asks these servers: n bytes, addresses with commas between them; those that are none are left out, and
 * when none is left nothing changes. What is pending is asked again, what was kept is forgotten. */
void resolver_use(struct resolver *r, const char *servers, size_t n);
/* An epoll event of one of its sockets; and its timers: milliseconds until resolver_timeout() wants to be called. */
void resolver_event(struct resolver *r, int fd, unsigned events);
int resolver_wait_ms(struct resolver *r); /* -1: no timer */
void resolver_timeout(struct resolver *r);

#endif
