/* The hellos are libssl's own client's, made in memory. */
#include "net/hello.h"
#include "test.h"

#include "base/mem.h"

#include <dlfcn.h>
#include <stdbool.h>

enum { CTRL_MIN = 123, CTRL_MAX = 124, CTRL_NAME = 55, TLS10 = 0x301, TLS12 = 0x303, TLS13 = 0x304 };

static struct {
	void *lib;
	const void *(*method)(void);
	void *(*ctx_new)(const void *method);
	void (*ctx_free)(void *ctx);
	long (*ctx_ctrl)(void *ctx, int what, long n, void *p);
	int (*ciphers)(void *ctx, const char *names);
	int (*custom)(void *ctx, unsigned type, void *add, void *release, void *arg, void *parse, void *parse_arg);
	void *(*new)(void *ctx);
	void (*free)(void *ssl);
	long (*ctrl)(void *ssl, int what, long n, void *p);
	void (*set_bio)(void *ssl, void *in, void *out);
	int (*connect)(void *ssl);
	void *(*bio_new)(const void *method);
	const void *(*bio_mem)(void);
	int (*bio_read)(void *bio, void *to, int n);
} tls;

static void find(const char *name, void *to)
{
	void *p = dlsym(tls.lib, name);

	CHECK(p);
	memcpy(to, &p, sizeof(p));
}

static void load(void)
{
	if (tls.lib)
		return;
	tls.lib = dlopen("libssl.so.3", RTLD_NOW);
	CHECK(tls.lib);
	find("TLS_client_method", &tls.method);
	find("SSL_CTX_new", &tls.ctx_new);
	find("SSL_CTX_free", &tls.ctx_free);
	find("SSL_CTX_ctrl", &tls.ctx_ctrl);
	find("SSL_CTX_set_cipher_list", &tls.ciphers);
	find("SSL_CTX_add_client_custom_ext", &tls.custom);
	find("SSL_new", &tls.new);
	find("SSL_free", &tls.free);
	find("SSL_ctrl", &tls.ctrl);
	find("SSL_set_bio", &tls.set_bio);
	find("SSL_connect", &tls.connect);
	find("BIO_new", &tls.bio_new);
	find("BIO_s_mem", &tls.bio_mem);
	find("BIO_read", &tls.bio_read);
}

struct bytes {
	uint8_t p[2 * HELLO_BYTES_MAX];
	size_t n;
};

static int add_ext(void *ssl, unsigned type, const unsigned char **out, size_t *n, int *alert, void *arg)
{
	static const unsigned char body[] = {0, 1, 2, 3};

	*out = body;
	*n = sizeof(body);
	return 1;
}

/* What a client of the versions min to max sends first. `ext` is a private extension to add, 0: none. */
static struct bytes client_hello(const char *name, int min, int max, unsigned ext)
{
	static struct bytes b;
	void *ctx, *ssl, *out;
	int n;

	load();
	ctx = tls.ctx_new(tls.method());
	CHECK(ctx && tls.ciphers(ctx, "ALL:@SECLEVEL=0"));
	CHECK(tls.ctx_ctrl(ctx, CTRL_MIN, min, NULL) && tls.ctx_ctrl(ctx, CTRL_MAX, max, NULL));
	if (ext) {
		void *add;
		int (*f)(void *, unsigned, const unsigned char **, size_t *, int *, void *) = add_ext;

		memcpy(&add, &f, sizeof(add));
		CHECK(tls.custom(ctx, ext, add, NULL, NULL, NULL, NULL));
	}
	ssl = tls.new(ctx);
	out = tls.bio_new(tls.bio_mem());
	tls.set_bio(ssl, tls.bio_new(tls.bio_mem()), out);
	if (name)
		CHECK(tls.ctrl(ssl, CTRL_NAME, 0, (void *)(uintptr_t)name));
	CHECK(tls.connect(ssl) < 0);
	n = tls.bio_read(out, b.p, sizeof(b.p));
	CHECK(n > 50);
	b.n = (size_t)n;
	tls.free(ssl);
	tls.ctx_free(ctx);
	return b;
}

static char seen[HOSTNAME_MAX + 1];

/* The state after all of it, `step` bytes at a time; that must not depend on the step. */
static enum hello_state in_steps(const struct bytes *b, size_t step)
{
	enum hello_state r = HELLO_MORE;
	struct hello *h = NULL;

	CHECK(hello_new(&h, NULL) == 0);
	CHECK_STR(hello_name(h), "");
	for (size_t i = 0; i < b->n && r == HELLO_MORE; i += step)
		r = hello_feed(h, b->p + i, b->n - i < step ? b->n - i : step);
	if (r != HELLO_MORE)
		CHECK(hello_feed(h, b->p, b->n) == r);
	CHECK(hello_feed(h, b->p, 0) == r);
	(void)snprintf(seen, sizeof(seen), "%s", hello_name(h));
	hello_free(h);
	return r;
}

static enum hello_state whole(const struct bytes *b)
{
	enum hello_state r = in_steps(b, b->n);

	CHECK(in_steps(b, 1) == r);
	CHECK(in_steps(b, 7) == r);
	return r;
}

/* The same handshake message in records of at most `size` bytes. */
static struct bytes fragment(const struct bytes *from, size_t size)
{
	static struct bytes b;

	b.n = 0;
	for (size_t i = 5; i < from->n; i += size) {
		size_t n = from->n - i < size ? from->n - i : size;

		memcpy(b.p + b.n, from->p, 3);
		b.p[b.n + 3] = (uint8_t)(n >> 8);
		b.p[b.n + 4] = (uint8_t)n;
		memcpy(b.p + b.n + 5, from->p + i, n);
		b.n += n + 5;
	}
	return b;
}

