/* Every parser of base/size.h on the same text: a flake's requests reach them. What is accepted must be
 * within its bounds, and what size_add_duration() writes must read back as the same. */
#include "base/size.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xstrndup((const char *)data, size);
	_cleanup_str_ struct str shown = STR_INIT;
	struct err *e = NULL;
	uint64_t v = 0;
	uint64_t again = 0;

	if (size_parse(text, SIZE_MIB, 16 * SIZE_TIB, &v, &e) == 0 && (v < SIZE_MIB || v > 16 * SIZE_TIB))
		abort();
	size_add(&shown, v);
	err_clear(&e);
	if (size_parse_cpus(text, &v, &e) == 0 && (v < 1 || v > 128000))
		abort();
	err_clear(&e);
	if (size_parse_count(text, 3, 4000, &v, &e) == 0 && (v < 3 || v > 4000))
		abort();
	err_clear(&e);
	str_clear(&shown);
	if (size_parse_duration(text, &v, &e) == 0) {
		size_add_duration(&shown, v);
		if (size_parse_duration(str_text(&shown), &again, NULL) < 0 || again != v)
			abort();
	}
	err_clear(&e);
	return 0;
}

FUZZ_MAIN()
