/* Secrets that are bound to hosts: where a placeholder is replaced and where not, the box's certificate authority, and
 * the broker between a client and a server that both speak TLS. */
#include "box/secretbind.h"
#include "fmt/base64.h"
#include "net/authority.h"
#include "net/broker.h"
#include "net/handoff.h"
#include "net/jks.h"
#include "net/rewrite.h"
#include "net/tlslib.h"
#include "sys/fd.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOKEN "igloo_TOKEN_00112233445566778899aabbccddeeff"
#define OTHER "igloo_OTHER_ffeeddccbbaa99887766554433221100"

static const struct inject two = {
	.v = {{.placeholder = TOKEN, .value = "s3cret", .n = 6}, {.placeholder = OTHER, .value = "x y", .n = 3}},
	.n = 2,
};

/* --- base64, values ----------------------------------------------------------------------------------------------- */

static bool decodes(const char *digits, const char *to)
{
	_cleanup_str_ struct str s = STR_INIT;

	return base64_decode(digits, strlen(digits), &s) && strcmp(str_text(&s), to) == 0;
}

TEST(base64)
{
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "Zm9v====", "Zm 9", "Zm-v", "=", "====", "Zg==Zg=="};
	static const char plain[] = "foobar";

	for (size_t n = 0; n <= 6; n++) {
		_cleanup_str_ struct str digits = STR_INIT;
		_cleanup_str_ struct str again = STR_INIT;

		base64_encode(plain, n, &digits);
		CHECK(digits.len == (n + 2) / 3 * 4);
		CHECK(base64_decode(str_text(&digits), digits.len, &again) && again.len == n);
		CHECK(n == 0 || memcmp(again.p, plain, n) == 0);
	}
	CHECK(decodes("Zm9vYg==", "foob") && decodes("", ""));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(!decodes(bad[i], "f") && !decodes(bad[i], ""));
}

static bool injects(const char *value, const char *to)
{
	_cleanup_inject_ struct str s = STR_INIT;
	bool changed = inject_value(&two, value, strlen(value), &s);

	return changed == (to != NULL) && strcmp(str_text(&s), to ? to : "") == 0;
}

