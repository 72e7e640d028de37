/* Theory of operation
 *
 * OpenSSL's server side is started on memory instead of a socket. Its client-hello callback runs when the hello is
 * complete and its extensions are split up, before a version, a cipher or a certificate is chosen; the callback copies
 * what is wanted and says "later", which ends the handshake there. What OpenSSL would send (alerts) goes nowhere.
 *
 * An extension that OpenSSL does not know is not kept for the callback, so encrypted_client_hello is registered as a
 * custom one. */
#include "net/hello.h"

#include "sys/library.h"

#include <errno.h>
#include <stdbool.h>

/* From openssl/ssl.h, openssl/tls1.h and openssl/crypto.h. The headers themselves use names that base/banned.h bans. */
enum {
	CLIENT_HELLO_RETRY = -1, /* SSL_CLIENT_HELLO_RETRY */
	CTRL_SET_MIN_PROTO_VERSION = 123,
	ERROR_WANT_READ = 2,
	EXT_CLIENT_HELLO = 0x80, /* SSL_EXT_CLIENT_HELLO */
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_ECH = 0xfe0d, /* RFC 9849 */
};
#define INIT_NO_LOAD_CONFIG UINT64_C(0x80)

typedef int (*hello_callback)(void *ssl, int *alert, void *arg);
/* SSL_custom_ext_parse_cb_ex */
typedef int (*parse_callback)(void *ssl, unsigned type, unsigned context, const unsigned char *in, size_t n, void *x509,
			      size_t chain, int *alert, void *arg);

/* libssl 3's ABI and a little of libcrypto's, which it brings along. */
static struct {
	void *ctx; /* SSL_CTX; set when all is loaded */
	int (*init)(uint64_t options, const void *settings);
	const void *(*server_method)(void);
	void *(*ctx_new)(const void *method);
	void (*ctx_free)(void *ctx);
	long (*ctx_ctrl)(void *ctx, int what, long n, void *p);
	void (*ctx_set_hello)(void *ctx, hello_callback callback, void *arg);
	int (*ctx_add_ext)(void *ctx, unsigned type, unsigned context, void *add, void *release, void *add_arg,
			   parse_callback parse, void *parse_arg);
	int (*ext_supported)(unsigned type);
	void *(*new)(void *ctx);
	void (*free)(void *ssl);
	void (*set_bio)(void *ssl, void *in, void *out);
	void (*set_accept)(void *ssl);
	int (*set_data)(void *ssl, int index, void *data);
	void *(*get_data)(const void *ssl, int index);
	int (*handshake)(void *ssl);
	int (*error)(const void *ssl, int result);
	int (*get_ext)(void *ssl, unsigned type, const unsigned char **ret, size_t *ret_n);
	void *(*bio_new)(const void *method);
	void (*bio_free)(void *bio); /* BIO_vfree */
	const void *(*bio_mem)(void);
	const void *(*bio_null)(void);
	int (*bio_write)(void *bio, const void *bytes, int n);
	void (*clear_errors)(void);
} tls;

static const struct library_function functions[] = {
	{"OPENSSL_init_ssl", &tls.init},
	{"TLS_server_method", &tls.server_method},
	{"SSL_CTX_new", &tls.ctx_new},
	{"SSL_CTX_free", &tls.ctx_free},
	{"SSL_CTX_ctrl", &tls.ctx_ctrl},
	{"SSL_CTX_set_client_hello_cb", &tls.ctx_set_hello},
	{"SSL_CTX_add_custom_ext", &tls.ctx_add_ext},
	{"SSL_extension_supported", &tls.ext_supported},
	{"SSL_new", &tls.new},
	{"SSL_free", &tls.free},
	{"SSL_set_bio", &tls.set_bio},
	{"SSL_set_accept_state", &tls.set_accept},
	{"SSL_set_ex_data", &tls.set_data},
	{"SSL_get_ex_data", &tls.get_data},
	{"SSL_do_handshake", &tls.handshake},
	{"SSL_get_error", &tls.error},
	{"SSL_client_hello_get0_ext", &tls.get_ext},
	{"BIO_new", &tls.bio_new},
	{"BIO_vfree", &tls.bio_free},
	{"BIO_s_mem", &tls.bio_mem},
	{"BIO_s_null", &tls.bio_null},
	{"BIO_write", &tls.bio_write},
	{"ERR_clear_error", &tls.clear_errors},
};

struct hello {
	void *ssl; /* SSL; NULL once the state is final */
	void *in;  /* the BIO it reads, owned by it */
	size_t fed;
	enum hello_state state;
	char name[HOSTNAME_MAX + 1];
};

/* The one host_name of a server_name extension (RFC 6066, 3). A server that finds two, or another type first, might
 * take either; an empty list is what servers send. */
