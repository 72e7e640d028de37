/* What is accepted says where it ends, is found in pieces as well as at once, and names nothing but hashes. */
#include "fuzz.h"

#include "nix/storerequest.h"

#include <stdlib.h>
#include <string.h>

static void check(const struct storerequest *r)
{
	if (r->what == STOREREQUEST_NARINFO || r->what == STOREREQUEST_NAR)
		if (strlen(r->path_hash) != STOREPATH_HASH)
			abort();
	if (r->what == STOREREQUEST_NAR && strlen(r->nar_hash) != STOREREQUEST_SHA256)
		abort();
	for (const char *p = r->path_hash; r->what != STOREREQUEST_NOTHING && *p; p++)
		if (!base32_is_digit(*p))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct storerequest whole;
	struct storerequest again;
	ssize_t n = storerequest_read(bytes, size, &whole);

	if (n > (ssize_t)size || n > STOREREQUEST_MAX)
		abort();
	if (n <= 0)
		return 0;
	check(&whole);
	for (ssize_t less = n - 1; less >= 0 && less > n - 64; less--)
		if (storerequest_read(bytes, (size_t)less, &again) != 0)
			abort();
	if (storerequest_read(bytes, (size_t)n, &again) != n || again.what != whole.what ||
	    memcmp(again.path_hash, whole.path_hash, sizeof(whole.path_hash)) != 0)
		abort();
	return 0;
}

FUZZ_MAIN()
