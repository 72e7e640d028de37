/* Names, addresses and the policies that are made of them. */
#include "net/policy.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <time.h>

static const char *normal(const char *text)
{
	static char name[HOSTNAME_MAX + 1];

	return hostname_normalise(text, strlen(text), name, NULL) == 0 ? name : NULL;
}

TEST(hostname_normal_forms)
{
	static const char *const table[][2] = {
		{"example.org", "example.org"},
		{"EXAMPLE.Org", "example.org"},
		{"example.org.", "example.org"},
		{"localhost", "localhost"},
		{"a", "a"},
		{"_dmarc.a_b._tcp.example_", "_dmarc.a_b._tcp.example_"},
		{"_", "_"},
		{"1.2.3.4.example.org", "1.2.3.4.example.org"},
		{"3com.com", "3com.com"},
		{"0x7g", "0x7g"},
		{"a.0b1", "a.0b1"},
		{"x.1e3", "x.1e3"},
		{"a--b.org", "a--b.org"},
		{"XN--Bcher-KVA.de", "xn--bcher-kva.de"},
		{"b\xc3\xbc"
		 "cher.de",
		 "xn--bcher-kva.de"},
		{"B\xc3\xbc"
		 "CHER.DE.",
		 "xn--bcher-kva.de"},
		{"bu\xcc\x88"
		 "cher.de",
		 "xn--bcher-kva.de"},                     /* u and a combining diaeresis */
		{"fa\xc3\x9f.de", "xn--fa-hia.de"},       /* IDNA 2008: not fass.de */
		{"\xd0\xb0pple.com", "xn--pple-43d.com"}, /* a Cyrillic a is another name */
		{"_tcp.b\xc3\xbc"
		 "cher.de",
		 "_tcp.xn--bcher-kva.de"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		CHECK_STR(normal(table[i][0]), table[i][1]);
}

struct refused {
	const char *text;
	size_t at; /* position, from 1 */
	const char *why;
};

static void check_refused(const struct refused *c, int r, const struct err *e)
{
	char position[32];

	if (r >= 0 || !e) {
		printf("# accepted: '%s'\n", c->text);
		CHECK(false);
		return;
	}
	(void)snprintf(position, sizeof(position), "position %zu: ", c->at);
	if (r != -EINVAL || !strstr(err_message(e), position) || !strstr(err_message(e), c->why))
		printf("# '%s' (%d): %s\n", c->text, r, err_message(e));
	CHECK(r == -EINVAL && strstr(err_message(e), position) && strstr(err_message(e), c->why));
	for (const char *p = err_message(e); *p; p++)
		CHECK((unsigned char)*p >= ' ' && *p != 0x7f);
}

TEST(hostname_refused)
{
	static const struct refused table[] = {
		{"", 1, "an empty name"},
		{".", 1, "an empty label"},
		{"..", 1, "an empty label"},
		{".a", 1, "an empty label"},
		{"a..b", 3, "an empty label"},
		{"a..", 3, "an empty label"},
		{"-a.org", 1, "begins with '-'"},
		{"b.a-", 4, "ends with '-'"},
		{"a.-", 3, "begins with '-'"},
		{"a b", 2, "a blank"},
		{"a\tb", 2, "a blank"},
		{"a\nb", 2, "a control character"},
		{"a\x7f", 2, "a control character"},
		{"a%00b", 2, "only letters"},
		{"fe80::1%eth0", 5, "only letters"},
		{"a/b", 2, "only letters"},
		{"a@b", 2, "only letters"},
		{"a\\b", 2, "only letters"},
		{"a.*", 3, "'*' stands only"},
		{"127.1", 5, "a number"},
		{"1.2.3.4", 7, "a number"},
		{"1.2.3.4.", 7, "a number"},
		{"0x7f000001", 1, "a number"},
		{"0X7F.0X1", 6, "a number"},
		{"2130706433", 1, "a number"},
		{"017700000001", 1, "a number"},
		{"127.0.0.0x", 9, "a number"},
		{"127.08", 5, "a number"},
		{"example.7", 9, "a number"},
		{"1", 1, "a number"},
		{"\xff.de", 1, "encoding error"},
		{"a.\xc3", 3, "encoding error"},
		{"a.\xc0\xae"
		 "b",
		 3, ""},                                     /* '.' in two bytes */
		{"b.\xe2\x98\x83.net", 3, "disallowed"},     /* a snowman */
		{"\xef\xbd\x85xample.org", 1, "disallowed"}, /* a fullwidth e */
		{"example\xe3\x80\x82org", 8, "disallowed"}, /* an ideographic full stop */
		{"1.2.3.\xef\xbc\x94", 7, ""},               /* a fullwidth 4 */
		{"a\xc2\xad"
		 "b.org",
		 2, "disallowed"},                     /* a soft hyphen */
		{"\xe2\x84\x80.org", 1, "disallowed"}, /* a/c in one character */
		{"a\xe2\x80\x8d"
		 "b.org",
		 2, "context"}, /* a joiner without a reason */
		{"\xc3\xbc..de", 4, "empty label"},
		{"\xc3\xbc.127.1", 1, "a number"},
		{"-\xc3\xbc.de", 1, "begins with '-'"},
		{"_\xc3\xbc.de", 2, "disallowed"},
		{"ab--\xc3\xbc.de", 5, "two hyphens"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_err_ struct err *e = NULL;
		char name[HOSTNAME_MAX + 1] = "untouched";
		int r = hostname_normalise(table[i].text, strlen(table[i].text), name, &e);

		check_refused(&table[i], r, e);
		CHECK_STR(name, "untouched");
	}
}

TEST(hostname_nul_and_bounds)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *huge = NULL;
	char name[HOSTNAME_MAX + 1];
	char text[300];

	CHECK(hostname_normalise("good.org\0.evil.org", 18, name, &e) == -EINVAL);
	CHECK(strstr(err_message(e), "position 9: a NUL"));
	err_clear(&e);
	CHECK(hostname_normalise("abcdef", 3, name, NULL) == 0);
	CHECK_STR(name, "abc");
	memset(text, 'a', sizeof(text));
	CHECK(hostname_normalise(text, 63, name, NULL) == 0 && strlen(name) == 63);
	CHECK(hostname_normalise(text, 64, name, &e) == -EINVAL && strstr(err_message(e), "position 64: a label"));
	err_clear(&e);
	text[62] = text[125] = text[188] = text[251] = '.';
	CHECK(hostname_normalise(text, 253, name, NULL) == 0 && strlen(name) == 253);
	text[253] = '.';
	CHECK(hostname_normalise(text, 254, name, NULL) == 0 && strlen(name) == 253);
	text[253] = 'a';
	CHECK(hostname_normalise(text, 254, name, &e) == -EINVAL && strstr(err_message(e), "position 254: a name"));
	err_clear(&e);
	huge = xmalloc(1 << 20);
	memset(huge, 0xc3, 1 << 20);
	CHECK(hostname_normalise(huge, 1 << 20, name, &e) == -EINVAL && strlen(err_message(e)) < 1200);
	/* In bytes it would fit, as A-labels it does not. */
	for (size_t i = 0; i + 1 < 120; i += 2)
		memcpy(text + i, "\xc3\xbc", 2);
	CHECK(hostname_normalise(text, 120, name, NULL) == -EINVAL);
}

static struct address parsed(const char *text)
{
	struct address a = {0};

	CHECK(address_parse(text, strlen(text), &a));
	return a;
}

TEST(address_text)
{
	static const char *const table[][2] = {
		{"1.2.3.4", "1.2.3.4"},
		{"255.255.255.255", "255.255.255.255"},
		{"::", "::"},
		{"[::1]", "::1"},
		{"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
		{"64:ff9b::1.2.3.4", "64:ff9b::102:304"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
	};
	static const char *const bad[] = {
		"",         "1",        "1.2.3",         "1.2.3.4.", "01.2.3.4", "1.2.3.256",  "127.1",   "0x7f.1.1.1",
		" 1.2.3.4", "1.2.3.4 ", "[1.2.3.4]",     "[::1",     "::1]",     "[]",         "[[::1]]", "fe80::1%lo",
		":::",      "1::2::3",  "1:2:3:4:5:6:7", "12345::",  "::1.2.3",  "::01.2.3.4", "a",       "g::"};
	struct address a;
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		a = parsed(table[i][0]);
		address_format(&a, text);
		CHECK_STR(text, table[i][1]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (address_parse(bad[i], strlen(bad[i]), &a))
			printf("# accepted: '%s'\n", bad[i]);
		CHECK(!address_parse(bad[i], strlen(bad[i]), &a));
	}
	CHECK(!address_parse("1.2.3.4\0", 8, &a) && address_parse("1.2.3.45", 7, &a) && a.bytes[3] == 4);
	a = (struct address){0};
	address_format(&a, text);
	CHECK_STR(text, "no address");
}

TEST(address_sockaddr)
{
	struct sockaddr_storage s;
	struct address four = parsed("10.1.2.3");
	struct address six = parsed("fd00::1");
	struct address back;

	CHECK(address_to_sockaddr(&four, 443, &s) == sizeof(struct sockaddr_in));
	CHECK(s.ss_family == AF_INET && ((struct sockaddr_in *)&s)->sin_port == htons(443));
	address_from_sockaddr(&s, &back);
	CHECK(address_equal(&back, &four));
	CHECK(address_to_sockaddr(&six, 443, &s) == sizeof(struct sockaddr_in6));
	address_from_sockaddr(&s, &back);
	CHECK(address_equal(&back, &six) && !address_equal(&back, &four) && !address_equal(&four, &back));
	s.ss_family = AF_UNIX;
	address_from_sockaddr(&s, &back);
	CHECK(back.family == AF_UNSPEC && address_to_sockaddr(&back, 1, &s) == 0);
	CHECK(address_class(&back) == ADDRESS_RESERVED);
}

TEST(address_networks)
{
	struct address a = parsed("10.1.255.255");
	struct address net = parsed("10.1.0.0");
	struct address six = parsed("2001:db8::1");
	struct address six_net = parsed("2001:db8::");

	CHECK(address_in(&a, &net, 16) && !address_in(&a, &net, 17) && address_in(&a, &net, 0));
	CHECK(address_in(&a, &net, 8) && !address_in(&a, &net, 32) && !address_in(&a, &a, 33));
	CHECK(address_in(&a, &a, 32) && !address_in(&a, &six, 0));
	CHECK(address_in(&six, &six_net, 127) && !address_in(&six, &six_net, 128));
	CHECK(!address_in(&six, &six, 129) && address_in(&six, &six, 128));
	a = parsed("::ffff:10.1.2.3");
	CHECK(address_unmap(&a) && a.family == AF_INET && a.bytes[0] == 10 && a.bytes[3] == 3 && a.bytes[4] == 0);
	CHECK(!address_unmap(&a) && !address_unmap(&six));
	address_mask(&six, 31);
	CHECK(six.bytes[3] == 0xb8 && six.bytes[15] == 0);
}

/* The ends of every block, and their neighbours. */
TEST(address_classes)
{
	static const struct {
		const char *text;
		enum address_class class;
	} table[] = {
		{"0.0.0.0", ADDRESS_THIS_HOST},
		{"0.255.255.255", ADDRESS_THIS_HOST},
		{"1.0.0.0", ADDRESS_PUBLIC},
		{"9.255.255.255", ADDRESS_PUBLIC},
		{"10.0.0.0", ADDRESS_PRIVATE},
		{"10.255.255.255", ADDRESS_PRIVATE},
		{"11.0.0.0", ADDRESS_PUBLIC},
		{"100.63.255.255", ADDRESS_PUBLIC},
		{"100.64.0.0", ADDRESS_PRIVATE},
		{"100.100.100.200", ADDRESS_PRIVATE},
		{"100.127.255.255", ADDRESS_PRIVATE},
		{"100.128.0.0", ADDRESS_PUBLIC},
		{"126.255.255.255", ADDRESS_PUBLIC},
		{"127.0.0.1", ADDRESS_LOOPBACK},
		{"127.255.255.255", ADDRESS_LOOPBACK},
		{"128.0.0.0", ADDRESS_PUBLIC},
		{"168.63.129.16", ADDRESS_LINK_LOCAL},
		{"168.63.129.17", ADDRESS_PUBLIC},
		{"169.253.255.255", ADDRESS_PUBLIC},
		{"169.254.169.254", ADDRESS_LINK_LOCAL},
		{"169.255.0.0", ADDRESS_PUBLIC},
		{"172.15.255.255", ADDRESS_PUBLIC},
		{"172.16.0.0", ADDRESS_PRIVATE},
		{"172.31.255.255", ADDRESS_PRIVATE},
		{"172.32.0.0", ADDRESS_PUBLIC},
		{"192.0.0.9", ADDRESS_SPECIAL},
		{"192.0.0.192", ADDRESS_SPECIAL},
		{"192.0.1.0", ADDRESS_PUBLIC},
		{"192.0.2.1", ADDRESS_SPECIAL},
		{"192.0.3.0", ADDRESS_PUBLIC},
		{"192.31.196.1", ADDRESS_PUBLIC},
		{"192.52.193.1", ADDRESS_PUBLIC},
		{"192.88.99.1", ADDRESS_SPECIAL},
		{"192.167.255.255", ADDRESS_PUBLIC},
		{"192.168.0.0", ADDRESS_PRIVATE},
		{"192.169.0.0", ADDRESS_PUBLIC},
		{"192.175.48.1", ADDRESS_PUBLIC},
		{"198.17.255.255", ADDRESS_PUBLIC},
		{"198.18.0.1", ADDRESS_SPECIAL},
		{"198.19.255.255", ADDRESS_SPECIAL},
		{"198.20.0.0", ADDRESS_PUBLIC},
		{"198.51.100.1", ADDRESS_SPECIAL},
		{"203.0.113.1", ADDRESS_SPECIAL},
		{"223.255.255.255", ADDRESS_PUBLIC},
		{"224.0.0.1", ADDRESS_MULTICAST},
		{"239.255.255.255", ADDRESS_MULTICAST},
		{"240.0.0.1", ADDRESS_RESERVED},
		{"255.255.255.255", ADDRESS_RESERVED},
		{"::", ADDRESS_THIS_HOST},
		{"::1", ADDRESS_LOOPBACK},
		{"::2", ADDRESS_THIS_HOST}, /* compatible with 0.0.0.2 */
		{"::127.0.0.1", ADDRESS_LOOPBACK},
		{"::8.8.8.8", ADDRESS_PUBLIC},
		{"::1:0:0", ADDRESS_RESERVED},
		{"::ffff:10.0.0.1", ADDRESS_PRIVATE},
		{"::ffff:169.254.169.254", ADDRESS_LINK_LOCAL},
		{"::ffff:8.8.8.8", ADDRESS_PUBLIC},
		{"::ffff:0:8.8.8.8", ADDRESS_RESERVED}, /* SIIT */
		{"64:ff9b::192.168.0.1", ADDRESS_PRIVATE},
		{"64:ff9b::8.8.8.8", ADDRESS_PUBLIC},
		{"64:ff9b:0:0:0:1::", ADDRESS_RESERVED},
		{"64:ff9b:1::8.8.8.8", ADDRESS_SPECIAL},
		{"64:ff9b:2::", ADDRESS_RESERVED},
		{"100::1", ADDRESS_SPECIAL},
		{"100:0:0:1::1", ADDRESS_SPECIAL},
		{"100:0:0:2::1", ADDRESS_RESERVED},
		{"200::", ADDRESS_RESERVED},
		{"1fff:ffff::", ADDRESS_RESERVED},
		/* Teredo, RFC 4380: server 65.54.227.120, client 192.0.2.45; then a public client, then a private
		   server */
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", ADDRESS_SPECIAL},
		{"2001:0:4136:e378:8000:63bf:f7f7:f7f7", ADDRESS_PUBLIC},
		{"2001:0:a00:1:8000:63bf:f7f7:f7f7", ADDRESS_PRIVATE},
		{"2001:1::1", ADDRESS_SPECIAL},
		{"2001:2::1", ADDRESS_SPECIAL},
		{"2001:3::1", ADDRESS_PUBLIC},
		{"2001:4:112::1", ADDRESS_PUBLIC},
		{"2001:4:113::1", ADDRESS_SPECIAL},
		{"2001:10::1", ADDRESS_SPECIAL},
		{"2001:20::1", ADDRESS_SPECIAL},
		{"2001:1ff:ffff::", ADDRESS_SPECIAL},
		{"2001:200::", ADDRESS_PUBLIC},
		{"2001:db7:ffff::", ADDRESS_PUBLIC},
		{"2001:db8::1", ADDRESS_SPECIAL},
		{"2001:db9::", ADDRESS_PUBLIC},
		{"2002:a00:1::1", ADDRESS_PRIVATE},
		{"2002:7f00:1::", ADDRESS_LOOPBACK},
		{"2002:808:808::1", ADDRESS_PUBLIC},
		{"2003::1", ADDRESS_PUBLIC},
		{"2606:4700::1111", ADDRESS_PUBLIC},
		{"2620:4f:8000::1", ADDRESS_PUBLIC},
		{"3ffe:ffff::", ADDRESS_PUBLIC},
		{"3fff::1", ADDRESS_SPECIAL},
		{"3fff:fff:ffff::", ADDRESS_SPECIAL},
		{"3fff:1000::", ADDRESS_PUBLIC},
		{"4000::", ADDRESS_RESERVED},
		{"5f00::1", ADDRESS_SPECIAL},
		{"5f01::1", ADDRESS_RESERVED},
		{"fbff::", ADDRESS_RESERVED},
		{"fc00::1", ADDRESS_PRIVATE},
		{"fd00:ec2::254", ADDRESS_PRIVATE}, /* a cloud's metadata */
		{"fdff:ffff::", ADDRESS_PRIVATE},
		{"fe00::", ADDRESS_RESERVED},
		{"fe7f:ffff::", ADDRESS_RESERVED},
		{"fe80::1", ADDRESS_LINK_LOCAL},
		{"febf:ffff::", ADDRESS_LINK_LOCAL},
		{"fec0::1", ADDRESS_PRIVATE},
		{"feff:ffff::", ADDRESS_PRIVATE},
		{"ff02::1", ADDRESS_MULTICAST},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ADDRESS_MULTICAST},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct address a = parsed(table[i].text);

		if (address_class(&a) != table[i].class)
			printf("# %s is %s\n", table[i].text, address_class_name(address_class(&a)));
		CHECK(address_class(&a) == table[i].class);
	}
	for (int c = ADDRESS_PUBLIC; c <= ADDRESS_RESERVED; c++)
		CHECK(*address_class_name((enum address_class)c));
	CHECK_STR(address_class_name(ADDRESS_LINK_LOCAL), "link-local");
}

TEST(entry_normal_forms)
{
	static const char *const table[][2] = {
		{"Example.ORG.", "example.org"},
		{"example.org:80", "example.org:80"},
		{"example.org.:8443", "example.org:8443"},
		{"*.Example.org", "*.example.org"},
		{"*.example.org:22", "*.example.org:22"},
		{"*.org", "*.org"},
		{"*.nix", "*.nix"},
		{"NIX", "nix"},
		{"All", "all"},
		{"none", "none"},
		{"alle", "alle"},
		{"a:1", "a:1"},
		{"a:65535", "a:65535"},
		{"10.1.2.3:5432", "10.1.2.3:5432"},
		{"10.1.2.3/32:5432", "10.1.2.3:5432"},
		{"10.1.0.0/16:5432", "10.1.0.0/16:5432"},
		{"0.0.0.0/0:443", "0.0.0.0/0:443"},
		{"127.0.0.1:8080", "127.0.0.1:8080"},
		{"[FD00:0::1]:5432", "[fd00::1]:5432"},
		{"[fd00::]/8:5432", "[fd00::]/8:5432"},
		{"[fd00::1]/128:5432", "[fd00::1]:5432"},
		{"[::]/0:443", "[::]/0:443"},
		{"[::1]:80", "[::1]:80"},
		{"[::ffff:1.2.3.4]:80", "1.2.3.4:80"},
		{"[::ffff:10.0.0.0]/104:80", "10.0.0.0/8:80"},
		{"[::ffff:0:0]/96:80", "0.0.0.0/0:80"},
		{"b\xc3\xbc"
		 "cher.de:81",
		 "xn--bcher-kva.de:81"},
		{"*.b\xc3\xbc"
		 "cher.de",
		 "*.xn--bcher-kva.de"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_str_ struct str s = STR_INIT;
		_cleanup_str_ struct str again = STR_INIT;
		_cleanup_err_ struct err *e = NULL;

		if (policy_entry_normalise(table[i][0], &s, &e) < 0)
			printf("# %s\n", err_message(e));
		CHECK_STR(str_text(&s), table[i][1]);
		CHECK(policy_entry_normalise(str_text(&s), &again, NULL) == 0);
		CHECK_STR(str_text(&again), table[i][1]);
	}
}

TEST(entry_refused)
{
	static const struct refused table[] = {
		{"", 1, "an empty entry"},
		{"*", 1, "'all' is every name"},
		{"*:443", 1, "'all' is every name"},
		{"*.", 3, "an empty name"},
		{"*.:80", 3, "an empty name"},
		{"*..org", 3, "an empty label"},
		{"*.*.org", 3, "'*' stands only at the beginning"},
		{"a.*.org", 3, "'*' stands only at the beginning"},
		{"*a.org", 1, "'*' stands only at the beginning"},
		{"**.org", 1, "'*' stands only at the beginning"},
		{"*.1.2.3.4", 9, "a number"},
		{"*.-a", 3, "begins with '-'"},
		{"a..b", 3, "an empty label"},
		{"a..b:80", 3, "an empty label"},
		{".", 1, "an empty label"},
		{":80", 1, "an empty name"},
		{"host:", 6, "the port is missing"},
		{"host:0", 6, "a number from 1 to 65535"},
		{"host:65536", 6, "a number from 1 to 65535"},
		{"host:99999999999999999999", 6, "a number from 1 to 65535"},
		{"host:080", 6, "does not begin with 0"},
		{"host:+80", 6, "a number from 1 to 65535"},
		{"host:-1", 6, "a number from 1 to 65535"},
		{"host:80x", 8, "a number from 1 to 65535"},
		{"host: 80", 6, "a number from 1 to 65535"},
		{"host:80,443", 8, "a number from 1 to 65535"},
		{"host:80:81", 8, "a second ':'"},
		{"host:**", 6, "a number from 1 to 65535"},
		{"10.0.0.0/8:*", 12, "an address with one"},
		{"[::1]:*", 7, "an address with one"},
		{"host:*:80", 7, "a second ':'"},
		{"all:*", 4, "nothing stands behind"},
		{" host", 1, "a blank"},
		{"host ", 5, "a blank"},
		{"ho\033st", 3, "a control character"},
		{"https://example.org/", 6, "a URL"},
		{"https://example.org:80/x", 6, "a URL"},
		{"example.org/x", 12, "'/' stands only behind a whole address"},
		{"example.org:80/x", 15, "a number from 1 to 65535"},
		{"10.0.0/8:80", 7, "'/' stands only behind a whole address"},
		{"10/8:80", 3, "'/' stands only behind a whole address"},
		{"[::1]", 6, "an address needs a port: [::1]:443"},
		{"[::1]:", 7, "the port is missing"},
		{"[::1]:0", 7, "a number from 1 to 65535"},
		{"[::1]80", 6, "stands ':' and a port"},
		{"[::1", 5, "the ']' is missing"},
		{"[", 2, "the ']' is missing"},
		{"[]:80", 2, "not an IPv6 address"},
		{"[1.2.3.4]:80", 2, "not an IPv6 address"},
		{"[example.org]:80", 2, "not an IPv6 address"},
		{"[fe80::1%eth0]:80", 2, "not an IPv6 address"},
		{"[fd00::/8]:80", 8, "behind the ']'"},
		{"[fd00::]/129:80", 10, "IPv6 has 0 to 128 bits"},
		{"[fd00::]/:80", 10, "IPv6 has 0 to 128 bits"},
		{"[fd00::]/8", 11, "an address needs a port"},
		{"[fd00::1]/8:80", 11, "the network is [fd00::]/8"},
		{"[fd00::]/8]:80", 10, "IPv6 has 0 to 128 bits"},
		{"[::ffff:0:0]/90:80", 14, "the network is"},
		{"::1", 1, "in brackets: [::1]:443"},
		{"::ffff:1.2.3.4", 1, "in brackets: [::ffff:1.2.3.4]:443"},
		{"fd00::1/64:80", 1, "in brackets"},
		{"1.2.3.4", 8, "an address needs a port: 1.2.3.4:443"},
		{"10.0.0.0/8", 11, "an address needs a port: 10.0.0.0/8:443"},
		{"1.2.3.4:", 9, "the port is missing"},
		{"1.2.3.4/33:80", 9, "IPv4 has 0 to 32 bits"},
		{"1.2.3.4/:80", 9, "IPv4 has 0 to 32 bits"},
		{"1.2.3.4/032:80", 9, "IPv4 has 0 to 32 bits"},
		{"1.2.3.4/+8:80", 9, "IPv4 has 0 to 32 bits"},
		{"1.2.3.4/255.0.0.0:80", 9, "IPv4 has 0 to 32 bits"},
		{"10.0.0.1/8:80", 10, "the network is 10.0.0.0/8"},
		{"1.2.3.4/0:80", 9, "the network is 0.0.0.0/0"},
		{"0x7f.1:80", 6, "a number"},
		{"127.1:80", 5, "a number"},
		{"1.2.3.4.:80", 7, "a number"},
		{"1.2.3.04:80", 7, "a number"},
		{"256.1.1.1:80", 9, "a number"},
		{"0.0.0.0:80", 1, "a this host address"},
		{"[::]:80", 1, "a this host address"},
		{"224.0.0.0/4:80", 1, "a multicast address"},
		{"[ff02::1]:80", 1, "a multicast address"},
		{"[::ffff:0.0.0.0]:80", 1, "a this host address"},
		{"all:443", 4, "nothing stands behind the word 'all'"},
		{"nix.", 4, "nothing stands behind the word 'nix'"},
		{"None:80", 5, "nothing stands behind the word 'none'"},
		{"b.\xe2\x98\x83.net:80", 3, "disallowed"},
		{"*.b.\xe2\x98\x83.net:80", 5, "disallowed"},
		{"a\xff", 2, "encoding error"},
	};
	_cleanup_policy_ struct policy *p = policy_new();

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_err_ struct err *e = NULL;
		_cleanup_str_ struct str s = STR_INIT;
		int r = policy_add(p, table[i].text, &e);

		check_refused(&table[i], r, e);
		CHECK(policy_entry_normalise(table[i].text, &s, NULL) == -EINVAL && s.len == 0);
	}
	CHECK(policy_is_empty(p));
}

static struct policy *policy_of(const char *entries)
{
	_cleanup_strv_ struct strv v = STRV_INIT;
	_cleanup_err_ struct err *e = NULL;
	struct policy *p = policy_new();

	strv_split(&v, entries, ' ');
	if (policy_add_all(p, &v, &e) < 0) {
		printf("# %s\n", err_message(e));
		CHECK(false);
	}
	return p;
}

static bool allows(const struct policy *p, const char *address, uint16_t port)
{
	struct address a = parsed(address);

	return policy_allows_address(p, &a, port);
}

TEST(nothing_by_default)
{
	_cleanup_policy_ struct policy *p = policy_new();
	uint16_t ports[POLICY_PORTS_MAX];

	for (int i = 0; i < 2; i++) {
		CHECK(policy_is_empty(p) && policy_ports(p, ports) == 0 && policy_nets(p, NULL, 0) == 0);
		CHECK(!policy_has_name(p, "example.org") && !policy_allows_name(p, "example.org", 443));
		CHECK(!policy_has_name(p, "") && !allows(p, "1.2.3.4", 443));
		CHECK(policy_add(p, "none", NULL) == 0);
	}
	policy_free(NULL);
}

TEST(names)
{
	_cleanup_policy_ struct policy *p = policy_of("example.org a.example.org:8443 github.com:22");

	CHECK(!policy_is_empty(p));
	CHECK(policy_allows_name(p, "example.org", 80) && policy_allows_name(p, "example.org", 443));
	CHECK(!policy_allows_name(p, "example.org", 8443) && !policy_allows_name(p, "example.org", 22));
	CHECK(policy_allows_name(p, "a.example.org", 8443) && !policy_allows_name(p, "a.example.org", 443));
	CHECK(policy_has_name(p, "example.org") && policy_has_name(p, "a.example.org"));
	CHECK(!policy_has_name(p, "b.example.org") && !policy_has_name(p, "org") && !policy_has_name(p, "example.or"));
	CHECK(!policy_has_name(p, "example.orgx") && !policy_has_name(p, "xexample.org") && !policy_has_name(p, ""));
	CHECK(policy_allows_name(p, "github.com", 22) && !policy_allows_name(p, "github.com", 443));
	CHECK(!policy_allows_name(p, "example.org", 0));
}

TEST(names_below)
{
	_cleanup_policy_ struct policy *p = policy_of("*.example.org *.a.example.org:22 *.net:8080");

	CHECK(!policy_has_name(p, "example.org") && !policy_has_name(p, "xexample.org") && !policy_has_name(p, "org"));
	CHECK(policy_allows_name(p, "a.example.org", 443) && !policy_allows_name(p, "a.example.org", 22));
	CHECK(policy_allows_name(p, "b.a.example.org", 443) && policy_allows_name(p, "b.a.example.org", 22));
	CHECK(policy_allows_name(p, "d.c.b.a.example.org", 22) && !policy_allows_name(p, "b.xa.example.org", 22));
	CHECK(!policy_has_name(p, "a.xexample.org") && !policy_has_name(p, "a.example.org.evil.com"));
	CHECK(policy_allows_name(p, "x.y.net", 8080) && !policy_allows_name(p, "x.y.net", 443));
	CHECK(!policy_has_name(p, "net"));
}

TEST(every_port)
{
	_cleanup_policy_ struct policy *p = policy_of(
		"example.org:* *.below.net:* example.org:22 other.org 10.0.0.1:22");
	_cleanup_str_ struct str normal = STR_INIT;
	uint16_t ports[POLICY_PORTS_MAX];

	CHECK(policy_every_port(p) && policy_has_name(p, "example.org") && policy_has_name(p, "a.below.net"));
	CHECK(policy_allows_name(p, "example.org", 1) && policy_allows_name(p, "example.org", 65535));
	CHECK(policy_allows_name(p, "a.b.below.net", 443) && policy_allows_name(p, "a.below.net", 7));
	CHECK(!policy_has_name(p, "below.net") && !policy_has_name(p, "a.example.org"));
	CHECK(policy_allows_name(p, "other.org", 443) && !policy_allows_name(p, "other.org", 22));
	CHECK(!allows(p, "10.0.0.1", 80) && allows(p, "10.0.0.1", 22));
	/* Those with a number of their own are few. */
	CHECK(policy_ports(p, ports) == 3 && ports[0] == 22);
	CHECK(policy_entry_normalise("*.B\xc3\xbc"
				     "cher.DE.:*",
				     &normal, NULL) == 0);
	CHECK_STR(str_text(&normal), "*.xn--bcher-kva.de:*");
}

TEST(every_port_of_none)
{
	_cleanup_policy_ struct policy *p = policy_of("all nix a:1");

	CHECK(!policy_every_port(p));
	CHECK(policy_add(p, "a:*", NULL) == 0 && policy_every_port(p) && policy_allows_name(p, "a", 9));
	CHECK(!policy_allows_name(p, "b", 9));
}

TEST(all)
{
	_cleanup_policy_ struct policy *p = policy_of("all host:22 10.0.0.1:22");

	CHECK(policy_allows_name(p, "any.thing", 80) && policy_allows_name(p, "any.thing", 443));
	CHECK(!policy_allows_name(p, "any.thing", 22) && policy_allows_name(p, "host", 22));
	CHECK(policy_allows_name(p, "host", 443));
	/* Names only. */
	CHECK(!allows(p, "8.8.8.8", 443) && !allows(p, "10.0.0.1", 443) && allows(p, "10.0.0.1", 22));
}

TEST(nix)
{
	_cleanup_policy_ struct policy *p = policy_of("nix");
	uint16_t ports[POLICY_PORTS_MAX];

	CHECK(policy_ports(p, ports) == 1 && ports[0] == 443);
	CHECK(policy_allows_name(p, "cache.nixos.org", 443) && !policy_allows_name(p, "cache.nixos.org", 80));
	CHECK(policy_allows_name(p, "github.com", 443) && policy_allows_name(p, "api.flakehub.com", 443));
	CHECK(!policy_has_name(p, "gist.github.com") && !policy_has_name(p, "x.cachix.org"));
}

TEST(addresses)
{
	_cleanup_policy_ struct policy *p = policy_of(
		"10.1.0.0/16:5432 10.1.2.3:22 [fd00::]/9:80 [fd00::1]:443 0.0.0.0/0:9 [::]/0:7");

	CHECK(allows(p, "10.1.0.0", 5432) && allows(p, "10.1.255.255", 5432) && !allows(p, "10.2.0.0", 5432));
	CHECK(!allows(p, "10.0.255.255", 5432) && allows(p, "10.1.2.3", 22) && !allows(p, "10.1.2.4", 22));
	CHECK(allows(p, "::ffff:10.1.2.3", 22) && !allows(p, "::ffff:10.1.2.4", 22));
	CHECK(!allows(p, "64:ff9b::10.1.2.3", 22) && !allows(p, "::10.1.2.3", 22));
	CHECK(allows(p, "fd7f:ffff::", 80) && !allows(p, "fd80::", 80) && !allows(p, "fd00::2", 443));
	CHECK(allows(p, "fd00::1", 443) && !allows(p, "10.1.2.3", 443));
	CHECK(allows(p, "127.0.0.1", 9) && allows(p, "::ffff:1.2.3.4", 9) && !allows(p, "2003::", 9));
	CHECK(!allows(p, "0.0.0.0", 9) && !allows(p, "224.0.0.1", 9) && !allows(p, "::ffff:0.0.0.0", 9));
	CHECK(allows(p, "2003::", 7) && !allows(p, "1.2.3.4", 7) && !allows(p, "::ffff:1.2.3.4", 7));
	CHECK(!allows(p, "::", 7) && !allows(p, "ff02::1", 7));
	CHECK(!policy_has_name(p, "10.1.2.3") && !policy_is_empty(p));
	CHECK(!policy_allows_address(p, &(struct address){0}, 9));
}

TEST(ports_and_nets)
{
	_cleanup_policy_ struct policy *p = policy_of(
		"10.0.0.0/8:443 a:8080 [::ffff:10.0.0.0]/104:80 a 10.0.0.0/8:443 [fd00::1]:22");
	uint16_t ports[POLICY_PORTS_MAX];
	struct policy_net nets[8];

	CHECK(policy_ports(p, ports) == 4);
	CHECK(ports[0] == 22 && ports[1] == 80 && ports[2] == 443 && ports[3] == 8080);
	CHECK(policy_nets(p, NULL, 0) == 3 && policy_nets(p, nets, 1) == 3 && policy_nets(p, nets, 8) == 3);
	CHECK(nets[0].net.family == AF_INET && nets[0].net.bytes[0] == 10 && nets[0].bits == 8);
	CHECK(nets[0].port + nets[1].port == 80 + 443 && nets[1].bits == 8);
	CHECK(nets[2].net.family == AF_INET6 && nets[2].bits == 128 && nets[2].port == 22);
}

TEST(limits)
{
	_cleanup_policy_ struct policy *p = policy_new();
	_cleanup_err_ struct err *e = NULL;
	char entry[POLICY_ENTRY_BYTES_MAX + 2];
	uint16_t ports[POLICY_PORTS_MAX];

	for (int i = 1; i < POLICY_PORTS_MAX; i++) {
		(void)snprintf(entry, sizeof(entry), "a:%d", 1000 + i);
		CHECK(policy_add(p, entry, NULL) == 0);
	}
	/* One port is left, and the web has two. */
	CHECK(policy_add(p, "b", &e) == -E2BIG && strstr(err_message(e), "'b': a policy has at most 64 different"));
	err_clear(&e);
	CHECK(policy_ports(p, ports) == POLICY_PORTS_MAX - 1 && !policy_has_name(p, "b"));
	CHECK(policy_add(p, "nix", NULL) == 0 && policy_add(p, "b", NULL) == -E2BIG);
	CHECK(policy_add(p, "all", NULL) == -E2BIG && policy_add(p, "10.0.0.1:1", NULL) == -E2BIG);
	CHECK(policy_add(p, "b:443", NULL) == 0 && policy_nets(p, NULL, 0) == 0);
	memset(entry, 'a', sizeof(entry));
	entry[sizeof(entry) - 1] = '\0';
	CHECK(policy_add(p, entry, &e) == -E2BIG && strlen(err_message(e)) < 120);
}

static double seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

TEST(many_entries)
{
	_cleanup_policy_ struct policy *p = policy_new();
	_cleanup_err_ struct err *e = NULL;
	char entry[64];
	double start = seconds();
	size_t found = 0;

	for (unsigned i = 0; i < POLICY_ENTRIES_MAX; i++) {
		unsigned k = i * 2654435761U >> 4;

		if (i % 2)
			(void)snprintf(entry, sizeof(entry), "*.n%u.example.org", k);
		else
			(void)snprintf(entry, sizeof(entry), "10.%u.%u.%u:443", i >> 16, i >> 8 & 255, i & 255);
		CHECK(policy_add(p, entry, NULL) == 0 && policy_add(p, entry, NULL) == 0);
	}
	CHECK(policy_add(p, "one.more", &e) == -E2BIG && strstr(err_message(e), "at most 4096 entries"));
	CHECK(policy_add(p, "nix", NULL) == -E2BIG && policy_add(p, entry, NULL) == 0);
	CHECK(!policy_has_name(p, "one.more") && !policy_has_name(p, "github.com"));
	for (unsigned i = 0; i < POLICY_ENTRIES_MAX; i++) {
		if (i % 2) {
			(void)snprintf(entry, sizeof(entry), "a.b.n%u.example.org", i * 2654435761U >> 4);
			found += policy_allows_name(p, entry, 443) && !policy_has_name(p, entry + 4);
		} else {
			(void)snprintf(entry, sizeof(entry), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
			found += allows(p, entry, 443) && !allows(p, entry, 80);
		}
	}
	CHECK(found == POLICY_ENTRIES_MAX);
	printf("# %.3f s\n", seconds() - start);
}

TEST_MAIN()
