/* DNS, as the server of one box: one question in, one answer out, nothing kept.
 *
 * Names on the wire are libc's affair (ns_name_uncompress() and friends, arpa/nameser.h); here is what is answered:
 *   A      of a name the policy has: its synthetic address, TTL 60
 *   AAAA, and any other type of such a name: no data (NOERROR, empty), so that programs use the A at once
 *   PTR    of a synthetic address: its name; of another address: NXDOMAIN
 *   any type of another name: NXDOMAIN, with a SOA so that resolvers cache it; localhost and *.localhost: loopback
 *   malformed: FORMERR, or no answer where not even the header is there; not a query, or not class IN: NOTIMP, REFUSED
 * EDNS (RFC 6891): an OPT is answered by one; unknown options are ignored. */
#ifndef IGLOO_NET_DNS_H
#define IGLOO_NET_DNS_H

#include "net/hostname.h"

#include <stddef.h>
#include <stdint.h>

enum { DNS_QUERY_MAX = 65535, DNS_ANSWER_MAX = 1232 };

struct dns_lookup {
	/* The synthetic address (host order) of a name in normal form; 0: not allowed. */
	uint32_t (*address)(void *arg, const char *name);
	/* The name of a synthetic address; NULL: none. */
	const char *(*name)(void *arg, uint32_t address);
	void *arg;
};

/* Writes the answer to the n bytes of `query` and returns its length; 0: no answer. */
size_t dns_answer(const uint8_t *query, size_t n, const struct dns_lookup *lookup, uint8_t ret[DNS_ANSWER_MAX]);

#endif
