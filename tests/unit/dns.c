#include "net/dns.h"
#include "net/hostname.h"
#include "net/synth.h"
#include "test.h"

#include <arpa/nameser.h>
#include <stdbool.h>
#include <stdint.h>

enum { BASE = 0xc6120000, RD = 0x0100 };

static struct synth *table;

static uint32_t address(void *arg, const char *name)
{
	bool allowed = strcmp(name, "example.org") == 0 || strstr(name, "many") ||
		       strcmp(name + (strlen(name) > 12 ? strlen(name) - 12 : 0), ".example.org") == 0;

	return allowed ? synth_address(arg, name) : 0;
}

static const char *name_of(void *arg, uint32_t v)
{
	return synth_name(arg, v);
}

static struct dns_lookup lookup(void)
{
	if (!table)
		table = synth_new(BASE);
	return (struct dns_lookup){address, name_of, table};
}

struct query {
	uint8_t bytes[2048];
	size_t n;
};

static void put(struct query *q, const void *bytes, size_t n)
{
	memcpy(q->bytes + q->n, bytes, n);
	q->n += n;
}

static void put16(struct query *q, unsigned v)
{
	uint8_t b[] = {(uint8_t)(v >> 8), (uint8_t)v};

	put(q, b, 2);
}

static void put_header(struct query *q, unsigned flags, unsigned qd, unsigned ar)
{
	q->n = 0;
	put16(q, 0xbeef);
	put16(q, flags);
	put16(q, qd);
	put16(q, 0);
	put16(q, 0);
	put16(q, ar);
}

/* "a.b" as labels; the case is kept. */
static void put_name(struct query *q, const char *name)
{
	while (*name) {
		uint8_t n = (uint8_t)strcspn(name, ".");

		put(q, &n, 1);
		put(q, name, n);
		name += n + (name[n] == '.');
	}
	put(q, "", 1);
}

static void put_opt(struct query *q, unsigned version, unsigned flags)
{
	put(q, "\0\0\51\20\0\0", 6);
	put(q, &(uint8_t){(uint8_t)version}, 1);
	put16(q, flags);
	put16(q, 4 + 8);
	put(q, "\0\12\0\10cookie!!", 12);
}

static struct query ask(const char *name, unsigned type)
{
	struct query q;

	put_header(&q, RD, 1, 0);
	put_name(&q, name);
	put16(&q, type);
	put16(&q, ns_c_in);
	return q;
}

static uint8_t out[DNS_ANSWER_MAX];
static ns_msg msg;

/* The RCODE; checks what is so of every answer. */
static int run(const struct query *q)
{
	struct dns_lookup l = lookup();
	size_t n = dns_answer(q->bytes, q->n, &l, out);

	CHECK(n >= NS_HFIXEDSZ && n <= NS_PACKETSZ);
	CHECK(ns_initparse(out, (int)n, &msg) == 0);
	CHECK(ns_msg_id(msg) == 0xbeef && ns_msg_getflag(msg, ns_f_qr));
	CHECK(ns_msg_getflag(msg, ns_f_rd) && ns_msg_getflag(msg, ns_f_ra) && !ns_msg_getflag(msg, ns_f_tc));
	return ns_msg_getflag(msg, ns_f_rcode);
}

static ns_rr record(ns_sect section, int i)
{
	ns_rr rr;

	CHECK(ns_parserr(&msg, section, i, &rr) == 0);
	return rr;
}

TEST(an_allowed_name_has_one_address)
{
	struct query q = ask("eXample.ORG", ns_t_a);
	uint32_t v;
	ns_rr rr;

	CHECK(run(&q) == ns_r_noerror);
	CHECK(ns_msg_count(msg, ns_s_qd) == 1 && ns_msg_count(msg, ns_s_an) == 1);
	CHECK(ns_msg_count(msg, ns_s_ns) == 0 && ns_msg_count(msg, ns_s_ar) == 0);
	CHECK(memcmp(out + NS_HFIXEDSZ, q.bytes + NS_HFIXEDSZ, q.n - NS_HFIXEDSZ) == 0); /* the case, too */
	rr = record(ns_s_an, 0);
	CHECK_STR(ns_rr_name(rr), "eXample.ORG");
	CHECK(ns_rr_type(rr) == ns_t_a && ns_rr_class(rr) == ns_c_in && ns_rr_ttl(rr) == 60 && ns_rr_rdlen(rr) == 4);
	v = (uint32_t)ns_get32(ns_rr_rdata(rr));
	CHECK_STR(synth_name(table, v), "example.org");
	CHECK(run(&q) == ns_r_noerror && ns_get32(ns_rr_rdata(record(ns_s_an, 0))) == v);
}

