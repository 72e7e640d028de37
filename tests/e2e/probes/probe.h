/* What every probe uses: a line per attempt, "ok NAME" or "not ok NAME: why", read by tests/e2e/escape.sh. Probes are
 * static programs that run inside a box and try what a box must not be able to do. */
#ifndef IGLOO_TESTS_PROBE_H
#define IGLOO_TESTS_PROBE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static inline __attribute__((format(printf, 3, 4))) void result(bool good, const char *name, const char *format, ...)
{
	va_list ap;

	printf("%s %s", good ? "ok" : "not ok", name);
	if (!good) {
		printf(": ");
		va_start(ap, format);
		vprintf(format, ap);
		va_end(ap);
	}
	printf("\n");
	(void)fflush(stdout);
}

/* The call must fail; with `wanted`, by that errno. */
static inline void refused(const char *name, long returned, int wanted)
{
	int saved = errno;

	if (returned >= 0)
		result(false, name, "it works (%ld)", returned);
	else
		result(wanted == 0 || saved == wanted, name, "fails with %s", strerror(saved));
}

#endif
