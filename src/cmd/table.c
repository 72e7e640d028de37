#include "cmd/table.h"

#include "sys/tty.h"

#include <string.h>
#include <unistd.h>

enum { GAP = 2 };

/* The code point of valid UTF-8 (what str_add_printable() made) and its length. */
static uint32_t code_point(const char *p, size_t *ret_n)
{
	const unsigned char *u = (const unsigned char *)p;

	*ret_n = *u < 0x80 ? 1 : *u < 0xe0 ? 2 : *u < 0xf0 ? 3 : 4;
	switch (*ret_n) {
	case 1:
		return *u;
	case 2:
		return (u[0] & 0x1fU) << 6 | (u[1] & 0x3fU);
	case 3:
		return (u[0] & 0xfU) << 12 | (u[1] & 0x3fU) << 6 | (u[2] & 0x3fU);
	default:
		return (u[0] & 7U) << 18 | (u[1] & 0x3fU) << 12 | (u[2] & 0x3fU) << 6 | (u[3] & 0x3fU);
	}
}

/* Columns of a code point: the large blocks of Unicode's EastAsianWidth.txt that are wide, and of combining marks. A
 * character that it misjudges makes one line crooked, no more; wcwidth() would depend on the locale. */
static unsigned columns_of(uint32_t c)
{
	static const struct {
		uint32_t from, to;
		unsigned columns;
	} ranges[] = {{0x300, 0x36f, 0},   {0x200b, 0x200f, 0}, {0xfe00, 0xfe0f, 0},   {0x1100, 0x115f, 2},
		      {0x2e80, 0xa4cf, 2}, {0xac00, 0xd7a3, 2}, {0xf900, 0xfaff, 2},   {0xfe30, 0xfe6f, 2},
		      {0xff00, 0xff60, 2}, {0xffe0, 0xffe6, 2}, {0x1f300, 0x1faff, 2}, {0x20000, 0x3fffd, 2}};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		if (c >= ranges[i].from && c <= ranges[i].to)
			return ranges[i].columns;
	return 1;
}

static unsigned text_width(const char *text)
{
	unsigned width = 0;
	size_t n;

	for (; *text; text += n)
		width += columns_of(code_point(text, &n));
	return width;
}

void table_add(struct table *t, const char *text)
{
	struct str s = STR_INIT;

	str_add_printable(&s, text, strlen(text), false);
	strv_add_take(&t->cells, str_take(&s));
}

void table_addf(struct table *t, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	table_add(t, text);
}

/* Takes from the columns that may be cut, the widest first, until the table fits or nothing is left to take. */
static void fit(const struct table *t, unsigned *widths, unsigned width)
{
	for (;;) {
		unsigned total = GAP * (unsigned)(t->n - 1);
		size_t widest = t->n;

		for (size_t i = 0; i < t->n; i++) {
			total += widths[i];
			if (t->columns[i].least && widths[i] > t->columns[i].least &&
			    (widest == t->n || widths[i] > widths[widest]))
				widest = i;
		}
		if (total <= width || widest == t->n)
			return;
		widths[widest]--;
	}
}

static void add_cell(struct str *to, const struct table_column *column, const char *text, unsigned width, bool last)
{
	unsigned is = text_width(text);
	unsigned used = 0;
	size_t n;

	if (is > width && column->keeps_end) {
		for (; is > width - 1; text += n)
			is -= columns_of(code_point(text, &n));
		str_adds(to, "…");
		is++;
	} else if (is > width) {
		const char *start = text;

		while (used + columns_of(code_point(text, &n)) <= width - 1) {
			used += columns_of(code_point(text, &n));
			text += n;
		}
		str_add(to, start, (size_t)(text - start));
		str_adds(to, "…");
		text = "";
		is = used + 1;
	} else if (column->right) {
		str_addf(to, "%*s", (int)(width - is), "");
		is = width;
	}
	str_adds(to, text);
	if (!last)
		str_addf(to, "%*s", (int)(width - is + GAP), "");
}

void table_show(const struct table *t, unsigned width, struct str *to)
{
	unsigned widths[TABLE_COLUMNS_MAX];

	if (t->n == 0)
		return;
	for (size_t i = 0; i < t->n; i++)
		widths[i] = text_width(t->columns[i].title);
	for (size_t i = 0; i < t->cells.n; i++) {
		unsigned is = text_width(t->cells.v[i]);

		if (is > widths[i % t->n])
			widths[i % t->n] = is;
	}
	if (width > 0)
		fit(t, widths, width);
	for (size_t i = 0; i < t->n; i++)
		add_cell(to, &t->columns[i], t->columns[i].title, widths[i], i + 1 == t->n);
	str_addc(to, '\n');
	for (size_t i = 0; i < t->cells.n; i++) {
		size_t at = i % t->n;

		add_cell(to, &t->columns[at], t->cells.v[i], widths[at], at + 1 == t->n);
		if (at + 1 == t->n)
			str_addc(to, '\n');
	}
}

void table_release(struct table *t)
{
	strv_release(&t->cells);
}

unsigned table_width(void)
{
	uint16_t rows;
	uint16_t cols;

	if (!isatty(STDOUT_FILENO))
		return 0;
	tty_size(STDOUT_FILENO, &rows, &cols);
	return cols;
}

char *table_ago(int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *unit;
	} units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};

	if (seconds < 0)
		return xstrdup("?");
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		int64_t n = seconds / units[i].seconds;

		/* "90 minutes" says more than "1 hour". */
		if (n >= 2 || (n == 1 && i + 1 == ARRAY_SIZE(units)))
			return xasprintf("%lld %s%s", (long long)n, units[i].unit, n == 1 ? "" : "s");
	}
	return xstrdup("now");
}