TEST(other_types_of_it_have_no_data)
{
	static const int types[] = {ns_t_aaaa, ns_t_mx, ns_t_txt, ns_t_any, 65 /* HTTPS */, ns_t_axfr};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct query q = ask("example.org", (unsigned)types[i]);
		ns_rr rr;

		CHECK(run(&q) == ns_r_noerror && ns_msg_count(msg, ns_s_an) == 0);
		CHECK(ns_msg_count(msg, ns_s_ns) == 1);
		rr = record(ns_s_ns, 0);
		CHECK(ns_rr_type(rr) == ns_t_soa && rr.name[0] == (rr.name[1] ? 0 : rr.name[0]));
		CHECK(ns_rr_rdlen(rr) == 22);
	}
}

TEST(other_names_do_not_exist)
{
	static const char *const names[] = {"example.com", "xexample.org",   "org", "localhost.example.com", "127.1",
					    "1.2.3.4",     "a_b.example.com"};
	size_t before = synth_count(table);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct query q = ask(names[i], i % 2 ? ns_t_a : ns_t_aaaa);

		CHECK(run(&q) == ns_r_nxdomain && ns_msg_count(msg, ns_s_an) == 0 && ns_msg_count(msg, ns_s_ns) == 1);
	}
	CHECK(synth_count(table) == before);
}

TEST(bytes_that_no_host_has)
{
	/* A dot in a label, a NUL, a backslash, UTF-8, '@'. */
	static const struct {
		const char *wire;
		size_t n;
	} names[] = {{"\13example.org\0", 13},      {"\10examp\0le\3org\0", 14},
		     {"\10exampl\\e\3org\0", 14},   {"\3m\303\244\7example\3org\0", 17},
		     {"\3a@b\7example\3org\0", 17}, {"\1*\7example\3org\0", 15}};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct query q;

		put_header(&q, RD, 1, 0);
		put(&q, names[i].wire, names[i].n);
		put16(&q, ns_t_a);
		put16(&q, ns_c_in);
		CHECK(run(&q) == ns_r_nxdomain);
	}
}

TEST(localhost)
{
	struct query q = ask("LOCALHOST", ns_t_a);

	CHECK(run(&q) == ns_r_noerror && ns_get32(ns_rr_rdata(record(ns_s_an, 0))) == 0x7f000001);
	q = ask("a.b.localhost", ns_t_aaaa);
	CHECK(run(&q) == ns_r_noerror && ns_rr_rdlen(record(ns_s_an, 0)) == 16);
	CHECK(ns_rr_rdata(record(ns_s_an, 0))[15] == 1);
	q = ask("localhost", ns_t_mx);
	CHECK(run(&q) == ns_r_noerror && ns_msg_count(msg, ns_s_an) == 0);
	q = ask("notlocalhost", ns_t_a);
	CHECK(run(&q) == ns_r_nxdomain);
}

TEST(reverse)
{
	static const char *const unknown[] = {"2.0.18.198.in-addr.arpa",
					      "1.0.0.127.in-addr.arpa",
					      "in-addr.arpa",
					      "1.18.198.in-addr.arpa",
					      "01.1.18.198.in-addr.arpa",
					      "1.1.18.454.in-addr.arpa",
					      "x.1.1.18.198.in-addr.arpa",
					      "1.ip6.arpa"};
	struct query q = ask("example.org", ns_t_a);
	char name[NS_MAXDNAME];

	CHECK(run(&q) == ns_r_noerror && ns_get32(ns_rr_rdata(record(ns_s_an, 0))) == BASE + 257);
	q = ask("1.1.18.198.In-Addr.arpa", ns_t_ptr);
	CHECK(run(&q) == ns_r_noerror && ns_msg_count(msg, ns_s_an) == 1);
	CHECK(ns_name_uncompress(ns_msg_base(msg), ns_msg_end(msg), ns_rr_rdata(record(ns_s_an, 0)), name,
				 sizeof(name)) > 0);
	CHECK_STR(name, "example.org");
	q = ask("1.1.18.198.in-addr.arpa", ns_t_a);
	CHECK(run(&q) == ns_r_noerror && ns_msg_count(msg, ns_s_an) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		q = ask(unknown[i], ns_t_ptr);
		CHECK(run(&q) == ns_r_nxdomain);
	}
}

TEST(the_root_exists)
{
	struct query q = ask("", ns_t_ns);

	CHECK(run(&q) == ns_r_noerror && ns_msg_count(msg, ns_s_an) == 0);
}

