#include "net/authority.h"

#include "net/tlslib.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { DAY = 24 * 3600 };

/* openssl/obj_mac.h */
enum {
	NID_SUBJECT_KEY = 82,
	NID_KEY_USAGE = 83,
	NID_ALT_NAME = 85,
	NID_CONSTRAINTS = 87,
	NID_AUTHORITY_KEY = 90,
	NID_EXT_KEY_USAGE = 126,
	NID_NAME_CONSTRAINTS = 666,
};

struct host {
	char *name;
	struct ssl_ctx_st *ctx; /* NULL: not made yet */
	time_t from, until;     /* when the certificate is served */
};

struct authority {
	struct evp_pkey_st *key;
	struct x509_st *cert;
	struct evp_pkey_st *host_key; /* of all its hosts */
	time_t from, until;
	char *pem;
	struct host *hosts;
	size_t n;
};

static int failed(struct err **e, const char *what)
{
	return err_set(e, EIO, "secrets bound to hosts: cannot make %s: %s", what, tlslib_failure());
}

static bool extend(struct x509_st *cert, struct x509_st *issuer, int nid, const char *value)
{
	/* X509V3_CTX is the caller's, 64 bytes in 3.0; all zero but for what the call sets. */
	uint64_t ctx[64] = {0};
	struct X509_extension_st *ext;
	bool good;

	tlslib.X509V3_set_ctx(ctx, issuer, cert, NULL, NULL, 0);
	ext = tlslib.X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	good = ext && tlslib.X509_add_ext(cert, ext, -1);
	tlslib.X509_EXTENSION_free(ext);
	return good;
}

/* Everything but the extensions and the signature. */
static bool begin(struct x509_st *cert, const char *name, struct evp_pkey_st *key, time_t from, time_t until)
{
	const int utf8 = 0x1000; /* MBSTRING_UTF8 */
	uint64_t serial;

	if (getrandom(&serial, sizeof(serial), 0) != sizeof(serial))
		return false;
	serial >>= 1; /* RFC 5280, 4.1.2.2: positive */
	return tlslib.X509_set_version(cert, 2) &&
	       tlslib.ASN1_INTEGER_set_uint64(tlslib.X509_get_serialNumber(cert), serial | 1) &&
	       tlslib.ASN1_TIME_set(tlslib.X509_getm_notBefore(cert), from) &&
	       tlslib.ASN1_TIME_set(tlslib.X509_getm_notAfter(cert), until) &&
	       tlslib.X509_NAME_add_entry_by_txt(tlslib.X509_get_subject_name(cert), "CN", utf8,
						 (const unsigned char *)name, -1, -1, 0) &&
	       tlslib.X509_set_pubkey(cert, key);
}

static bool make_own(struct authority *a)
{
	_cleanup_str_ struct str names = STR_INIT;
	uint64_t number;
	char subject[64];

	a->key = tlslib.EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	a->host_key = tlslib.EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	a->cert = tlslib.X509_new();
	if (!a->key || !a->host_key || !a->cert || getrandom(&number, sizeof(number), 0) != sizeof(number))
		return false;
	/* Clients look issuers up by name: no two boxes have the same. */
	(void)snprintf(subject, sizeof(subject), "igloo box %016llx", (unsigned long long)number);
	str_adds(&names, "critical,excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0");
	for (size_t i = 0; i < a->n; i++)
		str_addf(&names, ",permitted;DNS:%s", a->hosts[i].name);
	return begin(a->cert, subject, a->key, a->from, a->until) &&
	       tlslib.X509_set_issuer_name(a->cert, tlslib.X509_get_subject_name(a->cert)) &&
	       extend(a->cert, a->cert, NID_CONSTRAINTS, "critical,CA:TRUE,pathlen:0") &&
	       extend(a->cert, a->cert, NID_KEY_USAGE, "critical,keyCertSign") &&
	       extend(a->cert, a->cert, NID_EXT_KEY_USAGE, "serverAuth") &&
	       extend(a->cert, a->cert, NID_NAME_CONSTRAINTS, str_text(&names)) &&
	       extend(a->cert, a->cert, NID_SUBJECT_KEY, "hash") &&
	       tlslib.X509_sign(a->cert, a->key, tlslib.EVP_sha256()) > 0;
}

static bool write_pem(struct authority *a)
{
	struct bio_st *out = tlslib.BIO_new(tlslib.BIO_s_mem());
	_cleanup_str_ struct str pem = STR_INIT;
	char text[1024];
	int n;

	if (!out || !tlslib.PEM_write_bio_X509(out, a->cert)) {
		tlslib.BIO_vfree(out);
		return false;
	}
	while ((n = tlslib.BIO_read(out, text, sizeof(text))) > 0)
		str_add(&pem, text, (size_t)n);
	tlslib.BIO_vfree(out);
	a->pem = str_take(&pem);
	return true;
}

