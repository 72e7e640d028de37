/* libssl and libcrypto of OpenSSL 3, loaded with dlopen, as the broker (net/broker.h) uses them: to the library's names
 * `tlslib.` is put in front. The types are the library's own structures, which nobody here looks into.
 *
 * The signatures are those of openssl/{ssl,x509,x509v3,evp,pem,bio,err}.h of 3.0, whose ABI 3.x keeps. The headers
 * themselves use names that base/banned.h bans. */
#ifndef IGLOO_NET_TLSLIB_H
#define IGLOO_NET_TLSLIB_H

#include "base/err.h"

#include <stdint.h>
#include <time.h>

struct asn1_string_st;
struct bio_method_st;
struct bio_st;
struct evp_md_st;
struct evp_pkey_st;
struct ssl_ctx_st;
struct ssl_method_st;
struct ssl_st;
struct X509_extension_st;
struct X509_name_st;
struct x509_st;
struct x509_store_st;

/* SSL_CTX_alpn_select_cb_func */
typedef int (*tlslib_alpn)(struct ssl_st *ssl, const unsigned char **out, unsigned char *n_out, const unsigned char *in,
			   unsigned n_in, void *arg);

#define TLSLIB_FUNCTIONS(F)                                                                                     \
	F(int, OPENSSL_init_ssl, (uint64_t options, const void *settings))                                      \
	F(const struct ssl_method_st *, TLS_method, (void))                                                     \
	F(struct ssl_ctx_st *, SSL_CTX_new, (const struct ssl_method_st *method))                               \
	F(void, SSL_CTX_free, (struct ssl_ctx_st * ctx))                                                        \
	F(long, SSL_CTX_ctrl, (struct ssl_ctx_st * ctx, int what, long n, void *p))                             \
	F(uint64_t, SSL_CTX_set_options, (struct ssl_ctx_st * ctx, uint64_t options))                           \
	F(void, SSL_CTX_set_alpn_select_cb, (struct ssl_ctx_st * ctx, tlslib_alpn callback, void *arg))         \
	F(int, SSL_CTX_set_alpn_protos, (struct ssl_ctx_st * ctx, const unsigned char *protos, unsigned n))     \
	F(struct x509_store_st *, SSL_CTX_get_cert_store, (const struct ssl_ctx_st *ctx))                       \
	F(void, SSL_CTX_set_verify, (struct ssl_ctx_st * ctx, int mode, void *callback))                        \
	F(int, SSL_CTX_use_certificate, (struct ssl_ctx_st * ctx, struct x509_st * cert))                       \
	F(int, SSL_CTX_use_PrivateKey, (struct ssl_ctx_st * ctx, struct evp_pkey_st * key))                     \
	F(struct ssl_st *, SSL_new, (struct ssl_ctx_st * ctx))                                                  \
	F(void, SSL_free, (struct ssl_st * ssl))                                                                \
	F(void, SSL_set_bio, (struct ssl_st * ssl, struct bio_st * in, struct bio_st * out))                    \
	F(struct bio_st *, SSL_get_rbio, (const struct ssl_st *ssl))                                            \
	F(void, SSL_set0_rbio, (struct ssl_st * ssl, struct bio_st * in))                                       \
	F(void, SSL_set_accept_state, (struct ssl_st * ssl))                                                    \
	F(void, SSL_set_connect_state, (struct ssl_st * ssl))                                                   \
	F(long, SSL_ctrl, (struct ssl_st * ssl, int what, long n, void *p))                                     \
	F(int, SSL_set1_host, (struct ssl_st * ssl, const char *name))                                          \
	F(int, SSL_do_handshake, (struct ssl_st * ssl))                                                         \
	F(int, SSL_read, (struct ssl_st * ssl, void *to, int n))                                                \
	F(int, SSL_write, (struct ssl_st * ssl, const void *from, int n))                                       \
	F(int, SSL_shutdown, (struct ssl_st * ssl))                                                             \
	F(int, SSL_get_error, (const struct ssl_st *ssl, int result))                                           \
	F(long, SSL_get_verify_result, (const struct ssl_st *ssl))                                              \
	F(const struct bio_method_st *, BIO_s_mem, (void))                                                      \
	F(struct bio_st *, BIO_new, (const struct bio_method_st *method))                                       \
	F(struct bio_st *, BIO_new_mem_buf, (const void *bytes, int n))                                         \
	F(struct bio_st *, BIO_new_socket, (int fd, int close))                                                 \
	F(int, BIO_read, (struct bio_st * bio, void *to, int n))                                                \
	F(int, BIO_write, (struct bio_st * bio, const void *from, int n))                                       \
	F(long, BIO_ctrl, (struct bio_st * bio, int what, long n, void *p))                                     \
	F(void, BIO_vfree, (struct bio_st * bio))                                                               \
	F(void, ERR_clear_error, (void))                                                                        \
	F(unsigned long, ERR_peek_last_error, (void))                                                           \
	F(const char *, ERR_reason_error_string, (unsigned long number))                                        \
	F(const char *, X509_verify_cert_error_string, (long number))                                           \
	F(struct evp_pkey_st *, EVP_PKEY_Q_keygen, (void *lib, const char *query, const char *type, ...))       \
	F(void, EVP_PKEY_free, (struct evp_pkey_st * key))                                                      \
	F(const struct evp_md_st *, EVP_sha256, (void))                                                         \
	F(struct x509_st *, X509_new, (void))                                                                   \
	F(void, X509_free, (struct x509_st * cert))                                                             \
	F(int, X509_set_version, (struct x509_st * cert, long version))                                         \
	F(struct asn1_string_st *, X509_get_serialNumber, (struct x509_st * cert))                              \
	F(int, ASN1_INTEGER_set_uint64, (struct asn1_string_st * to, uint64_t n))                               \
	F(struct X509_name_st *, X509_get_subject_name, (const struct x509_st *cert))                           \
	F(int, X509_NAME_add_entry_by_txt,                                                                      \
	  (struct X509_name_st * name, const char *field, int type, const unsigned char *bytes, int n, int at,  \
	   int set))                                                                                            \
	F(int, X509_set_issuer_name, (struct x509_st * cert, const struct X509_name_st *name))                  \
	F(struct asn1_string_st *, X509_getm_notBefore, (const struct x509_st *cert))                           \
	F(struct asn1_string_st *, X509_getm_notAfter, (const struct x509_st *cert))                            \
	F(struct asn1_string_st *, ASN1_TIME_set, (struct asn1_string_st * to, time_t t))                       \
	F(int, X509_set_pubkey, (struct x509_st * cert, struct evp_pkey_st * key))                              \
	F(void, X509V3_set_ctx,                                                                                 \
	  (void *ctx, struct x509_st *issuer, struct x509_st *subject, void *request, void *crl, int flags))    \
	F(struct X509_extension_st *, X509V3_EXT_conf_nid, (void *conf, void *ctx, int nid, const char *value)) \
	F(void, X509_EXTENSION_free, (struct X509_extension_st * ext))                                          \
	F(int, X509_add_ext, (struct x509_st * cert, struct X509_extension_st * ext, int at))                   \
	F(int, X509_sign, (struct x509_st * cert, struct evp_pkey_st * key, const struct evp_md_st *digest))    \
	F(int, X509_STORE_add_cert, (struct x509_store_st * store, struct x509_st * cert))                      \
	F(int, PEM_write_bio_X509, (struct bio_st * bio, const struct x509_st *cert))                           \
	F(struct x509_st *, PEM_read_bio_X509, (struct bio_st * bio, struct x509_st * *cert, void *callback, void *arg))

/* A type and a parameter list stand without parentheses. NOLINTNEXTLINE(bugprone-macro-parentheses) */
#define TLSLIB_MEMBER(type, name, arguments) type(*name) arguments;
extern struct tlslib {
	TLSLIB_FUNCTIONS(TLSLIB_MEMBER)
} tlslib;

enum {
	TLSLIB_WANT_READ = 2,   /* SSL_ERROR_WANT_READ */
	TLSLIB_WANT_WRITE = 3,  /* SSL_ERROR_WANT_WRITE */
	TLSLIB_ZERO_RETURN = 6, /* SSL_ERROR_ZERO_RETURN */
};

/* Fills in `tlslib`, once. -ELIBACC with a hint when OpenSSL 3 cannot be loaded. The host's openssl.cnf is not read. */
int tlslib_load(struct err **e);
/* What the library says of its last failure, never NULL; forgets it. */
const char *tlslib_failure(void);
/* A fresh context for TLS 1.2 and newer, client or server, NULL on failure. */
struct ssl_ctx_st *tlslib_context(void);

#endif
