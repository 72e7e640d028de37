#include "nix/storepath.h"
#include "base/str.h"
#include "nix/base32.h"

#include <errno.h>
#include <string.h>

enum { PREFIX = sizeof(STOREPATH_DIR "/") - 1, PATH_HASH_BYTES = 20 };

_Static_assert(PREFIX + STOREPATH_BASE_SIZE == STOREPATH_SIZE, "room for the folder");
_Static_assert(BASE32_DIGITS(PATH_HASH_BYTES) == STOREPATH_HASH, "digits of a path");

static bool name_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '-' ||
	       c == '.' || c == '_' || c == '?' || c == '=';
}

/* How many bytes at `name`, up to its NUL or a slash, are a good name; 0 if they are not. */
static size_t name_length(const char *name)
{
	size_t n = 0;

	while (name[n] && name[n] != '/') {
		if (n == STOREPATH_NAME_MAX || !name_char(name[n]))
			return 0;
		n++;
	}
	for (size_t dots = 1; dots <= 2; dots++)
		if (n >= dots && memcmp(name, "..", dots) == 0 && (n == dots || name[dots] == '-'))
			return 0;
	return n;
}

/* The same for "<hash>-<name>". */
static size_t base_length(const char *base)
{
	size_t n;

	for (size_t i = 0; i < STOREPATH_HASH; i++)
		if (!base32_is_digit(base[i]))
			return 0;
	if (base[STOREPATH_HASH] != '-')
		return 0;
	n = name_length(base + STOREPATH_HASH + 1);
	return n ? STOREPATH_HASH + 1 + n : 0;
}

bool storepath_name_ok(const char *name)
{
	size_t n = name_length(name);

	return n > 0 && name[n] == '\0';
}

bool storepath_base_ok(const char *base)
{
	size_t n = base_length(base);

	return n > 0 && base[n] == '\0';
}

bool storepath_ok(const char *path)
{
	return str_starts(path, STOREPATH_DIR "/") && storepath_base_ok(path + PREFIX);
}

const char *storepath_base(const char *path)
{
	return path + PREFIX;
}

const char *storepath_name(const char *path)
{
	return path + PREFIX + STOREPATH_HASH + 1;
}

bool storepath_root(const char *path, char ret[static STOREPATH_SIZE])
{
	size_t n;

	if (!str_starts(path, STOREPATH_DIR "/"))
		return false;
	n = base_length(path + PREFIX);
	if (n == 0)
		return false;
	memcpy(ret, path, PREFIX + n);
	ret[PREFIX + n] = '\0';
	return true;
}

static void add_text(struct digest *d, const char *text)
{
	digest_add(d, text, strlen(text));
}

int storepath_make(const char *type, const uint8_t digest[static DIGEST_SHA256_BYTES], const char *name,
		   char ret[static STOREPATH_SIZE], struct err **e)
{
	_cleanup_digest_ struct digest *d = NULL;
	char hex[DIGEST_SHA256_HEX + 1];
	uint8_t full[DIGEST_SHA256_BYTES];
	uint8_t folded[PATH_HASH_BYTES] = {0};
	int r;

	if (!storepath_name_ok(name)) {
		_cleanup_str_ struct str shown = STR_INIT;

		str_add_printable(&shown, name, strnlen(name, STOREPATH_NAME_MAX + 1), false);
		return err_set(e, EINVAL, "'%s' is not a name for a store path", str_text(&shown));
	}
	r = digest_open(&d, e);
	if (r < 0)
		return r;
	digest_hex(digest, DIGEST_SHA256_BYTES, hex);
	add_text(d, type);
	add_text(d, ":sha256:");
	add_text(d, hex);
	add_text(d, ":" STOREPATH_DIR ":");
	add_text(d, name);
	r = digest_finish(d, full, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sizeof(full); i++)
		folded[i % PATH_HASH_BYTES] ^= full[i];
	memcpy(ret, STOREPATH_DIR "/", PREFIX);
	base32_encode(folded, PATH_HASH_BYTES, ret + PREFIX);
	ret[PREFIX + STOREPATH_HASH] = '-';
	memcpy(ret + PREFIX + STOREPATH_HASH + 1, name, strlen(name) + 1);
	return 0;
}

int storepath_text(const uint8_t digest[static DIGEST_SHA256_BYTES], const char *const *refs, size_t n,
		   const char *name, char ret[static STOREPATH_SIZE], struct err **e)
{
	_cleanup_str_ struct str type = STR_INIT;

	str_adds(&type, "text");
	for (size_t i = 0; i < n; i++) {
		str_addc(&type, ':');
		str_adds(&type, refs[i]);
	}
	return storepath_make(str_text(&type), digest, name, ret, e);
}

int storepath_fixed(bool recursive, enum digest_algo algo, const uint8_t *hash, const char *name,
		    char ret[static STOREPATH_SIZE], struct err **e)
{
	char hex[2 * DIGEST_BYTES_MAX + 1];
	char text[32 + sizeof(hex)];
	uint8_t inner[DIGEST_SHA256_BYTES];
	int n;
	int r;

	if (recursive && algo == DIGEST_SHA256)
		return storepath_make("source", hash, name, ret, e);
	digest_hex(hash, digest_algo_bytes(algo), hex);
	n = snprintf(text, sizeof(text), "fixed:out:%s%s:%s:", recursive ? "r:" : "", digest_algo_name(algo), hex);
	r = digest_sha256(text, (size_t)n, inner, e);
	if (r < 0)
		return r;
	return storepath_make("output:out", inner, name, ret, e);
}