int authority_new(const struct strv *hosts, time_t now, struct authority **ret, struct err **e)
{
	struct authority *a;
	int r = tlslib_load(e);

	if (r < 0)
		return r;
	a = xcalloc(1, sizeof(*a));
	a->from = now - (time_t)AUTHORITY_SKEW_DAYS * DAY;
	a->until = now + (time_t)AUTHORITY_DAYS * DAY;
	a->hosts = xcalloc(hosts->n, sizeof(*a->hosts));
	for (; a->n < hosts->n; a->n++)
		a->hosts[a->n].name = xstrdup(hosts->v[a->n]);
	if (!make_own(a) || !write_pem(a)) {
		authority_free(a);
		return failed(e, "the box's certificate authority");
	}
	*ret = a;
	return 0;
}

void authority_free(struct authority *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->n; i++) {
		if (a->hosts[i].ctx)
			tlslib.SSL_CTX_free(a->hosts[i].ctx);
		free(a->hosts[i].name);
	}
	free(a->hosts);
	tlslib.X509_free(a->cert);
	tlslib.EVP_PKEY_free(a->key);
	tlslib.EVP_PKEY_free(a->host_key);
	free(a->pem);
	free(a);
}

const char *authority_pem(const struct authority *a)
{
	return a->pem;
}

/* Of what a client offers, HTTP/1: the broker reads nothing else. */
static int choose_http1(struct ssl_st *ssl, const unsigned char **out, unsigned char *n_out, const unsigned char *in,
			unsigned n_in, void *arg)
{
	enum { OK = 0, ALERT_FATAL = 2 };
	static const char *const names[] = {"http/1.1", "http/1.0"}; /* RFC 7301, 6 */

	(void)ssl;
	(void)arg;
	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		for (unsigned i = 0; i + in[i] < n_in; i += 1U + in[i]) {
			if (in[i] != strlen(names[k]) || memcmp(in + i + 1, names[k], in[i]) != 0)
				continue;
			*out = in + i + 1;
			*n_out = in[i];
			return OK;
		}
	}
	return ALERT_FATAL;
}

static struct x509_st *make_host_cert(const struct authority *a, const char *name, time_t from, time_t until)
{
	_cleanup_free_ char *alt = xasprintf("DNS:%s", name);
	struct x509_st *cert = tlslib.X509_new();

	/* RFC 5280, A.1: a common name has at most 64 characters; who looks at it looks at the SAN first. */
	if (cert && begin(cert, strlen(name) <= 64 ? name : "igloo", a->host_key, from, until) &&
	    tlslib.X509_set_issuer_name(cert, tlslib.X509_get_subject_name(a->cert)) &&
	    extend(cert, a->cert, NID_CONSTRAINTS, "critical,CA:FALSE") &&
	    extend(cert, a->cert, NID_KEY_USAGE, "critical,digitalSignature") &&
	    extend(cert, a->cert, NID_EXT_KEY_USAGE, "serverAuth") && extend(cert, a->cert, NID_ALT_NAME, alt) &&
	    extend(cert, a->cert, NID_AUTHORITY_KEY, "keyid") &&
	    tlslib.X509_sign(cert, a->key, tlslib.EVP_sha256()) > 0)
		return cert;
	tlslib.X509_free(cert);
	return NULL;
}

static int renew(struct authority *a, struct host *h, time_t now, struct err **e)
{
	time_t from = now - (time_t)AUTHORITY_SKEW_DAYS * DAY;
	time_t until = now + (time_t)AUTHORITY_HOST_DAYS * DAY;
	struct x509_st *cert;
	struct ssl_ctx_st *ctx;

	from = from < a->from ? a->from : from;
	until = until > a->until ? a->until : until;
	cert = make_host_cert(a, h->name, from, until);
	ctx = cert ? tlslib_context() : NULL;
	if (!ctx || tlslib.SSL_CTX_use_certificate(ctx, cert) != 1 ||
	    tlslib.SSL_CTX_use_PrivateKey(ctx, a->host_key) != 1) {
		tlslib.SSL_CTX_free(ctx);
		tlslib.X509_free(cert);
		return failed(e, "a certificate");
	}
	tlslib.X509_free(cert);
	tlslib.SSL_CTX_set_alpn_select_cb(ctx, choose_http1, NULL);
	tlslib.SSL_CTX_free(h->ctx);
	h->ctx = ctx;
	h->from = from;
	h->until = until == a->until ? until : until - DAY;
	return 0;
}

int authority_context(struct authority *a, const char *host, time_t now, struct ssl_ctx_st **ret, struct err **e)
{
	struct host *h = NULL;
	int r = 0;

	for (size_t i = 0; i < a->n && !h; i++)
		if (strcmp(a->hosts[i].name, host) == 0)
			h = &a->hosts[i];
	if (!h)
		return err_set(e, ENOENT, "no secret is bound to this host");
	if (now < a->from || now >= a->until)
		return err_set(e, EKEYEXPIRED, "the box's certificate authority has expired: start the box again");
	if (!h->ctx || now < h->from || now >= h->until)
		r = renew(a, h, now, e);
	if (r == 0)
		*ret = h->ctx;
	return r;
}
