/* A forwarded port as the user writes it:
 *
 *     GUEST  HOST:GUEST  ADDRESS:HOST:GUEST  [ADDRESS6]:HOST:GUEST
 *
 * GUEST alone stands for GUEST:GUEST, HOST 0 for any free port. Without an address it is the host's loopback, 127.0.0.1
 * and ::1; every other address must be spelled out. */
#ifndef IGLOO_BOX_PORTSPEC_H
#define IGLOO_BOX_PORTSPEC_H

#include "base/err.h"
#include "base/str.h"
#include "net/address.h"

#include <stdbool.h>
#include <stdint.h>

enum { PORTSPECS_MAX = 64, PORTSPEC_BYTES_MAX = 64 };

struct portspec {
	struct address address;
	uint16_t host; /* 0: any free one */
	uint16_t guest;
	bool loopback; /* no address was given */
	bool one;      /* only one number was given */
};

/* -EINVAL for what is none; the message names the text and what is wrong with it. */
int portspec_parse(const char *text, struct portspec *ret, struct err **e);
/* Would both listen on some address and port? */
bool portspec_overlaps(const struct portspec *a, const struct portspec *b);
/* Does a spec that the user gives to remove one mean `have`? An address it does not have means any, and one number
 * alone is the host's. */
bool portspec_means(const struct portspec *given, const struct portspec *have);
/* Checks them all, one by one and against each other. */
int portspec_check(const struct strv *specs, struct err **e);
/* ADDRESS:HOST, for messages; 127.0.0.1 when no address was given. */
void portspec_add_place(const struct portspec *p, struct str *to);

#endif
