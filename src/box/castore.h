/* The certificate authorities that the user's machine trusts, as PEM. */
#ifndef IGLOO_BOX_CASTORE_H
#define IGLOO_BOX_CASTORE_H

#include "base/err.h"
#include "base/str.h"

/* Adds the machine's own, where the distributions keep them; nothing where there are none. */
void castore_add_system(struct str *to);
/* Adds those that the caller's programs use: SSL_CERT_FILE, else NIX_SSL_CERT_FILE, else the machine's; and the files
 * of SSL_CERT_DIR. A file or folder that is named and cannot be read is an error. */
int castore_add_own(struct str *to, struct err **e);

#endif