static bool read_name(const unsigned char *p, size_t n, char ret[HOSTNAME_MAX + 1])
{
	if (n < 5 || (size_t)(p[0] << 8 | p[1]) != n - 2 || p[2] != 0 || (size_t)(p[3] << 8 | p[4]) != n - 5)
		return false;
	p += 5;
	n -= 5;
	/* A-labels only: what a server makes of other bytes is anyone's guess. */
	for (size_t i = 0; i < n; i++)
		if (p[i] >= 0x80)
			return false;
	return hostname_normalise((const char *)p, n, ret, NULL) == 0;
}

static int on_hello(void *ssl, int *alert, void *arg)
{
	struct hello *h = tls.get_data(ssl, 0);
	const unsigned char *p;
	size_t n;

	(void)alert;
	(void)arg;
	h->state = HELLO_NO_NAME;
	if (tls.get_ext(ssl, EXTENSION_SERVER_NAME, &p, &n))
		h->state = read_name(p, n, h->name) ? HELLO_NAME : HELLO_BAD;
	if (h->state != HELLO_BAD && tls.get_ext(ssl, EXTENSION_ECH, &p, &n))
		h->state = HELLO_ECH;
	return CLIENT_HELLO_RETRY;
}

/* Never called: on_hello() ends the handshake first. OpenSSL wants one. */
static int refuse_ext(void *ssl, unsigned type, unsigned context, const unsigned char *in, size_t n, void *x509,
		      size_t chain, int *alert, void *arg)
{
	return 0;
}

static const struct library libssl = {
	.what = "TLS names",
	.names = {"libssl.so.3"},
	.hint = "install OpenSSL 3's library (Debian: libssl3)",
};

static bool set_up(void *ctx)
{
	/* 0: whatever the library can; reading a hello agrees to nothing. */
	if (!tls.ctx_ctrl(ctx, CTRL_SET_MIN_PROTO_VERSION, 0, NULL))
		return false;
	tls.ctx_set_hello(ctx, on_hello, NULL);
	return tls.ext_supported(EXTENSION_ECH) ||
	       tls.ctx_add_ext(ctx, EXTENSION_ECH, EXT_CLIENT_HELLO, NULL, NULL, NULL, refuse_ext, NULL) == 1;
}

static int load(struct err **e)
{
	void *ctx;
	int r;

	if (tls.ctx)
		return 0;
	r = library_load(&libssl, functions, ARRAY_SIZE(functions), e);
	if (r < 0)
		return r;
	/* The host's openssl.cnf says what its programs may agree to; here it could only hide hellos. Not unloaded
	 * from here on: the libraries have registered their exit handlers. */
	if (!tls.init(INIT_NO_LOAD_CONFIG, NULL))
		return library_failed(&libssl, "it does not initialise", e);
	ctx = tls.ctx_new(tls.server_method());
	if (!ctx || !set_up(ctx)) {
		tls.ctx_free(ctx);
		tls.clear_errors();
		return library_failed(&libssl, "it cannot be set up", e);
	}
	tls.ctx = ctx;
	return 0;
}

int hello_new(struct hello **ret, struct err **e)
{
	struct hello *h;
	void *out;
	int r = load(e);

	if (r < 0)
		return r;
	h = xcalloc(1, sizeof(*h));
	h->ssl = tls.new(tls.ctx);
	h->in = tls.bio_new(tls.bio_mem());
	out = tls.bio_new(tls.bio_null());
	if (!h->ssl || !h->in || !out || !tls.set_data(h->ssl, 0, h)) {
		tls.bio_free(out);
		tls.bio_free(h->in);
		hello_free(h);
		tls.clear_errors();
		return err_set(e, EIO, "TLS names: libssl cannot start a connection");
	}
	tls.set_bio(h->ssl, h->in, out);
	tls.set_accept(h->ssl);
	*ret = h;
	return 0;
}

void hello_free(struct hello *h)
{
	if (!h)
		return;
	if (h->ssl)
		tls.free(h->ssl);
	free(h);
}

enum hello_state hello_feed(struct hello *h, const uint8_t *bytes, size_t n)
{
	int r;

	if (h->state != HELLO_MORE || n == 0)
		return h->state;
	if (n > HELLO_BYTES_MAX - h->fed)
		n = HELLO_BYTES_MAX - h->fed;
	h->fed += n;
	if (tls.bio_write(h->in, bytes, (int)n) != (int)n) {
		h->state = HELLO_BAD;
	} else {
		tls.clear_errors(); /* SSL_get_error(3) would take an old one for this one's */
		r = tls.handshake(h->ssl);
		if (h->state == HELLO_MORE && tls.error(h->ssl, r) != ERROR_WANT_READ)
			h->state = HELLO_BAD;
	}
	if (h->state == HELLO_MORE && h->fed == HELLO_BYTES_MAX)
		h->state = HELLO_BAD;
	if (h->state != HELLO_MORE) {
		tls.clear_errors();
		tls.free(take_ptr(h->ssl));
		h->in = NULL;
	}
	return h->state;
}

const char *hello_name(const struct hello *h)
{
	return h->name;
}
