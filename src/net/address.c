#include "net/address.h"

#include "base/mem.h"

#include <arpa/inet.h>

enum { IPV4_BITS = 32, IPV6_BITS = 128 };

/* The first entry that has an address decides; an address in none is public. Where the registries say that a block
 * inside another is globally reachable, it stands before it. */
static const struct {
	uint8_t net[4];
	uint8_t bits;
	uint8_t class;
} ranges4[] = {
	/* https://www.iana.org/assignments/iana-ipv4-special-registry */
	{{0}, 8, ADDRESS_THIS_HOST},           /* "this network", RFC 791, 3.2; Linux connects 0.0.0.0 to itself */
	{{10}, 8, ADDRESS_PRIVATE},            /* RFC 1918 */
	{{100, 64}, 10, ADDRESS_PRIVATE},      /* shared address space, RFC 6598; a cloud's 100.100.100.200 */
	{{127}, 8, ADDRESS_LOOPBACK},          /* RFC 1122, 3.2.1.3 */
	{{169, 254}, 16, ADDRESS_LINK_LOCAL},  /* RFC 3927 */
	{{172, 16}, 12, ADDRESS_PRIVATE},      /* RFC 1918 */
	{{192, 0, 0}, 24, ADDRESS_SPECIAL},    /* protocol assignments, RFC 6890; anycast inside, RFC 7723, 8155 */
	{{192, 0, 2}, 24, ADDRESS_SPECIAL},    /* documentation, RFC 5737 */
	{{192, 88, 99}, 24, ADDRESS_SPECIAL},  /* 6to4 relays, deprecated by RFC 7526 */
	{{192, 168}, 16, ADDRESS_PRIVATE},     /* RFC 1918 */
	{{198, 18}, 15, ADDRESS_SPECIAL},      /* benchmarking, RFC 2544 */
	{{198, 51, 100}, 24, ADDRESS_SPECIAL}, /* documentation, RFC 5737 */
	{{203, 0, 113}, 24, ADDRESS_SPECIAL},  /* the same */
	{{224}, 4, ADDRESS_MULTICAST},         /* RFC 5771 */
	{{240}, 4, ADDRESS_RESERVED},          /* RFC 1112, 4; with the broadcast address, RFC 919 */
	/* In no registry: Azure's platform service, which knows its virtual machine by the sender's address alone. */
	{{168, 63, 129, 16}, 32, ADDRESS_LINK_LOCAL},
	/* Globally reachable, so public: 192.31.196/24 and 192.175.48/24 (AS112, RFC 7535, 7534), 192.52.193/24 (AMT,
	 * RFC 7450). */
};

/* IPv4 addresses inside IPv6 are looked for before this table. */
static const struct {
	uint16_t net[8];
	uint8_t bits;
	uint8_t class;
} ranges6[] = {
	/* https://www.iana.org/assignments/iana-ipv6-special-registry */
	{{0x2001, 0x3}, 32, ADDRESS_PUBLIC},        /* AMT, RFC 7450 */
	{{0x2001, 0x4, 0x112}, 48, ADDRESS_PUBLIC}, /* AS112, RFC 7535 */
	{{0x2001}, 23, ADDRESS_SPECIAL},            /* protocol assignments, RFC 2928: benchmarking (RFC 5180), ORCHID
						     * (RFC 4843, 7343), drone identifiers (RFC 9374), anycast
						     * (RFC 7723, 8155, 9665) */
	{{0x2001, 0xdb8}, 32, ADDRESS_SPECIAL},     /* documentation, RFC 3849 */
	{{0x3fff}, 20, ADDRESS_SPECIAL},            /* documentation, RFC 9637 */
	{{0x2000}, 3, ADDRESS_PUBLIC},              /* global unicast, RFC 4291, 2.4; AS112's 2620:4f:8000::/48 too */
	{{0x64, 0xff9b, 0x1}, 48, ADDRESS_SPECIAL}, /* translation inside one network, RFC 8215 */
	{{0x100}, 64, ADDRESS_SPECIAL},             /* discard-only, RFC 6666 */
	{{0x100, 0, 0, 0x1}, 64, ADDRESS_SPECIAL},  /* dummy prefix, RFC 9780 */
	{{0x5f00}, 16, ADDRESS_SPECIAL},            /* segment routing, RFC 9602 */
	{{0xfc00}, 7, ADDRESS_PRIVATE},             /* unique local, RFC 4193 */
	{{0xfe80}, 10, ADDRESS_LINK_LOCAL},         /* RFC 4291, 2.5.6 */
	{{0xfec0}, 10, ADDRESS_PRIVATE},            /* site-local, deprecated by RFC 3879 */
	{{0xff00}, 8, ADDRESS_MULTICAST},           /* RFC 4291, 2.7 */
	{{0}, 0, ADDRESS_RESERVED},                 /* RFC 4291, 2.4 and IANA's ipv6-address-space */
};

