/* One entry of a policy, read from its text and written in normal form (the forms: policy.h). */
#ifndef IGLOO_NET_POLICYENTRY_H
#define IGLOO_NET_POLICYENTRY_H

#include "net/policy.h"

enum policyentry_kind {
	POLICYENTRY_NAME,
	POLICYENTRY_BELOW, /* "*." and a name */
	POLICYENTRY_NET,
	POLICYENTRY_NIX,
	POLICYENTRY_ALL,
	POLICYENTRY_NONE,
};

struct policyentry {
	enum policyentry_kind kind;
	char name[HOSTNAME_MAX + 1]; /* of _NAME; of _BELOW without "*."; else "" */
	struct address net;          /* of _NET: no bits behind the first `bits`; IPv4 where it was mapped into IPv6 */
	unsigned bits;
	uint16_t port;   /* 0: none was given */
	bool every_port; /* ":*"; of _NAME and _BELOW */
};

/* Errors as policy_add()'s. */
int policyentry_parse(const char *text, struct policyentry *ret, struct err **e);
/* Adds the normal form, which reads back as the same. */
void policyentry_write(const struct policyentry *entry, struct str *s);
/* No policy grants this address: nobody can be connected to there (multicast), or it is another spelling of the host's
 * loopback (0.0.0.0, ::). */
bool policyentry_never(const struct address *a);
/* -E2BIG for an entry. */
int policyentry_refuse_size(struct err **e, const char *entry, const char *why);

#endif
