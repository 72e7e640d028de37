/* Java's own format of certificates that are trusted (JKS, version 2, as sun.security.provider.JavaKeyStore writes it):
 * Java reads no PEM there. The digest at its end, which a password goes into, is left zero: Java looks at it only when
 * it is given a password, and a list of public certificates has none. */
#ifndef IGLOO_NET_JKS_H
#define IGLOO_NET_JKS_H

#include "base/str.h"

enum { JKS_CERTIFICATES_MAX = 4096 };

/* Adds a file with each certificate of the PEM text; what is no certificate in it is left out. Returns how many. */
size_t jks_add(const char *pem, struct str *to);

#endif
