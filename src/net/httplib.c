#include "net/httplib.h"

#include "sys/library.h"

struct httplib httplib;

int httplib_load(struct err **e)
{
	static const struct library parser = {
		.what = "HTTP names",
		/* Debian's soname, and upstream's. */
		.names = {"libhttp_parser.so.2.9", "libhttp_parser.so.2.9.4", "libhttp_parser.so.2"},
		.hint = "install http-parser's library (Debian: libhttp-parser2.9)",
	};
	static const struct library_function functions[] = {
		{"http_parser_version", &httplib.version},
		{"http_parser_execute", &httplib.execute},
		{"http_should_keep_alive", &httplib.keep_alive},
		{"http_errno_description", &httplib.describe},
		{"http_parser_init", &httplib.init},
	};
	int r;

	if (httplib.init)
		return 0;
	r = library_load(&parser, functions, ARRAY_SIZE(functions), e);
	if (r < 0)
		return r;
	/* struct http_parser is 2.9's. */
	if (httplib.version() >> 8 != (HTTP_PARSER_VERSION_MAJOR << 8 | HTTP_PARSER_VERSION_MINOR)) {
		httplib.init = NULL;
		return library_failed(&parser, "it is not version 2.9", e);
	}
	return 0;
}
