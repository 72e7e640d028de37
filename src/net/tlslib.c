#include "net/tlslib.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct tlslib tlslib;

#define ENTRY(type, name, arguments) {#name, &tlslib.name},
static const struct {
	const char *name;
	void *to;
} functions[] = {TLSLIB_FUNCTIONS(ENTRY)};

static int load_failed(struct err **e, const char *why)
{
	(void)err_set(e, ELIBACC, "secrets bound to hosts: cannot load libssl.so.3: %s", why ? why : "unknown reason");
	(void)err_hint(e, "install OpenSSL 3's library (Debian: libssl3)");
	return -ELIBACC;
}

int tlslib_load(struct err **e)
{
	const uint64_t no_config = 0x80; /* OPENSSL_INIT_NO_LOAD_CONFIG */
	static bool loaded;
	void *lib;

	if (loaded)
		return 0;
	lib = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
	if (!lib)
		return load_failed(e, dlerror());
	/* Those of libcrypto are found through it, too: it is one of its dependencies. */
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *p = dlsym(lib, functions[i].name);

		if (!p)
			return load_failed(e, dlerror());
		/* memcpy, because ISO C has no conversion from an object pointer to a function pointer. */
		memcpy(functions[i].to, &p, sizeof(p));
	}
	/* The host's configuration is about the host's programs; and it names files that a shut-in process lacks. */
	if (!tlslib.OPENSSL_init_ssl(no_config, NULL))
		return load_failed(e, "it does not initialise");
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
