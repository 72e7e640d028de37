/* The first byte says how many bytes arrive at once; whether the whole is accepted must not depend on it. */
#include "fuzz.h"

#include "base/mem.h"
#include "net/httphost.h"

#include <string.h>

static enum httphost_state run(const uint8_t *p, size_t n, size_t step)
{
	enum httphost_state r = HTTPHOST_MORE;
	struct httphost *h;

	if (httphost_new("example.org", 80, &h, NULL) < 0)
		abort();
	for (size_t at = 0; at < n && r != HTTPHOST_BAD; at += step) {
		r = httphost_feed(h, p + at, n - at < step ? n - at : step);
		/* Behind an upgrade everything goes; right behind it, in one piece, nothing does. */
		if (r == HTTPHOST_OPAQUE)
			break;
	}
	if ((r == HTTPHOST_BAD) != (*httphost_why(h) != '\0') || strlen(httphost_why(h)) > HOSTNAME_MAX)
		abort();
	httphost_free(h);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum httphost_state whole, pieces;

	if (size < 2)
		return 0;
	whole = run(data + 1, size - 1, size);
	pieces = run(data + 1, size - 1, data[0] ? data[0] : 1);
	if (whole != pieces && pieces != HTTPHOST_OPAQUE)
		abort();
	/* What is let through has the Host in it. */
	if (whole == HTTPHOST_GOOD && !memmem(data, size, "\r\n\r\n", 4))
		abort();
	return 0;
}

FUZZ_MAIN()