TEST(inject)
{
	_cleanup_str_ struct str basic = STR_INIT;
	_cleanup_str_ struct str expected = STR_INIT;

	CHECK(injects("Bearer " TOKEN, "Bearer s3cret") && injects(TOKEN, "s3cret"));
	CHECK(injects("a" TOKEN "b" OTHER TOKEN, "as3cretbx ys3cret"));
	CHECK(injects("Bearer igloo_TOKEN_00112233445566778899aabbccddeef", NULL) && injects("", NULL));
	str_adds(&basic, "basic  ");
	base64_encode("user:" TOKEN, strlen("user:" TOKEN), &basic);
	str_adds(&expected, "basic  ");
	base64_encode("user:s3cret", strlen("user:s3cret"), &expected);
	CHECK(injects(str_text(&basic), str_text(&expected)));
	CHECK(injects("Basic dXNlcjpwdw==", NULL) && injects("Basic ####", NULL) && injects("Basic", NULL));
	CHECK(injects("Basic " TOKEN, "Basic s3cret")); /* no Base64: as it is */
	CHECK(inject_is_credential("authorization", 13) && inject_is_credential("X-API-KEY", 9));
	CHECK(!inject_is_credential("Authorizatio", 12) && !inject_is_credential("User-Agent", 10));
	CHECK(!inject_is_credential("Cookie", 6) && !inject_is_credential("Proxy-Authorization", 19));
	CHECK(inject_value_is_good("a b", 3) && !inject_value_is_good("", 0) && !inject_value_is_good("a\nb", 3));
	CHECK(!inject_value_is_good("a\rb", 3) && !inject_value_is_good("a\0b", 3) && !inject_value_is_good("a ", 2));
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

/* Fed in two pieces, or byte by byte (at == 0). What goes on, or NULL when it is refused. */
static char *rewritten(const char *text, size_t at)
{
	_cleanup_str_ struct str out = STR_INIT;
	struct rewrite *w;
	const uint8_t *p = (const uint8_t *)text;
	size_t n = strlen(text);
	bool good = true;

	if (rewrite_new("api.example.org", 443, &two, &w, NULL) < 0)
		abort();
	for (size_t i = 0; i < n && good;) {
		size_t piece = at == 0 ? 1 : i < at ? at - i : n - i;

		piece = piece < n - i ? piece : n - i;
		good = rewrite_feed(w, p + i, piece, &out);
		i += piece;
	}
	if (!good && !*rewrite_why(w))
		abort();
	rewrite_free(w);
	return good ? xstrdup(str_text(&out)) : NULL;
}

static bool passes(const char *text, const char *to)
{
	for (size_t at = 0; at <= strlen(text); at++) {
		_cleanup_free_ char *got = rewritten(text, at);

		if (!got != !to || (to && strcmp(got, to) != 0)) {
			printf("# at %zu: %s\n", at, got ? got : "refused");
			return false;
		}
	}
	return true;
}

#define HOST_LINE "Host: api.example.org\r\n"

TEST(rewrite)
{
	CHECK(passes("GET /" TOKEN " HTTP/1.1\r\n" HOST_LINE "Authorization: Bearer " TOKEN "\r\nUser-Agent: " TOKEN
		     "\r\n\r\n",
		     "GET /" TOKEN " HTTP/1.1\r\n" HOST_LINE "Authorization: Bearer s3cret\r\nUser-Agent: " TOKEN
		     "\r\n\r\n"));
	/* Bodies, trailers and chunk extensions pass as they come; behind them comes the next request. */
	CHECK(passes("POST / HTTP/1.1\r\n" HOST_LINE "Content-Length: 44\r\nExpect: 100-continue\r\n\r\n" TOKEN
		     "PUT /a HTTP/1.1\r\nX-Api-Key:" OTHER "\r\n" HOST_LINE "Transfer-Encoding: chunked\r\n\r\n"
		     "2c;x=" TOKEN "\r\n" TOKEN "\r\n0\r\nX-Trailer: " TOKEN "\r\n\r\n"
		     "HEAD https://api.example.org/ HTTP/1.1\r\nprivate-token:  " TOKEN
		     " \r\nHOST: API.example.org:443\r\n\r\n",
		     "POST / HTTP/1.1\r\n" HOST_LINE "Content-Length: 44\r\nExpect: 100-continue\r\n\r\n" TOKEN
		     "PUT /a HTTP/1.1\r\nX-Api-Key:x y\r\n" HOST_LINE "Transfer-Encoding: chunked\r\n\r\n"
		     "2c;x=" TOKEN "\r\n" TOKEN "\r\n0\r\nX-Trailer: " TOKEN "\r\n\r\n"
		     "HEAD https://api.example.org/ HTTP/1.1\r\nprivate-token:  s3cret\r\nHOST: "
		     "API.example.org:443\r\n\r\n"));
	/* Nothing to replace: not a byte changes. */
	CHECK(passes("GET / HTTP/1.0\r\n" HOST_LINE "Authorization:  Basic dTpw \r\nCookie: " TOKEN "\r\n\r\n",
		     "GET / HTTP/1.0\r\n" HOST_LINE "Authorization:  Basic dTpw \r\nCookie: " TOKEN "\r\n\r\n"));
}

TEST(rewrite_refuses)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
		"GET / HTTP/1.1\r\n" HOST_LINE "Host: example.org\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: api.example.org:80\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"GET http://api.example.org/ HTTP/1.1\r\n" HOST_LINE "\r\n",
		"GET https://example.org/ HTTP/1.1\r\n" HOST_LINE "\r\n",
		"TRACE / HTTP/1.1\r\n" HOST_LINE "\r\n",
		"CONNECT api.example.org:443 HTTP/1.1\r\n" HOST_LINE "\r\n",
		"GET / HTTP/1.1\r\n" HOST_LINE "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"GET / HTTP/1.1\r\n" HOST_LINE "Upgrade: h2c\r\n\r\n",
		"GET / HTTP/1.1\r\n" HOST_LINE "Authorization : Bearer " TOKEN "\r\n\r\n",
		"GET / HTTP/1.1\r\n" HOST_LINE "Authorization: Bearer\r\n " TOKEN "\r\n\r\n",
		"GET / HTTP/1.1\n" HOST_LINE "\r\n",
		"POST / HTTP/1.1\r\n" HOST_LINE "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1\r\n" HOST_LINE "\r\nGET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(passes(bad[i], NULL));
}

