#include "nix/base32.h"

#include <string.h>

static const char alphabet[] = "0123456789abcdfghijklmnpqrsvwxyz";

void base32_encode(const uint8_t *bytes, size_t n, char *ret)
{
	size_t digits = BASE32_DIGITS(n);

	for (size_t i = 0; i < digits; i++) {
		size_t bit = (digits - 1 - i) * 5;
		unsigned v = bytes[bit / 8] >> (bit % 8);

		if (bit / 8 + 1 < n)
			v |= (unsigned)bytes[bit / 8 + 1] << (8 - bit % 8);
		ret[i] = alphabet[v & 31];
	}
	ret[digits] = '\0';
}

static int value(char c)
{
	const char *p = c ? strchr(alphabet, c) : NULL;

	return p ? (int)(p - alphabet) : -1;
}

bool base32_is_digit(char c)
{
	return value(c) >= 0;
}

bool base32_decode(const char *text, uint8_t *ret, size_t n)
{
	size_t digits = BASE32_DIGITS(n);

	if (strnlen(text, digits + 1) != digits)
		return false;
	memset(ret, 0, n);
	for (size_t i = 0; i < digits; i++) {
		size_t bit = (digits - 1 - i) * 5;
		int v = value(text[i]);
		unsigned wide;

		if (v < 0)
			return false;
		wide = (unsigned)v << (bit % 8);
		ret[bit / 8] |= (uint8_t)wide;
		if (bit / 8 + 1 < n)
			ret[bit / 8 + 1] |= (uint8_t)(wide >> 8);
		else if (wide >> 8)
			return false;
	}
	return true;
}