/* Where an IPv4 address is inside an IPv6 one: its first byte, and whether its bits are turned over. */
static const struct {
	uint16_t net[8];
	uint8_t bits;
	uint8_t at;
	uint8_t flip;
} embedded[] = {
	{{0}, 96, 12, 0},                     /* compatible, RFC 4291, 2.5.5.1; after :: and ::1 */
	{{0, 0, 0, 0, 0, 0xffff}, 96, 12, 0}, /* mapped, RFC 4291, 2.5.5.2 */
	{{0x64, 0xff9b}, 96, 12, 0},          /* NAT64, RFC 6052 */
	{{0x2002}, 16, 2, 0},                 /* 6to4, RFC 3056 */
	{{0x2001}, 32, 12, 0xff},             /* Teredo's client, RFC 4380, 4 */
	{{0x2001}, 32, 4, 0},                 /* and its server */
};

static bool bits_agree(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

static bool in_groups(const uint8_t bytes[16], const uint16_t groups[8], unsigned bits)
{
	uint8_t net[16];

	for (size_t i = 0; i < 8; i++) {
		net[2 * i] = (uint8_t)(groups[i] >> 8);
		net[2 * i + 1] = (uint8_t)groups[i];
	}
	return bits_agree(bytes, net, bits);
}

unsigned address_width(const struct address *a)
{
	return a->family == AF_INET ? IPV4_BITS : a->family == AF_INET6 ? IPV6_BITS : 0;
}

bool address_parse(const char *text, size_t n, struct address *ret)
{
	struct address a = {0};
	char copy[ADDRESS_TEXT_MAX];
	bool bracketed = n > 2 && text[0] == '[' && text[n - 1] == ']';

	if (bracketed) {
		text++;
		n -= 2;
	}
	if (n >= sizeof(copy) || memchr(text, '\0', n))
		return false;
	memcpy(copy, text, n);
	copy[n] = '\0';
	a.family = bracketed || memchr(copy, ':', n) ? AF_INET6 : AF_INET;
	if (inet_pton(a.family, copy, a.bytes) != 1)
		return false;
	*ret = a;
	return true;
}

void address_format(const struct address *a, char ret[ADDRESS_TEXT_MAX])
{
	/* glibc's and musl's inet_ntop(3) write what RFC 5952 recommends. */
	if (!inet_ntop(a->family, a->bytes, ret, ADDRESS_TEXT_MAX))
		(void)snprintf(ret, ADDRESS_TEXT_MAX, "no address");
}

void address_from_sockaddr(const struct sockaddr_storage *from, struct address *ret)
{
	*ret = (struct address){0};
	if (from->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, from, sizeof(in));
		memcpy(ret->bytes, &in.sin_addr, sizeof(in.sin_addr));
	} else if (from->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, from, sizeof(in6));
		memcpy(ret->bytes, &in6.sin6_addr, sizeof(in6.sin6_addr));
	} else {
		return;
	}
	ret->family = from->ss_family;
}

