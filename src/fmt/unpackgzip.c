/* gzip by zlib. */
#include "fmt/unpack_impl.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* zlib 1's ABI (zlib.h); the header is not needed to build then. */
struct z_stream {
	const unsigned char *next_in;
	unsigned avail_in;
	unsigned long total_in;
	unsigned char *next_out;
	unsigned avail_out;
	unsigned long total_out;
	const char *msg;
	void *state;
	void *zalloc, *zfree, *opaque;
	int data_type;
	unsigned long adler;
	unsigned long reserved;
};
enum { Z_OK = 0, Z_STREAM_END = 1, Z_BUF_ERROR = -5, Z_FINISH = 4, Z_GZIP_ONLY = 15 + 16 };

static struct {
	int (*init2)(struct z_stream *z, int window_bits, const char *version, int size);
	int (*inflate)(struct z_stream *z, int flush);
	int (*end)(struct z_stream *z);
	const char *(*version)(void);
} zlib;

/* One try with so much room; 0 (*ret_out set), -EFBIG: more room; -EBADMSG. */
static int try_room(const void *bytes, size_t n, void *to, size_t room, size_t *ret_out, struct err **e)
{
	struct z_stream z = {.next_in = bytes, .avail_in = (unsigned)n, .next_out = to, .avail_out = (unsigned)room};
	int r = zlib.init2(&z, Z_GZIP_ONLY, zlib.version(), (int)sizeof(z));

	if (r != Z_OK)
		return err_set(e, EIO, "zlib does not start (%d)", r);
	r = zlib.inflate(&z, Z_FINISH);
	*ret_out = z.total_out;
	if (r == Z_STREAM_END)
		r = 0;
	else if ((r == Z_BUF_ERROR || r == Z_OK) && z.avail_out == 0)
		r = -EFBIG;
	else
		r = err_set(e, EBADMSG, "gzip data: damaged (%s)", z.msg ? z.msg : "cut short");
	(void)zlib.end(&z);
	return r;
}

int unpack_gzip(const void *bytes, size_t n, size_t expected, size_t max, struct str *to, struct err **e)
{
	static const struct unpack_symbol symbols[] = {
		{"inflateInit2_", &zlib.init2},
		{"inflate", &zlib.inflate},
		{"inflateEnd", &zlib.end},
		{"zlibVersion", &zlib.version},
	};

	if (!zlib.version) {
		int r = unpack_load("libz.so.1", "zlib1g", symbols, ARRAY_SIZE(symbols), e);

		if (r < 0)
			return r;
	}
	if (n > UINT_MAX || max > UINT_MAX)
		return err_set(e, EFBIG, "gzip data: more than zlib takes at once");
	for (size_t room = unpack_first_room(n, expected, max); room; room = unpack_next_room(room, max)) {
		size_t out = 0;
		int r = try_room(bytes, n, str_room(to, room), room, &out, e);

		if (r == 0)
			str_grew(to, out);
		if (r != -EFBIG)
			return r;
	}
	return err_set(e, EFBIG, "gzip data: more than %zu bytes unpacked", max);
}
