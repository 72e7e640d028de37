#include "net/tlslib.h"

#include "sys/library.h"

#include <stdbool.h>

struct tlslib tlslib;

#define ENTRY(type, name, arguments) {#name, &tlslib.name},
static const struct library_function functions[] = {TLSLIB_FUNCTIONS(ENTRY)};

static const struct library libssl = {
	.what = "secrets bound to hosts",
	.names = {"libssl.so.3"},
	.hint = "install OpenSSL 3's library (Debian: libssl3)",
};

int tlslib_load(struct err **e)
{
	const uint64_t no_config = 0x80; /* OPENSSL_INIT_NO_LOAD_CONFIG */
	static bool loaded;
	int r;

	if (loaded)
		return 0;
	/* Those of libcrypto are found through it, too: it is one of its dependencies. */
	r = library_load(&libssl, functions, ARRAY_SIZE(functions), e);
	if (r < 0)
		return r;
	/* The host's configuration is about the host's programs; and it names files that a shut-in process lacks. */
	if (!tlslib.OPENSSL_init_ssl(no_config, NULL))
		return library_failed(&libssl, "it does not initialise", e);
	loaded = true;
	return 0;
}

const char *tlslib_failure(void)
{
	const char *why = tlslib.ERR_reason_error_string(tlslib.ERR_peek_last_error());

	tlslib.ERR_clear_error();
	return why ? why : "unknown reason";
}

struct ssl_ctx_st *tlslib_context(void)
{
	/* openssl/ssl.h and openssl/tls1.h */
	enum { CTRL_MODE = 33, CTRL_SESS_CACHE_MODE = 44, CTRL_MIN_PROTO = 123, TLS1_2 = 0x0303 };
	enum { PARTIAL_WRITE = 1, MOVING_BUFFER = 2, RELEASE_BUFFERS = 0x10 };
	const uint64_t options = UINT64_C(1) << 17 | UINT64_C(1) << 30; /* NO_COMPRESSION, NO_RENEGOTIATION */
	struct ssl_ctx_st *ctx = tlslib.SSL_CTX_new(tlslib.TLS_method());

	if (!ctx)
		return NULL;
	(void)tlslib.SSL_CTX_set_options(ctx, options);
	/* Connections that wait have no buffers. */
	(void)tlslib.SSL_CTX_ctrl(ctx, CTRL_MODE, PARTIAL_WRITE | MOVING_BUFFER | RELEASE_BUFFERS, NULL);
	(void)tlslib.SSL_CTX_ctrl(ctx, CTRL_SESS_CACHE_MODE, 0, NULL);
	if (!tlslib.SSL_CTX_ctrl(ctx, CTRL_MIN_PROTO, TLS1_2, NULL)) {
		tlslib.SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}
