/* The network policy of a box: what it may reach, by name.
 *
 * Entries (ASCII case and a trailing dot do not matter):
 *
 *     example.org            that name, ports 80 and 443
 *     *.example.org          every name below it, not itself; the same ports
 *     example.org:8443       one port; also *.example.org:22
 *     example.org:*          every port; also *.example.org:*
 *     10.1.2.3:5432          an address, always with a port; also [fd00::1]:5432
 *     10.1.0.0/16:5432       a network, the same; also [fd00::]/8:5432
 *     nix                    what flakes and substituters need (POLICY_NIX in policy.c)
 *     all                    every name, ports 80 and 443, on public addresses only
 *     none                   nothing: what an empty policy means too; beside other entries it changes nothing
 *
 * The words are no hosts: "all:443" is refused. IPv4 mapped into IPv6 is IPv4. Multicast, 0.0.0.0/8 and :: are never
 * granted, not even by a network that has them.
 *
 * A name is refused where it resolves to an address that is not public, unless that address is granted with that port
 * as an address or network entry. Nothing is ever allowed by default. */
#ifndef IGLOO_NET_POLICY_H
#define IGLOO_NET_POLICY_H

#include "base/err.h"
#include "base/str.h"
#include "net/address.h"
#include "net/hostname.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	POLICY_ENTRIES_MAX = 4096,
	POLICY_ENTRY_BYTES_MAX = 300,
	POLICY_PORTS_MAX = 64, /* different ports in one policy */
};

struct policy; /* opaque */

struct policy *policy_new(void);
void policy_free(struct policy *p); /* accepts NULL */
static inline void policy_freep(struct policy **p)
{
	policy_free(*p);
}
#define _cleanup_policy_ ATTR_CLEANUP(policy_freep)

/* Adds an entry. -EINVAL with the position (from 1) and the reason for a malformed one; -E2BIG beyond the limits above;
 * -ELIBACC for a name that is not ASCII, without libidn2. Then the policy is as it was. An entry that allows nothing
 * new does not count. */
int policy_add(struct policy *p, const char *entry, struct err **e);
/* Adds each of `entries` (may be empty) up to the first error. */
int policy_add_all(struct policy *p, const struct strv *entries, struct err **e);
/* Adds the normal form of one entry to *ret, for comparing and storing grants. The shape stays: "example.org:80" is not
 * merged with another port, "example.org" gets none. */
int policy_entry_normalise(const char *entry, struct str *ret, struct err **e);
/* Adds the normal form of each of `entries`. */
int policy_normalise_all(const struct strv *entries, struct strv *to, struct err **e);

bool policy_is_empty(const struct policy *p);
/* May a box learn an address for this name (in hostname.h's form), for some port? */
bool policy_has_name(const struct policy *p, const char *name);
bool policy_allows_name(const struct policy *p, const char *name, uint16_t port);
/* May a box connect to this very address by itself, or through a name that resolves to it? */
bool policy_allows_address(const struct policy *p, const struct address *a, uint16_t port);
/* The ports to listen on, ascending. Returns how many. */
size_t policy_ports(const struct policy *p, uint16_t ret[POLICY_PORTS_MAX]);
/* Has it a name with every port? Then policy_ports() are not all. */
bool policy_every_port(const struct policy *p);
/* The address and network entries, for routes. Returns the number; ret may be NULL to count. */
struct policy_net {
	struct address net;
	unsigned bits;
	uint16_t port;
};
size_t policy_nets(const struct policy *p, struct policy_net *ret, size_t max);

#endif
