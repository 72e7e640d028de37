#include "fmt/tar.h"

#include <inttypes.h>
#include <string.h>

enum { NAME_BYTES = 100, NUMBER_MAX_12 = 11 };

/* A record "LENGTH KEY=VALUE\n", whose length counts itself. */
static void add_record(struct str *to, const char *key, const char *value)
{
	size_t rest = strlen(key) + strlen(value) + 3;
	size_t total = rest + 1;

	for (size_t digits = 1, limit = 10; total >= limit; limit *= 10)
		total = rest + ++digits;
	str_addf(to, "%zu %s=", total, key);
	str_adds(to, value);
	str_addc(to, '\n');
}

static void put_octal(char *field, int digits, uint64_t v)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%0*" PRIo64, digits, v);
	memcpy(field, text, (size_t)digits);
}

static void add_block(struct str *to, char type, const struct tar_entry *e, uint64_t size)
{
	bool time_fits = e->s >= 0 && e->s < (INT64_C(1) << 33);
	unsigned sum = 0;
	char h[TAR_BLOCK] = {0};

	memcpy(h, e->path, strnlen(e->path, NAME_BYTES));
	put_octal(h + 100, 7, e->mode & 07777);
	put_octal(h + 108, 7, 0);
	put_octal(h + 116, 7, 0);
	put_octal(h + 124, 11, size < (UINT64_C(1) << 33) ? size : 0);
	put_octal(h + 136, 11, time_fits ? (uint64_t)e->s : 0);
	memset(h + 148, ' ', 8);
	h[156] = type;
	memcpy(h + 157, e->target, strnlen(e->target, NAME_BYTES));
	memcpy(h + 257,
	       "ustar\0"
	       "00",
	       8);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	put_octal(h + 148, 6, sum);
	h[154] = '\0';
	str_add(to, h, sizeof(h));
}

static void add_time(struct str *records, int64_t s, uint32_t ns)
{
	_cleanup_str_ struct str value = STR_INIT;

	/* A time before 1970 counts its fraction the other way. */
	if (s < 0 && ns > 0)
		str_addf(&value, "-%" PRId64 ".%09u", -(s + 1), (unsigned)(1000000000 - ns));
	else
		str_addf(&value, "%" PRId64 ".%09u", s, (unsigned)ns);
	add_record(records, "mtime", str_text(&value));
}

void tar_add_header(struct str *to, const struct tar_entry *e)
{
	_cleanup_str_ struct str records = STR_INIT;

	if (strlen(e->path) > NAME_BYTES)
		add_record(&records, "path", e->path);
	if (strlen(e->target) > NAME_BYTES)
		add_record(&records, "linkpath", e->target);
	if (e->size >= UINT64_C(1) << 33) {
		char size[32];

		(void)snprintf(size, sizeof(size), "%" PRIu64, e->size);
		add_record(&records, "size", size);
	}
	if (e->ns != 0 || e->s < 0 || e->s >= INT64_C(1) << 33)
		add_time(&records, e->s, e->ns);
	if (records.len > 0) {
		static const char zeros[TAR_BLOCK];
		struct tar_entry x = {.path = "PaxHeader", .target = "", .mode = 0644, .s = 0};

		add_block(to, 'x', &x, records.len);
		str_add(to, records.p, records.len);
		str_add(to, zeros, tar_padding(records.len));
	}
	add_block(to, (char)e->type, e, e->size);
}

void tar_add_end(struct str *to)
{
	static const char zeros[2 * TAR_BLOCK];

	str_add(to, zeros, sizeof(zeros));
}