TEST(rewrite_bounds)
{
	static char large[INJECT_VALUE_MAX];
	struct inject in = {.v = {{.placeholder = TOKEN, .value = large, .n = sizeof(large)}}, .n = 1};
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_str_ struct str text = STR_INIT;
	struct rewrite *w;

	memset(large, 'v', sizeof(large));
	str_adds(&text, "GET / HTTP/1.1\r\n" HOST_LINE);
	for (int i = 0; i < 100; i++)
		str_adds(&text, "X-Api-Key: " TOKEN "\r\n");
	str_adds(&text, "\r\n");
	CHECK(rewrite_new("api.example.org", 443, &in, &w, NULL) == 0);
	CHECK(!rewrite_feed(w, (const uint8_t *)text.p, text.len, &out));
	CHECK_STR(rewrite_why(w), "too long a head");
	CHECK(!rewrite_feed(w, (const uint8_t *)text.p, text.len, &out));
	rewrite_free(w);
}

/* --- options ------------------------------------------------------------------------------------------------------ */

static bool binds(const char *text, const char *host, const char *normal)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_free_ char *got = NULL;
	_cleanup_free_ char *again = NULL;

	if (secretbind_parse(text, &name, &got, NULL) < 0)
		return !normal;
	again = secretbind_text(name, got);
	return normal && !got == !host && (!host || strcmp(got, host) == 0) && strcmp(again, normal) == 0;
}

