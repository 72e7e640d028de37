#include "fuzz.h"

#include "nix/record.h"

#include <endian.h>
#include <string.h>

/* Owns `bytes`. What decodes must encode, and to the same bytes where paths are real store paths. */
static void decode(char *bytes, size_t n)
{
	_cleanup_record_ struct env_record rec = {0};
	_cleanup_str_ struct str json = STR_INIT;
	_cleanup_str_ struct str again = STR_INIT;

	if (record_decode(bytes, n, &rec, NULL) < 0) {
		free(bytes);
		return;
	}
	record_add_json(&json, &rec);
	(void)record_has_function(&rec, "x");
	if (rec.env[rec.n_env] || rec.functions[rec.n_functions])
		abort();
	if (record_encode(&rec, &again, NULL) == 0 && (again.len != n || memcmp(again.p, bytes, n) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = xmalloc(size);

	memcpy(copy, data, size);
	decode(copy, size);
	/* Once more with a good header, to get past the checksum. */
	if (size < 32)
		return 0;
	uint64_t n = htole64(size);
	uint64_t sum = htole64(record_checksum(data + 32, size - 32));
	copy = xmalloc(size);
	memcpy(copy, data, size);
	memcpy(copy, "IGLOOENV\2\0\0\0\7\0\0", 16);
	memcpy(copy + 16, &n, 8);
	memcpy(copy + 24, &sum, 8);
	decode(copy, size);
	return 0;
}

FUZZ_MAIN()
