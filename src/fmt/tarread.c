#include "fmt/tar.h"

#include <errno.h>
#include <string.h>

uint8_t *tar_room(struct tar_reader *t, size_t *ret_n)
{
	if (t->begin > 0) {
		memmove(t->buf, t->buf + t->begin, t->end - t->begin);
		t->end -= t->begin;
		t->begin = 0;
	}
	*ret_n = sizeof(t->buf) - t->end;
	return t->buf + t->end;
}

void tar_grew(struct tar_reader *t, size_t n)
{
	t->end += n;
}

bool tar_may_end(const struct tar_reader *t)
{
	return t->ended || (t->begin == t->end && t->left == 0 && t->padding == 0 && !t->collecting && !t->has_path &&
			    !t->has_target && !t->has_size && !t->has_time);
}

void tar_release(struct tar_reader *t)
{
	str_release(&t->path);
	str_release(&t->target);
	str_release(&t->extended);
}

static int bad(struct tar_reader *t, const char *why)
{
	t->why = why;
	return -EBADMSG;
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

/* Octal digits, blanks around them; or, with the first bit set, a big-endian number (GNU). */
static bool get_number(const uint8_t *p, size_t n, int64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (p[0] & 0x80) {
		bool negative = p[0] & 0x40;

		for (i = 0; i < n; i++) {
			uint8_t byte = i > 0 ? p[i] : negative ? p[0] : p[0] & 0x7f;

			if (n - i > 8 && byte != (negative ? 0xff : 0))
				return false;
			v = v << 8 | byte;
		}
		*ret = (int64_t)v;
		return (*ret < 0) == negative;
	}
	while (i < n && p[i] == ' ')
		i++;
	for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(p[i] - '0');
	*ret = (int64_t)v;
	/* 12 octal digits are 36 bits. */
	return i == n || p[i] == ' ' || p[i] == '\0';
}

static bool get_decimal(const char **p, const char *end, uint64_t *ret)
{
	const char *begin = *p;
	uint64_t v = 0;

	for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
		if (v > (INT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(**p - '0');
	}
	*ret = v;
	return *p > begin;
}

/* --- extended headers --------------------------------------------------------------------------------------------- */

static bool set_text(struct str *to, const char *p, size_t n, bool *has)
{
	str_clear(to);
	str_add(to, p, n);
	*has = true;
	return n > 0 && n <= TAR_PATH_MAX && !memchr(p, '\0', n);
}

static bool set_time(struct tar_reader *t, const char *p, const char *end)
{
	bool negative = p < end && *p == '-';
	uint32_t ns = 0;
	uint64_t s;

	p += negative;
	if (!get_decimal(&p, end, &s))
		return false;
	if (p < end && *p == '.') {
		uint32_t unit = 100000000;

		for (p++; p < end && *p >= '0' && *p <= '9'; p++, unit /= 10)
			ns += (uint32_t)(*p - '0') * unit;
	}
	t->over.s = negative ? -(int64_t)s - (ns > 0) : (int64_t)s;
	t->over.ns = negative && ns > 0 ? 1000000000 - ns : ns;
	t->has_time = true;
	return p == end;
}

static bool is_key(const char *key, size_t n, const char *name)
{
	return strlen(name) == n && memcmp(key, name, n) == 0;
}

static bool set_key(struct tar_reader *t, const char *key, size_t n, const char *value, const char *end)
{
	size_t len = (size_t)(end - value);

	if (is_key(key, n, "path"))
		return set_text(&t->path, value, len, &t->has_path);
	if (is_key(key, n, "linkpath"))
		return set_text(&t->target, value, len, &t->has_target);
	if (is_key(key, n, "mtime"))
		return set_time(t, value, end);
	if (is_key(key, n, "size")) {
		t->has_size = true;
		return get_decimal(&value, end, &t->over.size) && value == end;
	}
	/* The rest (owners, comments, attributes) is nothing that is kept. Sparse files have another size than they
	 * seem. */
	return n < 10 || memcmp(key, "GNU.sparse", 10) != 0;
}

static int read_records(struct tar_reader *t)
{
	const char *p = str_text(&t->extended);
	const char *end = p + t->extended.len;

	while (p < end) {
		const char *begin = p;
		const char *eq;
		uint64_t len;

		if (!get_decimal(&p, end, &len) || p == end || *p != ' ' || len > (uint64_t)(end - begin) ||
		    len < (uint64_t)(p - begin) + 3 || begin[len - 1] != '\n')
			return bad(t, "an extended header that makes no sense");
		p++;
		eq = memchr(p, '=', (size_t)(begin + len - p));
		if (!eq || !set_key(t, p, (size_t)(eq - p), eq + 1, begin + len - 1))
			return bad(t, "an extended header that igloo cannot do (sparse files, odd numbers or names)");
		p = begin + len;
	}
	return 0;
}

static int finish_collecting(struct tar_reader *t)
{
	char type = t->collecting;
	size_t n = strnlen(str_text(&t->extended), t->extended.len);

	t->collecting = 0;
	if (type == 'x')
		return read_records(t);
	if (type == 'g')
		return 0;
	return set_text(type == 'L' ? &t->path : &t->target, str_text(&t->extended), n,
			type == 'L' ? &t->has_path : &t->has_target)
		       ? 0
		       : bad(t, "a long name that is none");
}

/* --- headers ------------------------------------------------------------------------------------------------------ */

static bool is_zero(const uint8_t *h)
{
	return h[0] == 0 && memcmp(h, h + 1, TAR_BLOCK - 1) == 0;
}

static bool sum_is_right(const uint8_t *h)
{
	int64_t said;
	int64_t sum = 8 * ' ';

	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= 148 && i < 156 ? 0 : h[i];
	return get_number(h + 148, 8, &said) && said == sum;
}

static void take_names(struct tar_reader *t, const uint8_t *h)
{
	bool ustar = memcmp(h + 257, "ustar\0", 6) == 0;

	if (!t->has_path) {
		str_clear(&t->path);
		if (ustar && h[345]) {
			str_add(&t->path, h + 345, strnlen((const char *)h + 345, 155));
			str_addc(&t->path, '/');
		}
		str_add(&t->path, h, strnlen((const char *)h, 100));
	}
	if (!t->has_target) {
		str_clear(&t->target);
		str_add(&t->target, h + 157, strnlen((const char *)h + 157, 100));
	}
}

static enum tar_type type_of(char flag, const char *path)
{
	switch (flag) {
	case '\0':
	case '0':
	case '7':
		return str_ends(path, "/") ? TAR_DIR : TAR_FILE;
	case '1':
		return TAR_HARD_LINK;
	case '2':
		return TAR_LINK;
	case '5':
		return TAR_DIR;
	default:
		return TAR_OTHER;
	}
}

static int begin_collecting(struct tar_reader *t, char flag, uint64_t size)
{
	if (size > TAR_EXTENDED_MAX)
		return bad(t, "an extended header that is too large");
	t->collecting = flag;
	t->left = size;
	t->padding = tar_padding(size);
	str_clear(&t->extended);
	return TAR_MORE;
}

static int take_entry(struct tar_reader *t, const uint8_t *h, int64_t mode, int64_t s, int64_t size)
{
	struct tar_entry *e = &t->entry;

	take_names(t, h);
	*e = (struct tar_entry){.type = type_of((char)h[156], str_text(&t->path)),
				.path = str_text(&t->path),
				.target = str_text(&t->target),
				.mode = (uint32_t)mode & 07777,
				.s = t->has_time ? t->over.s : s,
				.ns = t->has_time ? t->over.ns : 0};
	if (t->has_size)
		size = (int64_t)t->over.size;
	/* Only these have none, whatever the header says. */
	if (e->type == TAR_LINK || e->type == TAR_DIR || e->type == TAR_HARD_LINK)
		size = 0;
	if (e->type == TAR_FILE)
		e->size = (uint64_t)size;
	t->skipping = e->type != TAR_FILE;
	t->left = (uint64_t)size;
	t->padding = tar_padding((uint64_t)size);
	t->has_path = t->has_target = t->has_size = t->has_time = false;
	return TAR_ENTRY;
}

static int take_header(struct tar_reader *t)
{
	const uint8_t *h = t->buf + t->begin;
	int64_t mode, s, size;

	t->begin += TAR_BLOCK;
	if (is_zero(h)) {
		t->ended = true;
		return TAR_END;
	}
	if (!sum_is_right(h))
		return bad(t, "no tar file, or a broken one");
	if (!get_number(h + 100, 8, &mode) || !get_number(h + 124, 12, &size) || !get_number(h + 136, 12, &s) ||
	    size < 0)
		return bad(t, "a header that makes no sense");
	if (h[156] == 'x' || h[156] == 'g' || h[156] == 'L' || h[156] == 'K')
		return begin_collecting(t, (char)h[156], (uint64_t)size);
	if (h[156] == 'S' || h[156] == 'M')
		return bad(t, "a sparse file, or one in several parts, which igloo cannot do");
	return take_entry(t, h, mode, s, size);
}

/* Of what is there: content, or zeros behind it. False when more has to come first. */
static bool take_bytes(struct tar_reader *t, int *ret)
{
	size_t have = t->end - t->begin;
	size_t n = t->left < have ? (size_t)t->left : have;

	*ret = TAR_MORE;
	if (t->left == 0) {
		n = t->padding < have ? t->padding : have;
		t->begin += n;
		t->padding -= n;
		return t->padding == 0;
	}
	if (n == 0)
		return false;
	t->bytes = t->buf + t->begin;
	t->n = n;
	t->begin += n;
	t->left -= n;
	if (t->collecting)
		str_add(&t->extended, t->bytes, n);
	else if (!t->skipping)
		*ret = TAR_BYTES;
	return *ret == TAR_MORE;
}

int tar_next(struct tar_reader *t)
{
	int r;

	if (t->ended)
		return TAR_END;
	for (;;) {
		while (t->left > 0 || t->padding > 0)
			if (!take_bytes(t, &r))
				return r;
		if (t->collecting) {
			r = finish_collecting(t);
			if (r < 0)
				return r;
		}
		if (t->end - t->begin < TAR_BLOCK)
			return TAR_MORE;
		r = take_header(t);
		if (r != TAR_MORE)
			return r;
	}
}