TEST(options)
{
	static const char *const bad[] = {"A@",        "@h.test",     "A@*.h.test", "A@1.2.3.4",      "A@[::1]",
					  "A@h.test:", "A@h.test:80", "A@h.test:0", "A@h.test:65536", "A@h.test:443x",
					  "A@h test",  "A@h@i",       "a-b@h.test"};

	CHECK(binds("A", NULL, "A") && binds("A@API.h.test.", "api.h.test:443", "A@api.h.test"));
	CHECK(binds("A@h.test:443", "h.test:443", "A@h.test") &&
	      binds("A@h.test:8443", "h.test:8443", "A@h.test:8443"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK(binds(bad[i], NULL, NULL));
}

/* --- TLS ---------------------------------------------------------------------------------------------------------- */

static struct authority *authority_of(const char *host, time_t now)
{
	_cleanup_strv_ struct strv hosts = STRV_INIT;
	struct authority *a;

	strv_add(&hosts, host);
	strv_add(&hosts, "second.example.org");
	if (authority_new(&hosts, now, &a, NULL) < 0)
		abort();
	return a;
}

TEST(authority)
{
	const time_t day = 24 * 3600;
	const time_t now = time(NULL);
	struct authority *a = authority_of("api.example.org", now);
	struct ssl_ctx_st *first, *ctx;

	CHECK(strstr(authority_pem(a), "BEGIN CERTIFICATE") && !strstr(authority_pem(a), "PRIVATE"));
	CHECK(authority_context(a, "api.example.org", now, &first, NULL) == 0);
	CHECK(authority_context(a, "api.example.org", now + 5 * day, &ctx, NULL) == 0 && ctx == first);
	CHECK(authority_context(a, "second.example.org", now, &ctx, NULL) == 0 && ctx != first);
	CHECK(authority_context(a, "example.org", now, &ctx, NULL) == -ENOENT);
	/* It ends, and a new one is made; so it is when the clock goes back. */
	CHECK(authority_context(a, "api.example.org", now + 30 * day, &ctx, NULL) == 0);
	CHECK(authority_context(a, "api.example.org", now - day, &ctx, NULL) == 0);
	/* The last day of the authority, and the end of it. */
	CHECK(authority_context(a, "api.example.org", now + (AUTHORITY_DAYS - 1) * day, &ctx, NULL) == 0);
	CHECK(authority_context(a, "api.example.org", now + AUTHORITY_DAYS * day, &ctx, NULL) == -EKEYEXPIRED);
	CHECK(authority_context(a, "api.example.org", now - 3 * day, &ctx, NULL) == -EKEYEXPIRED);
	CHECK(authority_context(a, "api.example.org", now, &ctx, NULL) == 0);
	authority_free(a);
}

TEST(jks)
{
	static const uint8_t head[] = {0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 2};
	struct authority *a = authority_of("api.example.org", time(NULL));
	_cleanup_free_ char *pem = xasprintf(
		"# text\n%s\n%s-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", authority_pem(a),
		authority_pem(a));
	_cleanup_str_ struct str s = STR_INIT;

	CHECK(jks_add(pem, &s) == 2 && s.len > 600 && memcmp(s.p, head, sizeof(head)) == 0);
	str_clear(&s);
	CHECK(jks_add("", &s) == 0 && s.len == 12 + 20);
	authority_free(a);
}

/* A blocking client or server on this socket. */
static struct ssl_st *tls_on(int fd, struct ssl_ctx_st *ctx, bool server)
{
	struct ssl_st *ssl = tlslib.SSL_new(ctx);
	struct bio_st *io = tlslib.BIO_new_socket(fd, 0);

	tlslib.SSL_set_bio(ssl, io, io);
	if (server)
		tlslib.SSL_set_accept_state(ssl);
	else
		tlslib.SSL_set_connect_state(ssl);
	return ssl;
}

/* Answers each request with its head, until the end. */
static void serve(int fd, struct authority *a, const char *host)
{
	struct ssl_ctx_st *ctx;
	struct ssl_st *ssl;
	char text[8192];
	int n;

	if (authority_context(a, host, time(NULL), &ctx, NULL) < 0)
		_exit(1);
	ssl = tls_on(fd, ctx, true);
	if (tlslib.SSL_do_handshake(ssl) != 1)
		_exit(1);
	while ((n = tlslib.SSL_read(ssl, text, sizeof(text))) > 0) {
		char head[64];
		int k = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n);

		if (tlslib.SSL_write(ssl, head, k) != k || tlslib.SSL_write(ssl, text, n) != n)
			_exit(1);
	}
	(void)tlslib.SSL_shutdown(ssl);
	_exit(0);
}

struct world {
	struct authority *theirs; /* the server's, which the broker trusts */
	pid_t pid;
	int control;
	int engine;
	char *ca;
	uint32_t serial;
};

static int memory(const char *text)
{
	int fd = memfd_create("value", MFD_CLOEXEC);

	if (fd_write_all(fd, text, strlen(text)) < 0)
		abort();
	return fd;
}

static void open_world(struct world *w)
{
	struct broker_secret secrets[] = {
		{.name = "TOKEN", .placeholder = TOKEN, .host = "api.example.org", .port = 443},
		{.name = "OTHER", .placeholder = OTHER, .host = "api.example.org", .port = 8443},
	};
	_cleanup_str_ struct str roots = STR_INIT;
	struct broker_config config = {.secrets = secrets, .n = 2, .roots = &roots};
	struct err *e = NULL;

	(void)signal(SIGPIPE, SIG_IGN);
	*w = (struct world){.theirs = authority_of("api.example.org", time(NULL))};
	str_adds(&roots, authority_pem(w->theirs));
	secrets[0].fd = memory("s3cret-value");
	secrets[1].fd = memory("another-value");
	if (broker_start(&config, &w->pid, &w->control, &w->engine, &w->ca, &e) < 0) {
		printf("# %s\n", err_message(e));
		abort();
	}
	(void)close(secrets[0].fd);
	(void)close(secrets[1].fd);
}

static void close_world(struct world *w)
{
	(void)close(w->control);
	(void)close(w->engine);
	(void)waitpid(w->pid, NULL, 0);
	authority_free(w->theirs);
	free(w->ca);
}

/* What the engine does: a server that answers with a certificate of `server`, a client of the box's at *ret_fd. */
static pid_t connect_world(struct world *w, const char *host, uint16_t port, struct authority *server, int *ret_fd)
{
	struct handoff h = {.id = {.index = 7, .serial = ++w->serial}, .port = port};
	int box[2], far[2];
	pid_t pid;

	(void)snprintf(h.host, sizeof(h.host), "%s", host);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, box) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, far) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int fd = 3; fd < 64; fd++)
			if (fd != far[1])
				(void)close(fd);
		serve(far[1], server, "api.example.org");
	}
	(void)close(far[1]);
	(void)fd_set_nonblock(box[0], true);
	(void)fd_set_nonblock(far[0], true);
	if (handoff_send(w->engine, &h, (const uint8_t *)"", 0, box[0], far[0]) < 0)
		abort();
	(void)close(box[0]);
	(void)close(far[0]);
	*ret_fd = box[1];
	return pid;
}

