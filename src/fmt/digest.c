#include "fmt/digest.h"

#include "fmt/base64.h"
#include "sys/library.h"

#include <errno.h>
#include <string.h>

/* libcrypto 3's ABI, of which these few functions are used (EVP_DigestInit(3), EVP_MD_fetch(3)). Its
 * own header is not included: it is not needed to build then, and it uses names that base/banned.h
 * bans. */
static struct {
	void *md; /* EVP_MD for SHA-256; set when all is loaded */
	void *(*md_fetch)(void *libctx, const char *algorithm, const char *properties);
	void *(*ctx_new)(void);
	void (*ctx_free)(void *ctx);
	int (*init)(void *ctx, const void *md, void *engine);
	int (*update)(void *ctx, const void *bytes, size_t n);
	int (*final)(void *ctx, unsigned char *out, unsigned *n);
} crypto;

struct digest {
	void *ctx; /* EVP_MD_CTX */
	bool failed;
};

int digest_load(struct err **e)
{
	static const struct library libcrypto = {
		.what = "SHA-256",
		.names = {"libcrypto.so.3"},
		.hint = "install OpenSSL 3's library (Debian: libssl3)",
	};
	static const struct library_function functions[] = {
		{"EVP_MD_fetch", &crypto.md_fetch},    {"EVP_MD_CTX_new", &crypto.ctx_new},
		{"EVP_MD_CTX_free", &crypto.ctx_free}, {"EVP_DigestInit_ex", &crypto.init},
		{"EVP_DigestUpdate", &crypto.update},  {"EVP_DigestFinal_ex", &crypto.final},
	};
	int r = crypto.md ? 0 : library_load(&libcrypto, functions, ARRAY_SIZE(functions), e);

	if (r < 0 || crypto.md)
		return r;
	crypto.md = crypto.md_fetch(NULL, "SHA256", NULL);
	return crypto.md ? 0 : library_failed(&libcrypto, "it offers no SHA-256", e);
}

int digest_open(struct digest **ret, struct err **e)
{
	_cleanup_digest_ struct digest *d = NULL;
	int r = digest_load(e);

	if (r < 0)
		return r;
	d = xcalloc(1, sizeof(*d));
	d->ctx = crypto.ctx_new();
	if (!d->ctx || crypto.init(d->ctx, crypto.md, NULL) != 1)
		return err_set(e, EIO, "SHA-256: libcrypto cannot start a digest");
	*ret = take_ptr(d);
	return 0;
}

void digest_add(struct digest *d, const void *bytes, size_t n)
{
	if (n > 0 && crypto.update(d->ctx, bytes, n) != 1)
		d->failed = true;
}

int digest_finish(struct digest *d, uint8_t ret[static DIGEST_SHA256_BYTES], struct err **e)
{
	uint8_t out[DIGEST_BYTES_MAX]; /* EVP_MAX_MD_SIZE */
	unsigned n = 0;
	bool bad = d->failed || crypto.final(d->ctx, out, &n) != 1 || n != DIGEST_SHA256_BYTES;

	d->failed = crypto.init(d->ctx, crypto.md, NULL) != 1;
	if (bad)
		return err_set(e, EIO, "SHA-256: libcrypto failed");
	memcpy(ret, out, DIGEST_SHA256_BYTES);
	return 0;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	if (d->ctx)
		crypto.ctx_free(d->ctx);
	free(d);
}

int digest_sha256(const void *bytes, size_t n, uint8_t ret[static DIGEST_SHA256_BYTES], struct err **e)
{
	_cleanup_digest_ struct digest *d = NULL;
	int r = digest_open(&d, e);

	if (r < 0)
		return r;
	digest_add(d, bytes, n);
	return digest_finish(d, ret, e);
}

void digest_hex(const uint8_t *bytes, size_t n, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = digits[bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret[2 * n] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool digest_from_hex(const char *hex, uint8_t *ret, size_t n)
{
	if (strnlen(hex, 2 * n + 1) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(hex[2 * i]);
		int low = hex_value(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static const struct {
	const char *name;
	size_t bytes;
} algos[] = {
	[DIGEST_MD5] = {"md5", 16},
	[DIGEST_SHA1] = {"sha1", 20},
	[DIGEST_SHA256] = {"sha256", 32},
	[DIGEST_SHA512] = {"sha512", 64},
};

const char *digest_algo_name(enum digest_algo algo)
{
	return algos[algo].name;
}

size_t digest_algo_bytes(enum digest_algo algo)
{
	return algos[algo].bytes;
}

bool digest_algo_parse(const char *name, enum digest_algo *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(algos); i++) {
		if (strcmp(algos[i].name, name) == 0) {
			*ret = (enum digest_algo)i;
			return true;
		}
	}
	return false;
}

/* Exactly n bytes from their one padded base64 spelling. */
static bool from_base64(const char *text, uint8_t *ret, size_t n)
{
	size_t length = (n + 2) / 3 * 4;
	_cleanup_str_ struct str bytes = STR_INIT;

	if (strnlen(text, length + 1) != length || !base64_decode(text, length, &bytes) || bytes.len != n)
		return false;
	memcpy(ret, bytes.p, n);
	return true;
}

bool digest_from_sri(const char *text, enum digest_algo *ret_algo, uint8_t ret[static DIGEST_BYTES_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(algos); i++) {
		size_t n = strlen(algos[i].name);

		if (strncmp(text, algos[i].name, n) != 0 || text[n] != '-')
			continue;
		if (!from_base64(text + n + 1, ret, algos[i].bytes))
			return false;
		*ret_algo = (enum digest_algo)i;
		return true;
	}
	return false;
}
