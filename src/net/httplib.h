/* What net/httphost.c uses of http-parser 2.9, loaded with dlopen. */
#ifndef IGLOO_NET_HTTPLIB_H
#define IGLOO_NET_HTTPLIB_H

#include "base/err.h"

#include <http_parser.h>

extern struct httplib {
	void (*init)(http_parser *p, enum http_parser_type type); /* set when all is loaded */
	size_t (*execute)(http_parser *p, const http_parser_settings *settings, const char *bytes, size_t n);
	int (*keep_alive)(const http_parser *p);
	const char *(*describe)(enum http_errno number);
	unsigned long (*version)(void);
} httplib;

/* Fills it in, once. -ELIBACC with a hint. */
int httplib_load(struct err **e);

#endif
