/* What a machine hands back: the texts of it. */
#include "fuzz.h"

#include "kind/vm/handback.h"
#include "nix/storepath.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	_cleanup_free_ char *name = handback_name(bytes, size);
	_cleanup_free_ char *path = handback_path(bytes, size);
	_cleanup_str_ struct str words = STR_INIT;
	_cleanup_err_ struct err *e = NULL;

	if (name && (!*name || strlen(name) > HANDBACK_NAME_MAX || strpbrk(name, "/. \n")))
		abort();
	if (path && !storepath_ok(path))
		abort();
	if (handback_params(bytes, size, &words, &e) == 0) {
		const char *text = str_text(&words);

		if (words.len > HANDBACK_PARAMS_MAX || strlen(text) != words.len || str_starts(text, "init=") ||
		    strstr(text, " init=") || strstr(text, "  "))
			abort();
		for (size_t i = 0; i < words.len; i++)
			if (text[i] < 0x20 || text[i] > 0x7e)
				abort();
	}
	return 0;
}

FUZZ_MAIN()
