/* Base64 (RFC 4648, 4) as it is written once: the standard alphabet, padded, no line ends, no bits left over. */
#ifndef IGLOO_FMT_BASE64_H
#define IGLOO_FMT_BASE64_H

#include "base/str.h"

#include <stdint.h>

void base64_encode(const void *bytes, size_t n, struct str *to);
/* Adds what the n digits mean; false, and nothing added, when they are not base64. No digits are no bytes. */
bool base64_decode(const char *digits, size_t n, struct str *to);

#endif
