/* Whose a listening port of the host is, as far as /proc shows it. */
#ifndef IGLOO_BOX_PORTOWNER_H
#define IGLOO_BOX_PORTOWNER_H

#include "base/str.h"
#include "net/address.h"

/* Adds "box 'NAME'", "PROGRAM (pid N)", "a program of user N", or "another program" to *to. */
void portowner_describe(const struct address *at, uint16_t port, struct str *to);

#endif
