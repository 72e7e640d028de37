/* xz by liblzma. */
#include "fmt/unpack_impl.h"

#include <errno.h>
#include <stdint.h>

/* liblzma 5's ABI (lzma/base.h, lzma/container.h: lzma_stream_buffer_decode() and its results); the header is not
 * needed to build then. Flags 0: check what the stream's own check covers, one stream only. */
enum { LZMA_OK = 0, LZMA_MEMLIMIT_ERROR = 6, LZMA_BUF_ERROR = 10 };
/* A kernel's dictionary is 32 MiB (Linux scripts/xz_wrap.sh); xz -9 has 64. */
static const uint64_t memory_max = 128u << 20;

static int (*stream_buffer_decode)(uint64_t *memlimit, uint32_t flags, const void *allocator, const uint8_t *in,
				   size_t *in_pos, size_t in_size, uint8_t *out, size_t *out_pos, size_t out_size);

int unpack_xz(const void *bytes, size_t n, size_t expected, size_t max, struct str *to, struct err **e)
{
	static const struct unpack_symbol symbols[] = {{"lzma_stream_buffer_decode", &stream_buffer_decode}};
	int r;

	if (!stream_buffer_decode) {
		r = unpack_load("liblzma.so.5", "liblzma5", symbols, ARRAY_SIZE(symbols), e);
		if (r < 0)
			return r;
	}
	for (size_t room = unpack_first_room(n, expected, max); room; room = unpack_next_room(room, max)) {
		uint64_t limit = memory_max;
		size_t in = 0;
		size_t out = 0;

		r = stream_buffer_decode(&limit, 0, NULL, bytes, &in, n, (uint8_t *)str_room(to, room), &out, room);
		if (r == LZMA_OK) {
			str_grew(to, out);
			return 0;
		}
		if (r != LZMA_BUF_ERROR)
			return err_set(e, r == LZMA_MEMLIMIT_ERROR ? EFBIG : EBADMSG, "xz data: %s (liblzma: %d)",
				       r == LZMA_MEMLIMIT_ERROR ? "its dictionary is too large" : "damaged", r);
	}
	return err_set(e, EFBIG, "xz data: more than %zu bytes unpacked", max);
}
