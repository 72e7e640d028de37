#include "nix/nixlog.h"

/* Length of the SGR sequence at p, 0 if there is none: ESC [ digits, ; and : m. */
static size_t sgr_length(const char *p, size_t n)
{
	size_t i = 2;

	if (n < 3 || p[0] != '\x1b' || p[1] != '[')
		return 0;
	while (i < n && i < 32 && ((p[i] >= '0' && p[i] <= '9') || p[i] == ';' || p[i] == ':'))
		i++;
	return i < n && p[i] == 'm' ? i + 1 : 0;
}

void nixlog_add_clean(struct str *to, const char *bytes, size_t n, bool colours)
{
	bool coloured = false;

	while (n > 0) {
		const char *esc = memchr(bytes, '\x1b', n);
		size_t plain = esc ? (size_t)(esc - bytes) : n;
		size_t sgr;

		str_add_printable(to, bytes, plain, true);
		bytes += plain;
		n -= plain;
		sgr = sgr_length(bytes, n);
		if (sgr > 0 && colours) {
			str_add(to, bytes, sgr);
			coloured = true;
		} else if (sgr == 0 && n > 0) {
			str_add_printable(to, bytes, 1, true);
			sgr = 1;
		}
		bytes += sgr;
		n -= sgr;
	}
	if (coloured)
		str_adds(to, "\x1b[0m");
}