static struct ssl_st *client(const struct world *w, int fd, const char *host)
{
	struct ssl_ctx_st *ctx = tlslib_context();
	struct bio_st *in = tlslib.BIO_new_mem_buf(w->ca, -1);
	struct x509_st *cert = tlslib.PEM_read_bio_X509(in, NULL, NULL, NULL);
	struct ssl_st *ssl;

	(void)tlslib.X509_STORE_add_cert(tlslib.SSL_CTX_get_cert_store(ctx), cert);
	tlslib.X509_free(cert);
	tlslib.BIO_vfree(in);
	tlslib.SSL_CTX_set_verify(ctx, 1, NULL);
	ssl = tls_on(fd, ctx, false);
	tlslib.SSL_CTX_free(ctx);
	(void)tlslib.SSL_set1_host(ssl, host);
	return ssl;
}

/* Reads until `end` is in it. */
static char *answer_to(struct ssl_st *ssl, const char *request, const char *end)
{
	_cleanup_str_ struct str s = STR_INIT;
	char text[8192];
	int n = 1;

	if (tlslib.SSL_write(ssl, request, (int)strlen(request)) != (int)strlen(request))
		return NULL;
	while (!strstr(str_text(&s), end) && (n = tlslib.SSL_read(ssl, text, sizeof(text))) > 0)
		str_add(&s, text, (size_t)n);
	return str_take(&s);
}

static bool next_end(const struct world *w, struct handoff_end *ret)
{
	struct pollfd p = {.fd = w->engine, .events = POLLIN};

	return poll(&p, 1, 10000) == 1 && handoff_receive_end(w->engine, ret) == 1;
}

TEST(broker)
{
	static const char request[] = "GET /" TOKEN " HTTP/1.1\r\n" HOST_LINE "Authorization: Bearer " TOKEN
				      "\r\nX-Api-Key: " OTHER "\r\n\r\n";
	struct handoff_end end;
	struct world w;
	struct ssl_st *ssl;
	pid_t server;
	int fd;

	open_world(&w);
	server = connect_world(&w, "api.example.org", 443, w.theirs, &fd);
	ssl = client(&w, fd, "api.example.org");
	CHECK(tlslib.SSL_do_handshake(ssl) == 1);
	for (int i = 0; i < 3; i++) {
		_cleanup_free_ char *answer = answer_to(ssl, request, OTHER "\r\n\r\n");

		CHECK(answer && strstr(answer, "GET /" TOKEN) && strstr(answer, "Bearer s3cret-value\r\n"));
		CHECK(!strstr(answer, "another-value"));
	}
	(void)tlslib.SSL_shutdown(ssl);
	(void)shutdown(fd, SHUT_WR);
	CHECK(next_end(&w, &end) && end.id.index == 7 && end.id.serial == w.serial && end.reason == 0);
	tlslib.SSL_free(ssl);
	(void)close(fd);
	(void)waitpid(server, NULL, 0);
	close_world(&w);
}

