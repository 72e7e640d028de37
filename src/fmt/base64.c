#include "fmt/base64.h"

#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *bytes, size_t n, struct str *to)
{
	const uint8_t *p = bytes;
	char *out = str_room(to, (n + 2) / 3 * 4);
	size_t at = 0;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
			     (left > 2 ? p[i + 2] : 0);

		out[at++] = alphabet[v >> 18];
		out[at++] = alphabet[v >> 12 & 63];
		out[at++] = alphabet[v >> 6 & 63];
		out[at++] = alphabet[v & 63];
		if (left < 3)
			out[at - 1] = '=';
		if (left < 2)
			out[at - 2] = '=';
	}
	str_grew(to, at);
}

static int value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(const char *digits, size_t n, struct str *to)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t put = 0;
	size_t left = n;
	char *out;

	if (n % 4 != 0)
		return false;
	while (left > 0 && n - left < 2 && digits[left - 1] == '=')
		left--;
	out = str_room(to, n / 4 * 3);
	for (size_t i = 0; i < left; i++) {
		int v = value(digits[i]);

		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		out[put++] = (char)(bits >> have);
		bits &= (1U << have) - 1;
	}
	if (bits != 0)
		return false;
	str_grew(to, put);
	return true;
}
