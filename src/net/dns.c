/* Theory of operation
 *
 * libc reads and writes names (ns_name_uncompress() and its kin; ns_initparse(), which would read the rest, is in
 * libresolv, and a library more is paid for at every start). The answer is the question's own bytes, as
 * they were spelled, and at most one record, whose name is a pointer to them. So an answer is never much longer than
 * its question, and with a name of 255 octets it stays below the 512 that every client takes. */
#include "net/dns.h"

#include <arpa/nameser.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum {
	TTL = 60,
	TTL_UNKNOWN = 5, /* of a name that is not allowed: it may be granted while its box runs */
	EXTRA_MAX = 8,   /* additional records of a query: an OPT, perhaps a signature */
	POINTER_TO_QUESTION = 0xc000 | NS_HFIXEDSZ,
	RCODE_BADVERS = 16,
};

/* The header's flags (RFC 1035, 4.1.1). */
enum { FLAG_QR = 0x8000, FLAGS_OPCODE = 0x7800, FLAG_RD = 0x0100, FLAG_RA = 0x0080 };

struct question {
	uint16_t id, flags;
	const uint8_t *bytes; /* the section, n of them; NULL where it could not be read */
	size_t n;
	char name[NS_MAXDNAME]; /* "." for the root; odd bytes are escaped */
	uint16_t type;
	uint16_t class;
	bool edns, dnssec_ok;
	uint8_t version;
};

struct record {
	uint16_t type; /* 0: none */
	uint8_t data[NS_MAXCDNAME];
	size_t n;
};

static const uint8_t loopback4[] = {127, 0, 0, 1};
static const uint8_t loopback6[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

static bool is_below(const char *name, const char *zone)
{
	size_t a = strlen(name);
	size_t b = strlen(zone);

	return a >= b && strcmp(name + a - b, zone) == 0 && (a == b || name[a - b - 1] == '.');
}

static void set_record(struct record *r, uint16_t type, const void *data, size_t n)
{
	r->type = type;
	r->n = n;
	memcpy(r->data, data, n);
}

/* The address of "d.c.b.a.in-addr.arpa", in host order: four decimal numbers, each in its shortest form. */
static bool reverse_address(const char *name, uint32_t *ret)
{
	uint32_t address = 0;

	for (unsigned i = 0; i < 4; i++) {
		uint32_t v = 0;
		unsigned digits = 0;

		while (*name >= '0' && *name <= '9' && digits < 3) {
			v = v * 10 + (uint32_t)(*name++ - '0');
			digits++;
		}
		if (digits == 0 || v > 255 || (digits > 1 && v < (digits == 2 ? 10 : 100)) || *name++ != '.')
			return false;
		address |= v << (8 * i);
	}
	*ret = address;
	return strcmp(name, "in-addr.arpa") == 0;
}

static int answer_reverse(const char *name, uint16_t type, const struct dns_lookup *lookup, struct record *ret)
{
	uint32_t address;
	const char *found = reverse_address(name, &address) ? lookup->name(lookup->arg, address) : NULL;
	int n;

	if (!found)
		return ns_r_nxdomain;
	if (type != ns_t_ptr)
		return ns_r_noerror;
	n = ns_name_compress(found, ret->data, sizeof(ret->data), NULL, NULL);
	if (n < 0)
		return ns_r_servfail;
	ret->type = ns_t_ptr;
	ret->n = (size_t)n;
	return ns_r_noerror;
}

/* The RCODE, and the record if there is one. */
static int answer(const struct question *q, const struct dns_lookup *lookup, struct record *ret)
{
	char name[HOSTNAME_MAX + 1];
	uint32_t address;

	/* The root and what is in it are none of a box's business, but it exists. */
	if (strcmp(q->name, ".") == 0)
		return ns_r_noerror;
	/* An escaped byte is none that a host's name has, or a dot within a label. */
	if (strchr(q->name, '\\') || hostname_normalise(q->name, strlen(q->name), name, NULL) < 0)
		return ns_r_nxdomain;
	if (is_below(name, "in-addr.arpa") || is_below(name, "ip6.arpa"))
		return answer_reverse(name, q->type, lookup, ret);
	if (is_below(name, "localhost")) {
		if (q->type == ns_t_a)
			set_record(ret, ns_t_a, loopback4, sizeof(loopback4));
		else if (q->type == ns_t_aaaa)
			set_record(ret, ns_t_aaaa, loopback6, sizeof(loopback6));
		return ns_r_noerror;
	}
	address = lookup->address(lookup->arg, name);
	if (address == 0)
		return ns_r_nxdomain;
	if (q->type == ns_t_a) {
		uint8_t bytes[NS_INADDRSZ] = {(uint8_t)(address >> 24), (uint8_t)(address >> 16),
					      (uint8_t)(address >> 8), (uint8_t)address};

		set_record(ret, ns_t_a, bytes, sizeof(bytes));
	}
	return ns_r_noerror;
}

/* EDNS: at most one OPT, of the root (RFC 6891, 6.1.1); other records are not looked at. The records fill the n bytes
 * at p. */
static int read_extra(const uint8_t *p, size_t n, unsigned count, struct question *q)
{
	if (count > EXTRA_MAX)
		return ns_r_formerr;
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *end = p + n, *name = p;
		const uint8_t *next = p;
		unsigned type, length;
		uint32_t ttl;

		if (ns_name_skip(&next, end) < 0 || end - next < NS_RRFIXEDSZ)
			return ns_r_formerr;
		NS_GET16(type, next);
		next += NS_INT16SZ; /* class: the size of UDP that the client takes; no answer needs more than any does
				     */
		NS_GET32(ttl, next);
		NS_GET16(length, next);
		if (end - next < (ptrdiff_t)length)
			return ns_r_formerr;
		p = next + length;
		n = (size_t)(end - p);
		if (type != ns_t_opt)
			continue;
		if (q->edns || *name != 0)
			return ns_r_formerr;
		q->edns = true;
		q->dnssec_ok = ttl & NS_OPT_DNSSEC_OK;
		q->version = (uint8_t)(ttl >> 16);
	}
	if (n != 0)
		return ns_r_formerr;
	return q->version ? RCODE_BADVERS : ns_r_noerror;
}