TEST(broker_refuses)
{
	static const struct {
		const char *name;
		const char *request;
		const char *answer; /* NULL: none */
		unsigned reason;
		uint16_t port;
		bool trusted;
	} cases[] = {
		{"api.example.org", "GET / HTTP/1.1\r\n" HOST_LINE "\r\n", "502 Bad Gateway", ENGINE_DENIED_CERTIFICATE,
		 443, false},
		{"api.example.org", "TRACE / HTTP/1.1\r\n" HOST_LINE "\r\n", "400 Bad Request", ENGINE_DENIED_HTTP_HOST,
		 443, true},
		{"api.example.org", "GET / HTTP/1.1\r\nHost: second.example.org\r\n\r\n", "400 Bad Request",
		 ENGINE_DENIED_HTTP_HOST, 443, true},
		{"api.example.org", NULL, NULL, ENGINE_FAILED, 444, true},
		{"second.example.org", NULL, NULL, ENGINE_FAILED, 443, true},
	};
	struct authority *wrong = authority_of("api.example.org", time(NULL));
	struct world w;

	open_world(&w);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd;
		pid_t server = connect_world(&w, cases[i].name, cases[i].port, cases[i].trusted ? w.theirs : wrong,
					     &fd);
		struct ssl_st *ssl = client(&w, fd, cases[i].name);
		struct handoff_end end;
		int r = tlslib.SSL_do_handshake(ssl);

		CHECK((r == 1) == (cases[i].answer != NULL));
		if (cases[i].answer) {
			_cleanup_free_ char *answer = answer_to(ssl, cases[i].request, "igloo: ");

			CHECK(answer && strstr(answer, cases[i].answer));
		}
		(void)tlslib.SSL_shutdown(ssl);
		(void)shutdown(fd, SHUT_WR);
		CHECK(next_end(&w, &end) && end.reason == cases[i].reason && *end.detail);
		tlslib.SSL_free(ssl);
		(void)close(fd);
		(void)kill(server, SIGKILL);
		(void)waitpid(server, NULL, 0);
	}
	authority_free(wrong);
	close_world(&w);
}

