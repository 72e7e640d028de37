#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* What analysers are given instead; see err.h. */
#undef err_set
#undef err_errno
#undef err_wrap
#undef err_hint
#undef err_detail
#undef err_exit_code

struct err {
	int errnum;
	int exit_code;
	char *message;
	char *hints;
	char *details;
};

static char *vfmt(const char *fmt, va_list ap)
{
	char *s = NULL;

	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	return s;
}

static int put(struct err **e, int errnum, char *message)
{
	if (!e) {
		free(message);
		return -errnum;
	}
	err_free(*e);
	*e = xcalloc(1, sizeof(**e));
	(*e)->errnum = errnum;
	(*e)->exit_code = 125;
	(*e)->message = message;
	return -errnum;
}

int err_set(struct err **e, int errnum, const char *fmt, ...)
{
	char *message;
	va_list ap;

	va_start(ap, fmt);
	message = vfmt(fmt, ap);
	va_end(ap);
	return put(e, errnum, message);
}

int err_errno(struct err **e, int errnum, const char *fmt, ...)
{
	_cleanup_free_ char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	message = vfmt(fmt, ap);
	va_end(ap);
	return put(e, errnum, xasprintf("%s: %s", message, strerror(errnum)));
}

int err_wrap(struct err **e, const char *fmt, ...)
{
	_cleanup_free_ char *where = NULL;
	_cleanup_free_ char *old = NULL;
	va_list ap;

	if (!e || !*e)
		return -EIO;
	va_start(ap, fmt);
	where = vfmt(fmt, ap);
	va_end(ap);
	old = (*e)->message;
	(*e)->message = xasprintf("%s: %s", where, old);
	return -(*e)->errnum;
}

static void append_line(char **text, const char *line)
{
	_cleanup_free_ char *old = *text;

	*text = old ? xasprintf("%s\n%s", old, line) : xstrdup(line);
}

int err_hint(struct err **e, const char *fmt, ...)
{
	_cleanup_free_ char *hint = NULL;
	va_list ap;

	if (!e || !*e)
		return -EIO;
	va_start(ap, fmt);
	hint = vfmt(fmt, ap);
	va_end(ap);
	append_line(&(*e)->hints, hint);
	return -(*e)->errnum;
}

int err_detail(struct err **e, const char *text)
{
	if (!e || !*e)
		return -EIO;
	append_line(&(*e)->details, text);
	return -(*e)->errnum;
}

int err_exit_code(struct err **e, int code)
{
	if (!e || !*e)
		return -EIO;
	(*e)->exit_code = code;
	return -(*e)->errnum;
}

const char *err_message(const struct err *e)
{
	return e->message;
}

const char *err_hints(const struct err *e)
{
	return e->hints ? e->hints : "";
}

const char *err_details(const struct err *e)
{
	return e->details ? e->details : "";
}

int err_number(const struct err *e)
{
	return e->errnum;
}

int err_exit(const struct err *e)
{
	return e->exit_code;
}

void err_free(struct err *e)
{
	if (!e)
		return;
	free(e->message);
	free(e->hints);
	free(e->details);
	free(e);
}

void err_clear(struct err **e)
{
	if (!e)
		return;
	err_free(*e);
	*e = NULL;
}