/* The RCODE; the question is read as far as it is well-formed. */
static int read_question(const uint8_t *query, size_t n, struct question *q)
{
	const uint8_t *p = query + 2 * NS_INT16SZ;
	unsigned questions, answers, authorities, extra;
	size_t at = NS_HFIXEDSZ;

	if (q->flags & FLAGS_OPCODE)
		return ns_r_notimpl;
	NS_GET16(questions, p);
	NS_GET16(answers, p);
	NS_GET16(authorities, p);
	NS_GET16(extra, p);
	if (questions != 1 || answers != 0 || authorities != 0 ||
	    ns_name_uncompress(query, query + n, p, q->name, sizeof(q->name)) < 0)
		return ns_r_formerr;
	/* A pointer would mean something else in the answer. The bounds were checked just now. */
	while (query[at] != 0) {
		if (query[at] & NS_CMPRSFLGS)
			return ns_r_formerr;
		at += query[at] + 1U;
	}
	p = query + ++at;
	if (n - at < NS_QFIXEDSZ)
		return ns_r_formerr;
	NS_GET16(q->type, p);
	NS_GET16(q->class, p);
	at += NS_QFIXEDSZ;
	q->bytes = query + NS_HFIXEDSZ;
	q->n = at - NS_HFIXEDSZ;
	return read_extra(p, n - at, extra, q);
}

static void put16(uint8_t **to, unsigned v)
{
	NS_PUT16(v, *to);
}

static void put32(uint8_t **to, uint32_t v)
{
	NS_PUT32(v, *to);
}

/* The root's SOA (RFC 2308, 3): it only says how long to remember that there is nothing. */
static void put_soa(uint8_t **to, uint32_t ttl)
{
	*(*to)++ = 0;
	put16(to, ns_t_soa);
	put16(to, ns_c_in);
	put32(to, ttl);
	put16(to, 2 + 5 * NS_INT32SZ);
	*(*to)++ = 0; /* its server and its mailbox: the root */
	*(*to)++ = 0;
	put32(to, 1);     /* serial */
	put32(to, 3600);  /* refresh */
	put32(to, 600);   /* retry */
	put32(to, 86400); /* expire */
	put32(to, ttl);   /* minimum */
}

static void put_opt(uint8_t **to, const struct question *q, unsigned rcode)
{
	*(*to)++ = 0;
	put16(to, ns_t_opt);
	put16(to, DNS_ANSWER_MAX);
	put32(to, (uint32_t)rcode >> 4 << 24 | (q->dnssec_ok ? NS_OPT_DNSSEC_OK : 0));
	put16(to, 0);
}

static size_t write_answer(const struct question *q, unsigned rcode, const struct record *r, uint8_t *ret)
{
	bool negative = q->bytes && !r->type && (rcode == ns_r_noerror || rcode == ns_r_nxdomain);
	uint8_t *to = ret;

	put16(&to, q->id);
	put16(&to, FLAG_QR | FLAG_RA | (q->flags & (FLAGS_OPCODE | FLAG_RD)) | (rcode & 15));
	put16(&to, q->bytes ? 1 : 0);
	put16(&to, r->type ? 1 : 0);
	put16(&to, negative);
	put16(&to, q->edns);
	if (q->bytes) {
		memcpy(to, q->bytes, q->n);
		to += q->n;
	}
	if (r->type) {
		put16(&to, POINTER_TO_QUESTION);
		put16(&to, r->type);
		put16(&to, ns_c_in);
		put32(&to, TTL);
		put16(&to, (unsigned)r->n);
		memcpy(to, r->data, r->n);
		to += r->n;
	}
	if (negative)
		put_soa(&to, rcode == ns_r_nxdomain ? TTL_UNKNOWN : TTL);
	if (q->edns)
		put_opt(&to, q, rcode);
	return (size_t)(to - ret);
}

size_t dns_answer(const uint8_t *query, size_t n, const struct dns_lookup *lookup, uint8_t ret[DNS_ANSWER_MAX])
{
	const uint8_t *p = query;
	struct question q = {0};
	struct record r = {0};
	int rcode;

	/* An answer is not answered: two servers could go on forever. */
	if (n < NS_HFIXEDSZ || n > DNS_QUERY_MAX || query[2] & 0x80)
		return 0;
	NS_GET16(q.id, p);
	NS_GET16(q.flags, p);
	rcode = read_question(query, n, &q);
	if (rcode == ns_r_noerror)
		rcode = q.class == ns_c_in ? answer(&q, lookup, &r) : ns_r_refused;
	return write_answer(&q, (unsigned)rcode, &r, ret);
}