socklen_t address_to_sockaddr(const struct address *a, uint16_t port, struct sockaddr_storage *to)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	*to = (struct sockaddr_storage){0};
	if (a->family == AF_INET) {
		memcpy(&in.sin_addr, a->bytes, sizeof(in.sin_addr));
		memcpy(to, &in, sizeof(in));
		return sizeof(in);
	}
	if (a->family != AF_INET6)
		return 0;
	memcpy(&in6.sin6_addr, a->bytes, sizeof(in6.sin6_addr));
	memcpy(to, &in6, sizeof(in6));
	return sizeof(in6);
}

static enum address_class class4(const uint8_t bytes[4])
{
	for (size_t i = 0; i < ARRAY_SIZE(ranges4); i++)
		if (bits_agree(bytes, ranges4[i].net, ranges4[i].bits))
			return (enum address_class)ranges4[i].class;
	return ADDRESS_PUBLIC;
}

/* The class of the IPv4 addresses inside, the first that is not public. Returns false without one. */
static bool class_inside(const uint8_t bytes[16], enum address_class *ret)
{
	bool found = false;

	*ret = ADDRESS_PUBLIC;
	for (size_t i = 0; i < ARRAY_SIZE(embedded) && *ret == ADDRESS_PUBLIC; i++) {
		uint8_t inside[4];

		if (!in_groups(bytes, embedded[i].net, embedded[i].bits))
			continue;
		for (size_t k = 0; k < sizeof(inside); k++)
			inside[k] = bytes[embedded[i].at + k] ^ embedded[i].flip;
		*ret = class4(inside);
		found = true;
	}
	return found;
}

static enum address_class class6(const uint8_t bytes[16])
{
	enum address_class inside;

	if (memcmp(bytes, &in6addr_any, 16) == 0)
		return ADDRESS_THIS_HOST;
	if (memcmp(bytes, &in6addr_loopback, 16) == 0)
		return ADDRESS_LOOPBACK;
	if (class_inside(bytes, &inside))
		return inside;
	for (size_t i = 0; i < ARRAY_SIZE(ranges6); i++)
		if (in_groups(bytes, ranges6[i].net, ranges6[i].bits))
			return (enum address_class)ranges6[i].class;
	return ADDRESS_RESERVED;
}

enum address_class address_class(const struct address *a)
{
	if (a->family == AF_INET)
		return class4(a->bytes);
	return a->family == AF_INET6 ? class6(a->bytes) : ADDRESS_RESERVED;
}

const char *address_class_name(enum address_class c)
{
	static const char *const names[] = {
		[ADDRESS_PUBLIC] = "public",       [ADDRESS_THIS_HOST] = "this host",
		[ADDRESS_LOOPBACK] = "loopback",   [ADDRESS_LINK_LOCAL] = "link-local",
		[ADDRESS_PRIVATE] = "private",     [ADDRESS_SPECIAL] = "special-purpose",
		[ADDRESS_MULTICAST] = "multicast", [ADDRESS_RESERVED] = "reserved",
	};

	return names[c];
}

bool address_equal(const struct address *a, const struct address *b)
{
	return address_in(a, b, address_width(b));
}

bool address_in(const struct address *a, const struct address *net, unsigned bits)
{
	return a->family == net->family && bits <= address_width(net) && bits_agree(a->bytes, net->bytes, bits);
}

void address_mask(struct address *a, unsigned bits)
{
	for (unsigned i = bits; i < address_width(a); i++)
		a->bytes[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

bool address_unmap(struct address *a)
{
	static const struct address mapped = {AF_INET6, {[10] = 0xff, [11] = 0xff}};
	struct address v4 = {.family = AF_INET};

	if (!address_in(a, &mapped, ADDRESS_MAPPED_BITS))
		return false;
	memcpy(v4.bytes, a->bytes + ADDRESS_MAPPED_BITS / 8, 4);
	*a = v4;
	return true;
}