TEST(edns)
{
	struct query q = ask("example.org", ns_t_a);
	ns_rr rr;

	q.bytes[11] = 1;
	put_opt(&q, 0, 0x8000);
	CHECK(run(&q) == ns_r_noerror && ns_msg_count(msg, ns_s_an) == 1 && ns_msg_count(msg, ns_s_ar) == 1);
	rr = record(ns_s_ar, 0);
	CHECK(ns_rr_type(rr) == ns_t_opt && (int)ns_rr_class(rr) == DNS_ANSWER_MAX && ns_rr_ttl(rr) == 0x8000);
	CHECK(ns_rr_rdlen(rr) == 0);
	q = ask("example.org", ns_t_a);
	q.bytes[11] = 1;
	put_opt(&q, 1, 0);
	CHECK(run(&q) == 0 && ns_rr_ttl(record(ns_s_ar, 0)) == 0x01000000 && ns_msg_count(msg, ns_s_an) == 0);
	q = ask("example.org", ns_t_a);
	q.bytes[11] = 2;
	put_opt(&q, 0, 0);
	put_opt(&q, 0, 0);
	CHECK(run(&q) == ns_r_formerr);
}

TEST(the_longest_name)
{
	char name[HOSTNAME_MAX + 1];
	struct query q;

	memset(name, 'a', sizeof(name));
	memcpy(name + sizeof(name) - 13, ".example.org", 13);
	for (size_t i = 60; i < 200; i += 60)
		name[i] = '.';
	CHECK(strlen(name) == HOSTNAME_MAX);
	q = ask(name, ns_t_a);
	q.bytes[11] = 1;
	put_opt(&q, 0, 0);
	CHECK(run(&q) == ns_r_noerror && ns_msg_count(msg, ns_s_an) == 1);
	q = ask(name, ns_t_a);
	put_name(&q, name); /* trailing bytes */
	CHECK(run(&q) == ns_r_formerr);
}

TEST(what_is_no_question)
{
	struct query q = ask("example.org", ns_t_a);
	struct dns_lookup l = lookup();

	for (size_t n = 0; n < NS_HFIXEDSZ; n++)
		CHECK(dns_answer(q.bytes, n, &l, out) == 0);
	for (size_t n = NS_HFIXEDSZ; n < q.n; n++) {
		struct query cut = q;

		cut.n = n;
		CHECK(run(&cut) == ns_r_formerr && ns_msg_count(msg, ns_s_qd) == 0);
	}
	q.bytes[2] |= 0x80;
	CHECK(dns_answer(q.bytes, q.n, &l, out) == 0);
	q.bytes[2] = 0x29; /* UPDATE */
	CHECK(run(&q) == ns_r_notimpl && ns_msg_getflag(msg, ns_f_opcode) == ns_o_update);
	q = ask("example.org", ns_t_a);
	q.bytes[q.n - 1] = ns_c_chaos;
	CHECK(run(&q) == ns_r_refused && ns_msg_count(msg, ns_s_qd) == 1);
	q = ask("example.org", ns_t_a);
	q.bytes[5] = 2;
	put(&q, q.bytes + NS_HFIXEDSZ, q.n - NS_HFIXEDSZ);
	CHECK(run(&q) == ns_r_formerr);
	put_header(&q, RD, 1, 0); /* a name that is a pointer: to itself, and to the header */
	put(&q, "\300\14\0\1\0\1", 6);
	CHECK(run(&q) == ns_r_formerr);
	q.bytes[13] = 4;
	CHECK(run(&q) == ns_r_formerr);
}

TEST(synthetic_addresses)
{
	struct synth *s = synth_new(BASE);
	char name[32];
	uint32_t last = 0;

	CHECK(synth_count(s) == 0 && !synth_name(s, BASE + 257) && !synth_name(s, 0) && !synth_name(s, UINT32_MAX));
	for (int i = 0; i < SYNTH_NAMES_MAX; i++) {
		uint32_t v;

		(void)snprintf(name, sizeof(name), "many%d.example.org", i);
		v = synth_address(s, name);
		CHECK(v > last && v >= BASE + 256 && v < BASE + (2U << 16));
		CHECK((v & 255) != 0 && (v & 255) != 255);
		CHECK_STR(synth_name(s, v), name);
		last = v;
	}
	CHECK(synth_count(s) == SYNTH_NAMES_MAX);
	CHECK(synth_address(s, "one-more.example.org") == 0);
	CHECK(synth_address(s, "many0.example.org") == BASE + 257);
	CHECK(synth_address(s, "many254.example.org") == BASE + 512 + 1);
	CHECK(!synth_name(s, BASE + 256) && !synth_name(s, BASE + 511) && !synth_name(s, BASE) &&
	      !synth_name(s, BASE + 1));
	CHECK(!synth_name(s, BASE - 1) && !synth_name(s, last + 1) && !synth_name(s, BASE + (2U << 16) + 257));
	synth_free(s);
	synth_free(NULL);
	synth_free(table);
	table = NULL;
}

TEST_MAIN()
