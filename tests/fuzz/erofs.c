/* The head of an image: what is said to be whole is as long as it says, and one bit changed is seen. */
#include "fmt/erofs.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t head[EROFS_HEAD_BYTES] = {0};
	const char *why = NULL;

	memcpy(head, data, size < sizeof(head) ? size : sizeof(head));
	if (erofs_check(head, size, &why) < 0) {
		if (!why)
			abort();
		return 0;
	}
	if (size < EROFS_HEAD_BYTES || size % 4096 != 0)
		abort();
	head[1024 + size % 3072] ^= 1;
	if (erofs_check(head, size, &why) == 0)
		abort();
	return 0;
}

FUZZ_MAIN()