TEST(every_version)
{
	static const struct {
		int min, max;
	} v[] = {{TLS10, TLS10}, {TLS10, TLS12}, {TLS12, TLS12}, {TLS12, TLS13}, {TLS13, TLS13}, {0, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		struct bytes b = client_hello("Sub.Example.ORG", v[i].min, v[i].max, 0);

		CHECK(whole(&b) == HELLO_NAME);
		CHECK_STR(seen, "sub.example.org");
		b = client_hello(NULL, v[i].min, v[i].max, 0);
		CHECK(whole(&b) == HELLO_NO_NAME);
		CHECK_STR(seen, "");
	}
}

TEST(fragments)
{
	static const size_t sizes[] = {1, 3, 50, 200};
	struct bytes b = client_hello("example.org", 0, 0, 0);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct bytes f = fragment(&b, sizes[i]);

		CHECK(whole(&f) == HELLO_NAME);
		CHECK_STR(seen, "example.org");
	}
	for (size_t n = 1; n < b.n; n++) {
		struct bytes cut = b;

		cut.n = n;
		CHECK(in_steps(&cut, n) == HELLO_MORE);
	}
	/* What the client sends behind it, early data perhaps, does not matter. */
	memset(b.p + b.n, 0xff, 1000);
	b.n += 1000;
	CHECK(in_steps(&b, b.n) == HELLO_NAME);
}

TEST(encrypted_hello)
{
	struct bytes b = client_hello("cover.example.org", 0, 0, 0xfe0d);

	CHECK(whole(&b) == HELLO_ECH);
	CHECK_STR(seen, "cover.example.org");
	b = client_hello(NULL, 0, 0, 0xfe0d);
	CHECK(whole(&b) == HELLO_ECH);
	CHECK_STR(seen, "");
	b = client_hello("example.org", 0, 0, 0xfe0e);
	CHECK(whole(&b) == HELLO_NAME);
}

TEST(names_that_are_none)
{
	static const char *const names[] = {"1.2.3.4", "127.1", "::1", "a b.example.org", "ex\303\244mple.org",
					    "-a.org",  "a..b",  "%00", "*.example.org"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct bytes b = client_hello(names[i], 0, 0, 0);

		CHECK(whole(&b) == HELLO_BAD);
		CHECK_STR(seen, "");
	}
}

/* The extension's bytes are found by the name in them: type, length, list's length, entry's type, name's length. */
TEST(a_malformed_extension)
{
	struct bytes b = client_hello("example.org", 0, 0, 0);
	uint8_t *at = memmem(b.p, b.n, "example.org", 11);
	static const struct {
		int offset;
		uint8_t v;
	} changes[] = {{-1, 10}, {-1, 12}, {-1, 0},  {-3, 1}, {-3, 255}, {-4, 13},
		       {-4, 15}, {-5, 1},  {-6, 15}, {0, 0},  {3, '/'}};

	CHECK(at && at[-6] == 16 && at[-4] == 14 && at[-3] == 0 && at[-1] == 11);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		uint8_t old = at[changes[i].offset];

		at[changes[i].offset] = changes[i].v;
		CHECK(whole(&b) == HELLO_BAD);
		at[changes[i].offset] = old;
	}
	/* Under another number it is no name. */
	at[-9] = at[-8] = 0x7a;
	CHECK(whole(&b) == HELLO_NO_NAME);
}

TEST(garbage)
{
	static const struct {
		const char *p;
		size_t n;
	} no[] = {{"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 37},
		  {"SSH-2.0-OpenSSH_9.2\r\n", 21},
		  {"\0\0\0\0\0\0\0\0\0\0\0\0", 12},
		  {"\x17\x03\x03\0\x10"
		   "aaaaaaaaaaaaaaaa",
		   21},
		  {"\x14\x03\x03\0\1\1", 6},
		  {"\x16\x03\x01\xff\xff"
		   "aaaaaaaaaaaaaaaa",
		   21},
		  {"\x16\x03\x01\0\4\2\0\0\0", 9},
		  {"\x16\x03\x01\0\4\1\xff\xff\xff", 9}};

	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		struct bytes b = {.n = no[i].n};

		memcpy(b.p, no[i].p, no[i].n);
		if (whole(&b) != HELLO_BAD)
			printf("# %zu is not refused\n", i);
		CHECK(whole(&b) == HELLO_BAD);
	}
}

/* A hello as SSL 2 had them, offering TLS: it cannot have a name. */
TEST(an_old_form)
{
	struct bytes b = {.n = 0};
	static const uint8_t head[] = {0x80, 9 + 3 + 16, 1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 0x2f};

	memcpy(b.p, head, sizeof(head));
	memset(b.p + sizeof(head), 7, 16);
	b.n = sizeof(head) + 16;
	CHECK(whole(&b) == HELLO_NO_NAME);
}

TEST(too_long)
{
	struct hello *h = NULL;
	enum hello_state r = HELLO_MORE;
	static const uint8_t head[] = {0x16, 3, 1, 0x40, 0};
	static uint8_t body[0x4000];
	size_t fed = 0;

	/* A handshake message that claims 128 KiB, in full records. */
	CHECK(hello_new(&h, NULL) == 0);
	memcpy(body, "\1\2\0\0\3\3", 6);
	while (r == HELLO_MORE && fed < 3 * HELLO_BYTES_MAX) {
		(void)hello_feed(h, head, sizeof(head));
		r = hello_feed(h, body, sizeof(body));
		fed += sizeof(head) + sizeof(body);
	}
	CHECK(r == HELLO_BAD && fed < HELLO_BYTES_MAX + 0x5000);
	hello_free(h);
	hello_free(NULL);
}

TEST_MAIN()
