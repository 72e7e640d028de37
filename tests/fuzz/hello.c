/* The first byte says how many bytes arrive at once; the result must not depend on it. */
#include "fuzz.h"

#include "net/hello.h"

#include <string.h>

static enum hello_state run(const uint8_t *p, size_t n, size_t step, char name[HOSTNAME_MAX + 1])
{
	enum hello_state r = HELLO_MORE;
	struct hello *h;

	if (hello_new(&h, NULL) < 0)
		abort();
	for (size_t at = 0; at < n && r == HELLO_MORE; at += step)
		r = hello_feed(h, p + at, n - at < step ? n - at : step);
	memcpy(name, hello_name(h), strlen(hello_name(h)) + 1);
	hello_free(h);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char one[HOSTNAME_MAX + 1], two[HOSTNAME_MAX + 1], normal[HOSTNAME_MAX + 1];
	enum hello_state r;

	if (size < 2)
		return 0;
	r = run(data + 1, size - 1, size, one);
	if (run(data + 1, size - 1, data[0] ? data[0] : 256, two) != r || strcmp(one, two) != 0)
		abort();
	if (r == HELLO_NAME || *one) {
		if (r != HELLO_NAME && r != HELLO_ECH)
			abort();
		if (hostname_normalise(one, strlen(one), normal, NULL) < 0 || strcmp(one, normal) != 0)
			abort();
	}
	return 0;
}

FUZZ_MAIN()