/* AddressSanitizer keeps what is freed. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
static const bool measures = false;
#else
static const bool measures = true;
#endif

static size_t memory_kib(pid_t pid)
{
	_cleanup_str_ struct str text = STR_INIT;
	char path[64];
	_cleanup_close_ int fd = -1;
	const char *p;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)fd_read_all(fd, 65536, &text, NULL);
	p = strstr(str_text(&text), "VmRSS:");
	return p ? strtoul(p + 6, NULL, 10) : 0;
}

TEST(broker_many)
{
	enum { MANY = 150 };
	static const char request[] = "GET / HTTP/1.1\r\n" HOST_LINE "Authorization: Bearer " TOKEN "\r\n\r\n";
	struct ssl_st *ssl[MANY];
	pid_t servers[MANY];
	int fds[MANY];
	struct world w;
	size_t before = 0;
	size_t after;

	open_world(&w);
	for (int i = 0; i < MANY; i++) {
		_cleanup_free_ char *answer = NULL;

		if (i == MANY / 3)
			before = memory_kib(w.pid);
		servers[i] = connect_world(&w, "api.example.org", 443, w.theirs, &fds[i]);
		ssl[i] = client(&w, fds[i], "api.example.org");
		CHECK(tlslib.SSL_do_handshake(ssl[i]) == 1);
		answer = answer_to(ssl[i], request, "s3cret-value\r\n\r\n");
		CHECK(answer && strstr(answer, "Bearer s3cret-value\r\n"));
	}
	after = memory_kib(w.pid);
	printf("# %d idle connections: %zu KiB each\n", MANY, (after - before) / (MANY - MANY / 3));
	CHECK(!measures || after - before < (MANY - MANY / 3) * 80);
	/* Ended in all ways: by the client, by the server, in the middle of a request, by neither. */
	for (int i = 0; i < MANY; i++) {
		if (i % 4 == 0)
			(void)tlslib.SSL_shutdown(ssl[i]);
		if (i % 4 == 1)
			(void)kill(servers[i], SIGKILL);
		if (i % 4 == 2)
			(void)tlslib.SSL_write(ssl[i], request, 30);
		(void)shutdown(fds[i], SHUT_RDWR);
		(void)close(fds[i]);
		tlslib.SSL_free(ssl[i]);
	}
	for (int i = 0; i < MANY; i++) {
		struct handoff_end end;

		CHECK(next_end(&w, &end));
		(void)kill(servers[i], SIGKILL);
		(void)waitpid(servers[i], NULL, 0);
	}
	close_world(&w);
}

/* Both ways: what nobody reads stays with its sender. */
TEST(broker_slow_reader)
{
	static char much[1 << 20];
	struct world w;
	struct ssl_st *ssl;
	size_t before, sent = 0;
	pid_t server;
	int fd;

	open_world(&w);
	server = connect_world(&w, "api.example.org", 443, w.theirs, &fd);
	ssl = client(&w, fd, "api.example.org");
	CHECK(tlslib.SSL_do_handshake(ssl) == 1);
	before = memory_kib(w.pid);
	/* It sends back what it gets, and nobody takes that. */
	CHECK(tlslib.SSL_write(ssl, "PUT / HTTP/1.1\r\n" HOST_LINE "Content-Length: 99999999\r\n\r\n", 67) == 67);
	(void)fd_set_nonblock(fd, true);
	for (int i = 0; i < 50; i++) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		int n = tlslib.SSL_write(ssl, much, sizeof(much));

		sent += n > 0 ? (size_t)n : 0;
		if (n <= 0 && poll(&p, 1, 100) == 0)
			break;
	}
	printf("# %zu bytes went, %zu KiB more\n", sent, memory_kib(w.pid) - before);
	CHECK(sent < 8 << 20 && (!measures || memory_kib(w.pid) < before + 512));
	tlslib.SSL_free(ssl);
	(void)close(fd);
	(void)kill(server, SIGKILL);
	(void)waitpid(server, NULL, 0);
	close_world(&w);
}

TEST(broker_values)
{
	static const char *const bad[] = {"two\nlines", "carriage\rreturn", " blank", ""};
	_cleanup_str_ struct str roots = STR_INIT;
	struct broker_secret secret = {.name = "TOKEN", .placeholder = TOKEN, .host = "api.example.org", .port = 443};
	struct broker_config config = {.secrets = &secret, .n = 1, .roots = &roots};
	struct authority *a = authority_of("api.example.org", time(NULL));
	char *ca = NULL;
	int control, engine;
	pid_t pid;

	str_adds(&roots, authority_pem(a));
	authority_free(a);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err *e = NULL;

		secret.fd = memory(bad[i]);
		CHECK(broker_start(&config, &pid, &control, &engine, &ca, &e) == -EINVAL);
		CHECK(strstr(err_message(e), "TOKEN") && (!*bad[i] || !strstr(err_message(e), bad[i])));
		err_free(e);
		(void)close(secret.fd);
	}
	str_clear(&roots);
	secret.fd = memory("fine");
	CHECK(broker_start(&config, &pid, &control, &engine, &ca, NULL) == -ENOENT);
	(void)close(secret.fd);
}

TEST_MAIN()
