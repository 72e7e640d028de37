#include "net/httphost.h"
#include "test.h"

#include "base/mem.h"

#define OK_HEAD "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"

static struct httphost *h;

static void start(uint16_t port)
{
	httphost_free(h);
	h = NULL;
	CHECK(httphost_new("example.org", port, &h, NULL) == 0);
}

static enum httphost_state feed(const char *text)
{
	return httphost_feed(h, (const uint8_t *)text, strlen(text));
}

/* The state in the end is the same however the bytes arrive. */
static enum httphost_state whole(const char *text, uint16_t port)
{
	enum httphost_state all, r = HTTPHOST_MORE;

	start(port);
	all = feed(text);
	for (size_t step = 1; step < 4; step++) {
		start(port);
		for (size_t i = 0; i < strlen(text); i += step) {
			size_t left = strlen(text) - i;

			r = httphost_feed(h, (const uint8_t *)text + i, left < step ? left : step);
			if (r == HTTPHOST_BAD)
				break;
		}
		if (r != all)
			printf("# %d, in pieces %d: %s\n", all, r, text);
		CHECK(r == all);
	}
	return all;
}

TEST(accepted)
{
	static const char *const good[] = {
		OK_HEAD,
		OK_HEAD OK_HEAD,
		"GET / HTTP/1.1\r\nhost:EXAMPLE.org.\t \r\n\r\n",
		"GET / HTTP/1.1\r\nHost: example.org:80\r\nX-Empty:\r\nX: \"\303\244\"\r\n\r\n",
		"GET http://example.org/x?y HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"GET HTTP://Example.Org:80 HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 0\r\n\r\n" OK_HEAD,
		"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 5\r\n\r\nGET /" OK_HEAD,
		"POST / HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: Chunked\r\n\r\n"
		"5\r\nGET /\r\n00a;x=\"y\"\r\n\n\n\n\n\n\n\n\n\n\n\r\n0\r\nX-Sum: 1\r\n\r\n" OK_HEAD,
		"POST / HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" OK_HEAD,
		"PROPFIND /a/b HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: example.org\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\nabc",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		enum httphost_state r = whole(good[i], 80);

		if (r != HTTPHOST_GOOD)
			printf("# %s: %s\n", httphost_why(h), good[i]);
		CHECK(r == HTTPHOST_GOOD);
	}
	CHECK(whole("GET / HTTP/1.1\r\nHost: example.org:8080\r\n\r\n", 8080) == HTTPHOST_GOOD);
	CHECK(whole("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 8080) == HTTPHOST_GOOD);
}

#define GET(headers) "GET / HTTP/1.1\r\nHost: example.org\r\n" headers "\r\n\r\n"

TEST(refused)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: example.org:81\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: example.org:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: example.org:80:80\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: example.org:65616\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: evil.example@example.org\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: example.org, evil.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: example.org evil.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: ex\303\244mple.org\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : example.org\r\n\r\n",
		"GET / HTTP/1.1\r\n Host: example.org\r\n\r\n",
		"GET / HTTP/1.1\r\nX: y\r\n Host: evil\r\nHost: example.org\r\n\r\n",
		"GET / HTTP/1.1\nHost: example.org\n\n",
		"GET / HTTP/1.1\r\nHost: example.org\n\r\n",
		"GET / HTTP/1.1\r\nHost: example.org\rX: y\r\n\r\n",
		"\r\n" OK_HEAD,
		GET("Host: example.org"),
		GET("X:\r\nHost: evil.example"),
		GET("X Y: z"),
		GET("X"),
		GET("X\001: z"),
		GET("X: \001"),
		GET(": z"),
		"GET http://evil.example/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"GET http://example.org/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"GET http://example.org@evil.example/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"GET https://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"GET http://example.org:81/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"CONNECT example.org:80 HTTP/1.1\r\nHost: example.org:80\r\n\r\n",
		"GET  / HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"GET / HTTP/1.1 \r\nHost: example.org\r\n\r\n",
		"GET /a b HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"GET /\r\nHost: example.org\r\n\r\n",
		"GET /\r\n\r\n",
		"GET / HTTP/2.0\r\nHost: example.org\r\n\r\n",
		"GET / HTTP/1.2\r\nHost: example.org\r\n\r\n",
		"GET / HTTP/0.9\r\nHost: example.org\r\n\r\n",
		"SOURCE / ICE/1.0\r\nHost: example.org\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\026\003\001\002",
		"SSH-2.0-OpenSSH\r\n",
		GET("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA"),
		GET("Upgrade: h2c"),
		GET("Upgrade: websocket, h2c\r\nConnection: upgrade"),
		GET("Upgrade: websocket"),
		GET("Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 5"),
		"POST / HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
		GET("Content-Length: 5\r\nTransfer-Encoding: chunked"),
		GET("Transfer-Encoding: chunked\r\nContent-Length: 5"),
		GET("Content-Length: 5\r\nContent-Length: 5"),
		GET("Content-Length: 5, 5"),
		GET("Content-Length: +5"),
		GET("Content-Length: 0x5"),
		GET("Content-Length:"),
		GET("Content-Length: 99999999999999999999"),
		GET("Transfer-Encoding: gzip, chunked"),
		GET("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
		GET("Transfer-Encoding: xchunked"),
		GET("Transfer-Encoding: identity"),
		"POST / HTTP/1.0\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n",
		GET("Connection: close") OK_HEAD,
		"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n" OK_HEAD,
		GET("Transfer-Encoding: chunked") "5\n",
		GET("Transfer-Encoding: chunked") "5 \r\n",
		GET("Transfer-Encoding: chunked") "\r\n",
		GET("Transfer-Encoding: chunked") "0x5\r\n",
		GET("Transfer-Encoding: chunked") "-5\r\n",
		GET("Transfer-Encoding: chunked") "5;\n\r\n",
		GET("Transfer-Encoding: chunked") "fffffffffffffffff\r\n",
		GET("Transfer-Encoding: chunked") "ffffffffffffffff\r\n",
		GET("Transfer-Encoding: chunked") "1\r\nab\r\n",
		GET("Transfer-Encoding: chunked") "1\r\na\n",
		GET("Transfer-Encoding: chunked") "0\r\nHost: evil.example\r\n\r\n",
		GET("Transfer-Encoding: chunked") "0\r\nContent-Length: 5\r\n\r\n",
		OK_HEAD "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		enum httphost_state r = whole(bad[i], 80);

		if (r != HTTPHOST_BAD)
			printf("# %d: %s\n", r, bad[i]);
		CHECK(r == HTTPHOST_BAD && *httphost_why(h));
		CHECK(feed(OK_HEAD) == HTTPHOST_BAD);
	}
	CHECK(httphost_feed(h, (const uint8_t *)"", 1) == HTTPHOST_BAD);
}

TEST(states_on_the_way)
{
	start(80);
	CHECK(feed("GET / HTTP/1.1\r\n") == HTTPHOST_MORE);
	CHECK(feed("Host: example.org\r\n") == HTTPHOST_MORE);
	CHECK(feed("Content-Length: 4\r\n\r\n") == HTTPHOST_GOOD);
	CHECK(feed("ab") == HTTPHOST_GOOD);
	CHECK(feed("cdGET") == HTTPHOST_MORE);
	CHECK(feed(" / HTTP/1.1\r\nHost: example.org\r\n\r\nG") == HTTPHOST_MORE);
	CHECK(feed("ET / HTTP/1.1\r\nHost: other.example\r\n") == HTTPHOST_MORE || *httphost_why(h));
	CHECK(feed("\r\n") == HTTPHOST_BAD);
	CHECK_STR(httphost_why(h), "other.example");
	start(80);
	CHECK(feed("GET / HTTP/1.1\r\nHost: a\033[31m\r\n\r\n") == HTTPHOST_BAD);
	CHECK(!strchr(httphost_why(h), '\033'));
}

TEST(websocket)
{
	static const char head[] = GET("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket");

	CHECK(whole(head, 80) == HTTPHOST_OPAQUE);
	CHECK(feed("\x81\x05hello") == HTTPHOST_OPAQUE);
	start(80);
	CHECK(feed(GET("Connection: Upgrade\r\nUpgrade: websocket") OK_HEAD) == HTTPHOST_BAD);
	start(80);
	CHECK(feed(GET("Connection: Upgrade\r\nUpgrade: websocket") "\x81\x05hello") == HTTPHOST_BAD);
}

TEST(long_heads_and_bodies)
{
	static char big[HTTPHOST_HEAD_MAX + 1];
	enum httphost_state r = HTTPHOST_GOOD;

	memset(big, 'a', sizeof(big) - 1);
	start(80);
	CHECK(feed("GET / HTTP/1.1\r\nHost: example.org\r\nX: ") == HTTPHOST_MORE);
	CHECK(feed(big) == HTTPHOST_BAD);
	start(80);
	CHECK(feed("GET / HTTP/1.1\r\nHost: example.org\r\nX: ") == HTTPHOST_MORE);
	CHECK(httphost_feed(h, (const uint8_t *)big, 60000) == HTTPHOST_MORE);
	CHECK(feed("\r\nContent-Length: 6553600\r\n\r\n") == HTTPHOST_GOOD);
	for (int i = 0; i < 100; i++)
		r = feed(big);
	CHECK(r == HTTPHOST_GOOD && feed(OK_HEAD) == HTTPHOST_GOOD);
	start(80);
	CHECK(feed("GET / HTTP/1.1\r\nHost: ") == HTTPHOST_MORE && feed(big) != HTTPHOST_GOOD);
	(void)feed("\r\n\r\n");
	CHECK(strlen(httphost_why(h)) <= HOSTNAME_MAX);
	httphost_free(h);
	httphost_free(NULL);
	h = NULL;
}

TEST_MAIN()
