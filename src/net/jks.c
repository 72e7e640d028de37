#include "net/jks.h"

#include "fmt/base64.h"

#include <stdint.h>
#include <string.h>

static void add_number(struct str *to, uint64_t n, int bytes)
{
	for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
		str_addc(to, (char)(n >> shift));
}

/* DataOutput.writeUTF() of ASCII. */
static void add_text(struct str *to, const char *text)
{
	add_number(to, strlen(text), 2);
	str_adds(to, text);
}

static void add_entry(struct str *to, size_t number, const struct str *der)
{
	enum { TRUSTED_CERTIFICATE = 2 };
	char alias[32];

	(void)snprintf(alias, sizeof(alias), "igloo-%zu", number);
	add_number(to, TRUSTED_CERTIFICATE, 4);
	add_text(to, alias);
	add_number(to, 0, 8); /* when it was added */
	add_text(to, "X.509");
	add_number(to, der->len, 4);
	str_add(to, der->p, der->len);
}

/* The bytes of the PEM block (RFC 7468) that begins at or behind p, NULL when there is none; else where it ends. */
static const char *next(const char *p, struct str *der)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	static const char end[] = "-----END CERTIFICATE-----";
	_cleanup_str_ struct str digits = STR_INIT;
	const char *stop;

	p = strstr(p, begin);
	stop = p ? strstr(p, end) : NULL;
	if (!stop)
		return NULL;
	for (p += sizeof(begin) - 1; p < stop; p += strspn(p, " \t\r\n")) {
		size_t n = strcspn(p, " \t\r\n");

		n = n < (size_t)(stop - p) ? n : (size_t)(stop - p);
		str_add(&digits, p, n);
		p += n;
	}
	(void)base64_decode(str_text(&digits), digits.len, der);
	return stop + sizeof(end) - 1;
}

size_t jks_add(const char *pem, struct str *to)
{
	enum { VERSION = 2, DIGEST = 20 };
	const uint32_t magic = 0xfeedfeed;
	_cleanup_str_ struct str entries = STR_INIT;
	static const char zero[DIGEST];
	size_t n = 0;

	while (pem && n < JKS_CERTIFICATES_MAX) {
		_cleanup_str_ struct str der = STR_INIT;

		pem = next(pem, &der);
		if (der.len > 0)
			add_entry(&entries, n++, &der);
	}
	add_number(to, magic, 4);
	add_number(to, VERSION, 4);
	add_number(to, n, 4);
	str_add(to, str_text(&entries), entries.len);
	str_add(to, zero, sizeof(zero));
	return n;
}
