#include "fuzz.h"

#include "box/definition.h"

#include <string.h>

/* What decodes must encode, and what that gives decodes to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_definition_ struct definition d = {.directory = NULL};
	_cleanup_definition_ struct definition again = {.directory = NULL};
	_cleanup_str_ struct str one = STR_INIT;
	_cleanup_str_ struct str two = STR_INIT;

	if (definition_decode((const char *)data, size, &d, NULL) < 0)
		return 0;
	if (*d.directory != '/' || *d.repository != '/')
		abort();
	if (definition_encode(&d, &one, NULL) < 0)
		return 0;
	if (definition_decode(str_text(&one), one.len, &again, NULL) < 0 || definition_encode(&again, &two, NULL) < 0 ||
	    strcmp(str_text(&one), str_text(&two)) != 0)
		abort();
	return 0;
}

FUZZ_MAIN()
