#include "base/log.h"

#include <stdarg.h>
#include <unistd.h>

static enum log_level level_now = LOG_NORMAL;

void log_set_level(enum log_level level)
{
	level_now = level;
}

enum log_level log_level(void)
{
	return level_now;
}

static void say(enum log_level level, const char *fmt, va_list ap)
{
	_cleanup_free_ char *text = NULL;

	if (level > level_now)
		return;
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	/* One write, so that lines of two processes do not mix. */
	(void)dprintf(STDERR_FILENO, "igloo: %s\n", text);
}

void log_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(LOG_NORMAL, fmt, ap);
	va_end(ap);
}

void log_verbose(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(LOG_VERBOSE, fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(LOG_DEBUG, fmt, ap);
	va_end(ap);
}
