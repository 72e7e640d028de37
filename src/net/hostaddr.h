/* The host's own addresses, kept current: the kernel says when one comes or goes (rtnetlink(7)), so that a temporary
 * IPv6 address of today is known tomorrow, too. */
#ifndef IGLOO_NET_HOSTADDR_H
#define IGLOO_NET_HOSTADDR_H

#include "base/err.h"
#include "net/address.h"

struct hostaddr;

int hostaddr_new(struct hostaddr **ret, struct err **e);
void hostaddr_free(struct hostaddr *h); /* accepts NULL */
/* Readable when something changed: call hostaddr_changed() then. */
int hostaddr_fd(const struct hostaddr *h);
void hostaddr_changed(struct hostaddr *h);
/* Is this an address of one of the host's interfaces? */
bool hostaddr_has(struct hostaddr *h, const struct address *a);

#endif
