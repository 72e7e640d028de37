/* Forwarded ports as users write them. */
#include "box/portspec.h"

#include "test.h"

#include <arpa/inet.h>
#include <errno.h>

static struct portspec parse(const char *text)
{
	struct portspec p = {0};
	struct err *e = NULL;

	if (portspec_parse(text, &p, &e) < 0)
		printf("# %s: %s\n", text, err_message(e));
	CHECK(!e);
	return p;
}

static const char *place(const char *text)
{
	static struct str s;
	struct portspec p = parse(text);

	str_clear(&s);
	portspec_add_place(&p, &s);
	str_addf(&s, " %u%s", p.guest, p.loopback ? " loopback" : "");
	return str_text(&s);
}

TEST(good)
{
	CHECK_STR(place("8080:80"), "127.0.0.1:8080 80 loopback");
	CHECK_STR(place("80"), "127.0.0.1:80 80 loopback");
	CHECK_STR(place("0:65535"), "127.0.0.1:0 65535 loopback");
	CHECK_STR(place("0.0.0.0:1:2"), "0.0.0.0:1 2");
	CHECK_STR(place("127.0.0.1:0:2"), "127.0.0.1:0 2");
	CHECK_STR(place("192.168.1.20:65535:1"), "192.168.1.20:65535 1");
	CHECK_STR(place("[::]:8080:80"), "[::]:8080 80");
	CHECK_STR(place("[::1]:8080:80"), "[::1]:8080 80");
	CHECK_STR(place("[2001:db8:0:0::1]:8080:80"), "[2001:db8::1]:8080 80");
	CHECK(parse("80").one && !parse("80:80").one);
}

TEST(bad)
{
	static const char *const texts[] = {
		"",
		"0",
		":",
		"80:",
		":80",
		"80:0",
		"0:0",
		"65536",
		"80:65536",
		"1:99999",
		"100000:1",
		"-1:80",
		"+1:80",
		"0x50:80",
		" 80",
		"80 ",
		"80:80/tcp",
		"1:2:3",
		"a:80",
		"80:a",
		"::1:80:80",
		"::",
		"[::1]:80",
		"[::1]",
		"[::1:80:80",
		"[]:1:2",
		"[::1]80:80",
		"localhost:1:2",
		"1.2.3:1:2",
		"1.2.3.4:80",
		"1.2.3.4:1:2:3",
		"*:80:80",
		"[fe80::1%lo]:1:2",
		"256.0.0.1:1:2",
		"1.2.3.4::2",
		"1.2.3.4:1:",
		"[1.2.3.4:1:2",
		"\n80",
		"80-81:80-81",
		"8\xc3\xa4:1",
		"11111111111111111111111111111111111111111111111111111111111111111111111111111:1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct portspec p;
		struct err *e = NULL;

		if (portspec_parse(texts[i], &p, &e) != -EINVAL)
			printf("# taken: %s\n", texts[i]);
		CHECK(e && err_number(e) == EINVAL && strstr(err_message(e), "port '") && *err_hints(e));
		CHECK(!strchr(err_message(e), '\n'));
		err_free(e);
	}
}

static bool overlap(const char *x, const char *y)
{
	struct portspec a = parse(x);
	struct portspec b = parse(y);

	CHECK(portspec_overlaps(&a, &b) == portspec_overlaps(&b, &a));
	return portspec_overlaps(&a, &b);
}

TEST(overlaps)
{
	CHECK(overlap("80", "80:81"));
	CHECK(!overlap("80", "81:80"));
	CHECK(!overlap("0:80", "0:80"));
	CHECK(overlap("80", "127.0.0.1:80:1"));
	CHECK(overlap("80", "[::1]:80:1"));
	CHECK(!overlap("127.0.0.1:80:1", "[::1]:80:1"));
	CHECK(!overlap("127.0.0.1:80:1", "127.0.0.2:80:1"));
	CHECK(!overlap("80", "127.0.0.2:80:1"));
	CHECK(overlap("0.0.0.0:80:1", "127.0.0.2:80:1"));
	CHECK(overlap("0.0.0.0:80:1", "80"));
	CHECK(overlap("[::]:80:1", "80"));
	CHECK(!overlap("[::]:80:1", "127.0.0.1:80:1"));
	CHECK(!overlap("[::]:80:1", "0.0.0.0:80:1"));
}

static bool means(const char *given, const char *have)
{
	struct portspec a = parse(given);
	struct portspec b = parse(have);

	return portspec_means(&a, &b);
}

TEST(removal)
{
	CHECK(means("8080", "8080:80"));
	CHECK(means("8080:80", "8080:80"));
	CHECK(!means("80", "8080:80"));
	CHECK(!means("8080:81", "8080:80"));
	CHECK(means("8080", "10.0.0.1:8080:80"));
	CHECK(means("10.0.0.1:8080:80", "10.0.0.1:8080:80"));
	CHECK(!means("10.0.0.2:8080:80", "10.0.0.1:8080:80"));
	CHECK(!means("10.0.0.1:8080:80", "8080:80"));
}

TEST(all)
{
	_cleanup_strv_ struct strv specs = STRV_INIT;
	struct err *e = NULL;

	for (int i = 0; i < PORTSPECS_MAX; i++)
		strv_addf(&specs, "%d:80", 1000 + i);
	CHECK(portspec_check(&specs, &e) == 0);
	strv_add(&specs, "0:80");
	CHECK(portspec_check(&specs, &e) == -E2BIG);
	err_clear(&e);
	strv_release(&specs);
	strv_add(&specs, "8080:80");
	strv_add(&specs, "[::1]:8080:81");
	CHECK(portspec_check(&specs, &e) == -EINVAL);
	CHECK_STR(err_message(e), "ports '8080:80' and '[::1]:8080:81': the same port of the host twice");
	err_free(e);
}

TEST_MAIN()
