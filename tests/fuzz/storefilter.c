/* What is let through is a question, known by all of its bytes and no less, for what is a store path each. */
#include "fuzz.h"

#include "nix/storefilter.h"

#include <stdlib.h>
#include <string.h>

/* Of the first path's bytes; there is one. */
static void check(const uint8_t *p, size_t n)
{
	static const char dir[] = STOREPATH_DIR "/";

	if (n < 24 + sizeof(dir) || n > STOREFILTER_BYTES_MAX || memcmp(p + 24, dir, sizeof(dir) - 1) != 0)
		abort();
	if (p[0] != STOREFILTER_QUERY_PATH_INFOS || memcmp(p + 1, "\0\0\0\0\0\0", 7) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int greeted = 0; greeted < 2; greeted++) {
		ssize_t n = storefilter_message(data, size, greeted);

		if (n > (ssize_t)size || (n == 0 && size >= STOREFILTER_BYTES_MAX))
			abort();
		if (n <= 0)
			continue;
		if (greeted)
			check(data, (size_t)n);
		for (ssize_t less = n - 1; less >= 0; less--)
			if (storefilter_message(data, (size_t)less, greeted) != 0)
				abort();
		if (storefilter_message(data, (size_t)n, greeted) != n)
			abort();
	}
	return 0;
}

FUZZ_MAIN()
