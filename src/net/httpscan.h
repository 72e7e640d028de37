/* The lines of an HTTP/1 request, as strictly as RFC 9112 has them: CR LF and nothing else ends a line, a request line
 * has two blanks, no line is folded, no control characters, no empty line before a request, a chunk's size in
 * hexadecimal digits with nothing around it. It finds where a unit of lines ends; what the lines say is
 * net/httphost.h's. */
#ifndef IGLOO_NET_HTTPSCAN_H
#define IGLOO_NET_HTTPSCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTPSCAN_HEAD_MAX = 64 * 1024 };

enum httpscan_unit {
	HTTPSCAN_HEAD,       /* request line and headers, with the empty line */
	HTTPSCAN_TRAILER,    /* the same without a request line */
	HTTPSCAN_CHUNK_LINE, /* one line */
	HTTPSCAN_CHUNK_END,  /* the CR LF behind a chunk's data */
};

/* One unit; all but `unit` begins as zero. */
struct httpscan {
	enum httpscan_unit unit;
	size_t bytes;    /* so far */
	unsigned lines;  /* complete ones, without the empty one */
	const char *why; /* what was wrong */
	/* Of the line: */
	size_t line;     /* its bytes so far, without CR LF */
	unsigned blanks; /* in the request line */
	bool extension;  /* behind a chunk line's ';' */
	uint8_t previous;
};

/* Looks at n bytes. 1: the unit ends with the first *ret_n of them; 0: all n are in it, and more is to come; -1: see
 * `why`. */
int httpscan_feed(struct httpscan *s, const uint8_t *p, size_t n, size_t *ret_n);

#endif
