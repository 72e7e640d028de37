/* What kernels and modules are packed with: damaged streams, with a small bound. The first byte is of the expected
 * size. */
#include "fuzz.h"

#include "fmt/unpack.h"

#include <errno.h>
#include <string.h>

enum { MAX = 256 * 1024, BEFORE = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_str_ struct str to = STR_INIT;
	_cleanup_err_ struct err *e = NULL;
	enum unpack_format format;
	int r;

	if (size < 1)
		return 0;
	format = unpack_detect(data + 1, size - 1);
	if (!unpack_name(format))
		abort();
	if (format == UNPACK_NONE)
		return 0;
	str_add(&to, "abc", BEFORE);
	r = unpack(format, data + 1, size - 1, data[0] * 4096U, MAX, &to, &e);
	if (to.len < BEFORE || memcmp(to.p, "abc", BEFORE) != 0 || to.len > BEFORE + MAX)
		abort();
	if (r < 0 ? to.len != BEFORE || !e : e != NULL)
		abort();
	return 0;
}

FUZZ_MAIN()
