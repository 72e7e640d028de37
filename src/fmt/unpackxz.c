/* xz by liblzma. */
#include "fmt/unpack_impl.h"

#include <errno.h>
#include <stdint.h>

/* liblzma 5's ABI (lzma/base.h, lzma/container.h); the header is not needed to build then. */
struct lzma_stream {
	const uint8_t *next_in;
	size_t avail_in;
	uint64_t total_in;
	uint8_t *next_out;
	size_t avail_out;
	uint64_t total_out;
	const void *allocator;
	void *internal;
	void *reserved_pointers[4];
	uint64_t seek_position;
	uint64_t reserved_number;
	size_t reserved_sizes[2];
	int reserved_enums[2];
};
enum { LZMA_OK = 0, LZMA_STREAM_END = 1, LZMA_MEMLIMIT_ERROR = 6, LZMA_FINISH = 3 };
/* A kernel's dictionary is 32 MiB (Linux scripts/xz_wrap.sh); xz -9 has 64. */
static const uint64_t memory_max = 128u << 20;

static struct {
	int (*stream_decoder)(struct lzma_stream *s, uint64_t memlimit, uint32_t flags);
	int (*code)(struct lzma_stream *s, int action);
	void (*end)(struct lzma_stream *s);
} lzma;

/* lzma_stream_buffer_decode() would do it in one call, but does not tell data that is cut short from too little
 * room. */
static int decode(struct lzma_stream *s, size_t room, size_t max, struct str *to, struct err **e)
{
	size_t had = 0;

	for (; room; room = unpack_next_room(room, max)) {
		int r;

		/* What was written so far lies behind to->len, and moves with it. */
		s->next_out = (uint8_t *)str_room(to, room) + had;
		s->avail_out = room - had;
		r = lzma.code(s, LZMA_FINISH);
		had = room - s->avail_out;
		if (r == LZMA_STREAM_END) {
			str_grew(to, had);
			return 0;
		}
		if (r == LZMA_MEMLIMIT_ERROR)
			return err_set(e, EFBIG, "xz data: its dictionary is too large");
		if (r != LZMA_OK || s->avail_out > 0)
			return err_set(e, EBADMSG, "xz data: damaged or cut short (liblzma: %d)", r);
	}
	return err_set(e, EFBIG, "xz data: more than %zu bytes unpacked", max);
}

int unpack_xz(const void *bytes, size_t n, size_t expected, size_t max, struct str *to, struct err **e)
{
	static const struct unpack_symbol symbols[] = {
		{"lzma_stream_decoder", &lzma.stream_decoder},
		{"lzma_code", &lzma.code},
		{"lzma_end", &lzma.end},
	};
	struct lzma_stream s = {.next_in = bytes, .avail_in = n};
	int r;

	if (!lzma.end) {
		r = unpack_load("liblzma.so.5", "liblzma5", symbols, ARRAY_SIZE(symbols), e);
		if (r < 0)
			return r;
	}
	r = lzma.stream_decoder(&s, memory_max, 0);
	if (r != LZMA_OK)
		return err_set(e, EIO, "liblzma does not start (%d)", r);
	/* One byte more than expected, or its end would want another call to be seen. */
	r = decode(&s, unpack_first_room(n, expected ? expected + 1 : 0, max), max, to, e);
	lzma.end(&s);
	return r;
}
