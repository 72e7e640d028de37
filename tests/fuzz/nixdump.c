/* The text of a machine's Nix database: up to a zero byte the old one, behind it the new. */
#include "fuzz.h"

#include "guest/nixdump.h"

#include <string.h>

static bool has(void *user, const char *path)
{
	(void)user;
	return path[strlen(path) - 1] != 'b';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, 0, size);
	_cleanup_str_ struct str old = STR_INIT;
	_cleanup_str_ struct str now = STR_INIT;
	_cleanup_str_ struct str to = STR_INIT;

	str_add(&old, data, end ? (size_t)(end - data) : size);
	if (end)
		str_add(&now, end + 1, size - old.len - 1);
	(void)nixdump_keep(&old, &now, has, NULL, &to);
	return 0;
}

FUZZ_MAIN()
