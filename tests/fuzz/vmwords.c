/* What a machine prints, and what its QEMU's monitor says, in pieces: the first byte is their size. */
#include "fuzz.h"

#include "guest/vmqmp.h"
#include "guest/vmwords.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vmwords w;
	static struct vmqmp q;
	size_t piece = size > 0 ? 1 + data[0] % 64 : 1;
	size_t n;

	w = (struct vmwords){0};
	q = (struct vmqmp){.fd = -1};
	for (size_t at = 1; at < size; at += piece) {
		size_t k = size - at < piece ? size - at : piece;

		(void)vmwords_add(&w, (const char *)data + at, k);
		vmqmp_feed(&q, (const char *)data + at, k);
		(void)vmwords_last_line(&w, &n);
		if (n > w.n || w.stage >= VMSTAGES || !memchr(w.panic, '\0', sizeof(w.panic)))
			abort();
	}
	return 0;
}

FUZZ_MAIN()
