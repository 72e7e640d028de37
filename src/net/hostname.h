/* Names of hosts, in the one form that everything in net/ compares: lower case, no trailing dot, IDNA A-labels.
 *
 * Normalised once, where a name enters igloo: a policy entry, a DNS question, a ClientHello, a Host header. Whatever
 * could be read as another name or as an address by some other program is refused, not repaired. */
#ifndef IGLOO_NET_HOSTNAME_H
#define IGLOO_NET_HOSTNAME_H

#include "base/err.h"

#include <stddef.h>

/* RFC 1035, 2.3.4: 255 octets on the wire are 253 characters. */
enum { HOSTNAME_MAX = 253, HOSTNAME_LABEL_MAX = 63 };

/* Writes the normal form of the n bytes at `text` to ret (NUL-terminated). -EINVAL, with position (in bytes, from 1)
 * and reason, for: anything but letters, digits, '-' and '_' in a label, so NUL, '%', blanks and control characters; an
 * empty or overlong label, an overlong name, a label that begins or ends with '-', and names whose last label is a
 * number in any base that inet_aton(3) reads ("127.1", "0x7f000001", "1.2.3.4"): those are addresses. Bytes from 0x80
 * on must be UTF-8 and go through IDNA 2008 (RFC 5891, 5; no mapping but NFC) in libidn2, loaded with dlopen at the
 * first such name; -ELIBACC without it. A-labels that are written as such (xn--) are compared, not read. */
int hostname_normalise(const char *text, size_t n, char ret[HOSTNAME_MAX + 1], struct err **e);
/* The same for a name inside a longer text of `size` bytes, which the error shows: n bytes, from `from` on. */
int hostname_normalise_part(const char *text, size_t size, size_t from, size_t n, char ret[HOSTNAME_MAX + 1],
			    struct err **e);

#endif
