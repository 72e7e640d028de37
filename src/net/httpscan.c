#include "net/httpscan.h"

enum { CHUNK_LINE_MAX = 1024, CHUNK_DIGITS_MAX = 16 };

static int refuse(struct httpscan *s, const char *why)
{
	s->why = why;
	return -1;
}

static bool is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* A byte of a line that is not of its end. */
static int scan_content(struct httpscan *s, uint8_t c)
{
	bool blank = c == ' ' || c == '\t';

	if ((c < 0x20 && c != '\t') || c == 0x7f)
		return refuse(s, "a control character in a head");
	switch (s->unit) {
	case HTTPSCAN_HEAD:
		if (s->lines == 0) {
			if (blank && (c == '\t' || s->line == 0 || s->previous == ' ' || ++s->blanks > 2))
				return refuse(s, "a request line with other blanks than two");
			break;
		}
		__attribute__((fallthrough));
	case HTTPSCAN_TRAILER:
		if (s->line == 0 && blank)
			return refuse(s, "a folded header");
		break;
	case HTTPSCAN_CHUNK_LINE:
		s->extension = s->extension || (c == ';' && s->line > 0);
		if (c >= 0x80 || (!s->extension && (!is_hex(c) || s->line >= CHUNK_DIGITS_MAX)))
			return refuse(s, "a malformed chunk size");
		break;
	default:
		return refuse(s, "a chunk that is longer than its size");
	}
	s->line++;
	return 0;
}

/* The LF behind a CR. 1: the unit ends with it. */
static int scan_line_end(struct httpscan *s)
{
	bool empty = s->line == 0;

	s->line = 0;
	if (s->unit == HTTPSCAN_CHUNK_END)
		return 1;
	if (s->unit == HTTPSCAN_CHUNK_LINE)
		return empty ? refuse(s, "a malformed chunk size") : 1;
	if (s->unit == HTTPSCAN_HEAD && s->lines == 0 && (empty || s->blanks != 2))
		return refuse(s, "a malformed request line");
	s->lines += !empty;
	return empty;
}

int httpscan_feed(struct httpscan *s, const uint8_t *p, size_t n, size_t *ret_n)
{
	size_t max = s->unit == HTTPSCAN_HEAD || s->unit == HTTPSCAN_TRAILER ? HTTPSCAN_HEAD_MAX : CHUNK_LINE_MAX;
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		if (s->bytes++ >= max)
			return refuse(s, "too long a head");
		if ((p[i] == '\n') != (s->previous == '\r'))
			return refuse(s, "a line that does not end with CR LF");
		if (p[i] == '\n') {
			r = scan_line_end(s);
		} else if (p[i] == '\r') {
			if (s->previous == ' ' && s->unit == HTTPSCAN_HEAD && s->lines == 0)
				return refuse(s, "a request line with other blanks than two");
		} else {
			r = scan_content(s, p[i]);
		}
		if (r < 0)
			return r;
		s->previous = p[i];
		if (r > 0) {
			*ret_n = i + 1;
			return 1;
		}
	}
	*ret_n = n;
	return 0;
}
