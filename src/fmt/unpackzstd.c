/* zstd by libzstd. */
#include "fmt/unpack_impl.h"

#include <errno.h>

/* libzstd 1's ABI (zstd.h, zstd_errors.h); the header is not needed to build then. */
enum { ZSTD_DST_SIZE_TOO_SMALL = 70 };

static struct {
	size_t (*frame_size)(const void *src, size_t n); /* packed */
	size_t (*decompress)(void *dst, size_t room, const void *src, size_t n);
	unsigned (*is_error)(size_t code);
	int (*error_code)(size_t code);
	const char *(*error_name)(size_t code);
} zstd;

int unpack_zstd(const void *bytes, size_t n, size_t expected, size_t max, struct str *to, struct err **e)
{
	static const struct unpack_symbol symbols[] = {
		{"ZSTD_findFrameCompressedSize", &zstd.frame_size},
		{"ZSTD_decompress", &zstd.decompress},
		{"ZSTD_isError", &zstd.is_error},
		{"ZSTD_getErrorCode", &zstd.error_code},
		{"ZSTD_getErrorName", &zstd.error_name},
	};
	size_t frame;

	if (!zstd.error_name) {
		int r = unpack_load("libzstd.so.1", "libzstd1", symbols, ARRAY_SIZE(symbols), e);

		if (r < 0)
			return r;
	}
	/* A kernel has its size behind the frame, which ZSTD_decompress() would take for another frame. */
	frame = zstd.frame_size(bytes, n);
	if (zstd.is_error(frame))
		return err_set(e, EBADMSG, "zstd data: damaged (%s)", zstd.error_name(frame));
	for (size_t room = unpack_first_room(n, expected, max); room; room = unpack_next_room(room, max)) {
		size_t out = zstd.decompress(str_room(to, room), room, bytes, frame);

		if (!zstd.is_error(out)) {
			str_grew(to, out);
			return 0;
		}
		if (zstd.error_code(out) != ZSTD_DST_SIZE_TOO_SMALL)
			return err_set(e, EBADMSG, "zstd data: damaged (%s)", zstd.error_name(out));
	}
	return err_set(e, EFBIG, "zstd data: more than %zu bytes unpacked", max);
}
