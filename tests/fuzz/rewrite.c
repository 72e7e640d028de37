/* The first byte says how many bytes arrive at once: what goes on must not depend on it, and what a placeholder became
 * must stand in a head. */
#include "fuzz.h"

#include "net/rewrite.h"

#include <string.h>

#define PLACEHOLDER "igloo_T_00112233445566778899aabbccddeeff"

static const struct inject in = {.v = {{.placeholder = PLACEHOLDER, .value = "\xfesecret", .n = 7}}, .n = 1};

static bool run(const uint8_t *p, size_t n, size_t step, struct str *out)
{
	struct rewrite *w;
	bool good = true;

	if (rewrite_new("example.org", 443, &in, &w, NULL) < 0)
		abort();
	for (size_t at = 0; at < n && good; at += step)
		good = rewrite_feed(w, p + at, n - at < step ? n - at : step, out);
	if (good != (*rewrite_why(w) == '\0'))
		abort();
	rewrite_free(w);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_str_ struct str whole = STR_INIT;
	_cleanup_str_ struct str pieces = STR_INIT;
	bool a, b;

	if (size < 2)
		return 0;
	a = run(data + 1, size - 1, size, &whole);
	b = run(data + 1, size - 1, data[0] ? data[0] : 1, &pieces);
	if (a != b || (a && (whole.len != pieces.len || memcmp(str_text(&whole), str_text(&pieces), whole.len) != 0)))
		abort();
	/* Without a placeholder nothing changes; one in Base64 is not seen here. */
	if (a && !memmem(data, size, PLACEHOLDER, strlen(PLACEHOLDER)) && !memmem(data, size, "asic ", 5) &&
	    !memmem(data, size, "ASIC ", 5) && memcmp(str_text(&whole), data + 1, whole.len) != 0)
		abort();
	return 0;
}

FUZZ_MAIN()
