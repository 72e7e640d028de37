/* A tar file, as it may come on igloo's stdin. The first byte says how many bytes arrive at once. */
#include "fuzz.h"

#include "base/mem.h"
#include "fmt/tar.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tar_reader t;
	size_t step = size > 0 && data[0] ? data[0] * 7U : sizeof(t.buf);
	uint64_t left = 0;
	int r = TAR_MORE;

	memset(&t, 0, offsetof(struct tar_reader, buf));
	for (size_t at = 1; at < size && r == TAR_MORE;) {
		size_t room, n = size - at < step ? size - at : step;
		uint8_t *to = tar_room(&t, &room);

		if (room == 0)
			abort();
		n = n < room ? n : room;
		memcpy(to, data + at, n);
		tar_grew(&t, n);
		at += n;
		while ((r = tar_next(&t)) == TAR_ENTRY || r == TAR_BYTES) {
			if (r == TAR_ENTRY) {
				if (left > 0 || strlen(t.entry.path) > TAR_PATH_MAX || t.entry.mode > 07777 ||
				    t.entry.ns >= 1000000000 || t.entry.size > INT64_MAX)
					abort();
				left = t.entry.size;
			} else if (t.n == 0 || t.n > left) {
				abort();
			} else {
				left -= t.n;
			}
		}
	}
	tar_release(&t);
	return 0;
}

FUZZ_MAIN()
