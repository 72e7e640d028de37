#include "net/httplib.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct httplib httplib;

static int load_failed(struct err **e, const char *why)
{
	(void)err_set(e, ELIBACC, "HTTP names: cannot load libhttp_parser.so.2.9: %s", why ? why : "unknown reason");
	(void)err_hint(e, "install http-parser's library (Debian: libhttp-parser2.9)");
	return -ELIBACC;
}

/* memcpy, because ISO C has no conversion from an object pointer to a function pointer. */
static bool find(void *from, const char *name, void *to)
{
	void *p = dlsym(from, name);

	memcpy(to, &p, sizeof(p));
	return p != NULL;
}

int httplib_load(struct err **e)
{
	/* Debian's soname, and upstream's. */
	static const char *const names[] = {"libhttp_parser.so.2.9", "libhttp_parser.so.2.9.4", "libhttp_parser.so.2"};
	void *from = NULL;

	if (httplib.init)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names) && !from; i++)
		from = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!from)
		return load_failed(e, dlerror());
	if (!find(from, "http_parser_version", &httplib.version) ||
	    !find(from, "http_parser_execute", &httplib.execute) ||
	    !find(from, "http_should_keep_alive", &httplib.keep_alive) ||
	    !find(from, "http_errno_description", &httplib.describe) ||
	    !find(from, "http_parser_init", &httplib.init)) {
		int r = load_failed(e, dlerror());

		httplib.init = NULL;
		(void)dlclose(from);
		return r;
	}
	/* struct http_parser is 2.9's. */
	if (httplib.version() >> 8 != (HTTP_PARSER_VERSION_MAJOR << 8 | HTTP_PARSER_VERSION_MINOR)) {
		httplib.init = NULL;
		(void)dlclose(from);
		return load_failed(e, "it is not version 2.9");
	}
	return 0;
}
