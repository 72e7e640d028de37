/* IP addresses, and which of them a box may reach without being told so explicitly. */
#ifndef IGLOO_NET_ADDRESS_H
#define IGLOO_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct address {
	sa_family_t family; /* AF_INET or AF_INET6 */
	uint8_t bytes[16];  /* network order; 4 of them for AF_INET */
};

/* The IANA special-purpose registries (RFC 6890 and its updates). */
enum address_class {
	ADDRESS_PUBLIC,
	ADDRESS_THIS_HOST,  /* 0/8, :: */
	ADDRESS_LOOPBACK,   /* 127/8, ::1 */
	ADDRESS_LINK_LOCAL, /* 169.254/16 with the clouds' metadata services, Azure's 168.63.129.16, fe80::/10 */
	ADDRESS_PRIVATE,    /* RFC 1918, 100.64/10, fc00::/7, fec0::/10 */
	ADDRESS_SPECIAL,    /* documentation, benchmarking (198.18/15), protocol assignments, 64:ff9b:1::/48, discard */
	ADDRESS_MULTICAST,
	ADDRESS_RESERVED, /* 240/4, broadcast, unassigned IPv6 outside 2000::/3 */
};

/* Strictly as inet_pton(3) reads it, so without a scope; IPv6 may stand in brackets. The n bytes need no NUL. */
bool address_parse(const char *text, size_t n, struct address *ret);
/* As RFC 5952 writes it, with the NUL. */
enum { ADDRESS_TEXT_MAX = 46 };
void address_format(const struct address *a, char ret[ADDRESS_TEXT_MAX]);
/* The family is AF_UNSPEC for another one. */
void address_from_sockaddr(const struct sockaddr_storage *from, struct address *ret);
/* Returns the length of the address in *to. */
socklen_t address_to_sockaddr(const struct address *a, uint16_t port, struct sockaddr_storage *to);
/* An IPv4 address inside IPv6 (mapped ::ffff/96, compatible ::/96, NAT64 64:ff9b::/96, 6to4 2002::/16, Teredo) has the
 * class of the IPv4 address; with Teredo's two, that of the client unless only the server's is not public. A translator
 * may also use a prefix of its own network (RFC 6052): such addresses cannot be told from others. */
enum address_class address_class(const struct address *a);
const char *address_class_name(enum address_class c); /* "private", "loopback", … */
bool address_equal(const struct address *a, const struct address *b);
/* Whether the first `bits` bits of the two agree. false for different families. */
bool address_in(const struct address *a, const struct address *net, unsigned bits);
/* 32 or 128; 0 for neither family. */
unsigned address_width(const struct address *a);
/* Clears all bits but the first `bits`. */
void address_mask(struct address *a, unsigned bits);
/* Replaces a mapped address (::ffff/96) by the IPv4 one; false, and nothing done, for any other. */
enum { ADDRESS_MAPPED_BITS = 96 };
bool address_unmap(struct address *a);

#endif
