#include "net/rewrite.h"

#include "net/httphost.h"

#include <string.h>

struct rewrite {
	struct httphost *http;
	const struct inject *in;
	struct str head; /* as far as it has come */
	uint64_t heads;
	const char *why; /* not NULL: refused here, not by `http` */
};

int rewrite_new(const char *host, uint16_t port, const struct inject *in, struct rewrite **ret, struct err **e)
{
	struct httphost *http;
	int r = httphost_new(host, port, &http, e);

	if (r < 0)
		return r;
	httphost_set_tls(http);
	*ret = xcalloc(1, sizeof(**ret));
	**ret = (struct rewrite){.http = http, .in = in};
	return 0;
}

void rewrite_free(struct rewrite *w)
{
	if (!w)
		return;
	httphost_free(w->http);
	str_release(&w->head);
	free(w);
}

/* One line with its CR LF. The reader has seen to it that a header's is "name:value". */
static void add_line(const struct rewrite *w, const char *line, size_t n, struct str *to)
{
	const char *colon = memchr(line, ':', n);
	const char *value = colon ? colon + 1 : NULL;
	size_t left = colon ? n - 2 - (size_t)(value - line) : 0;
	size_t before = to->len;

	if (!colon || !inject_is_credential(line, (size_t)(colon - line))) {
		str_add(to, line, n);
		return;
	}
	while (left > 0 && (*value == ' ' || *value == '\t')) {
		value++;
		left--;
	}
	while (left > 0 && (value[left - 1] == ' ' || value[left - 1] == '\t'))
		left--;
	str_add(to, line, (size_t)(value - line));
	if (inject_value(w->in, value, left, to)) {
		str_adds(to, "\r\n");
		return;
	}
	to->len = before;
	str_add(to, line, n);
}

static bool add_head(struct rewrite *w, struct str *to)
{
	const char *p = w->head.p;
	const char *end = p + w->head.len;
	size_t before = to->len;
	bool request_line = true;

	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)(newline ? newline + 1 - p : end - p);

		if (request_line)
			str_add(to, p, n);
		else
			add_line(w, p, n, to);
		request_line = false;
		p += n;
		if (to->len - before > REWRITE_HEAD_MAX) {
			w->why = "too long a head";
			return false;
		}
	}
	w->heads++;
	str_release(&w->head);
	return true;
}

bool rewrite_feed(struct rewrite *w, const uint8_t *bytes, size_t n, struct str *to)
{
	while (n > 0 && !w->why) {
		struct httphost_piece piece = {.n = 0};
		enum httphost_state state = httphost_step(w->http, bytes, n, &piece);

		if (state == HTTPHOST_BAD || piece.n == 0)
			return false;
		if (piece.head)
			str_add(&w->head, bytes, piece.n);
		else
			str_add(to, bytes, piece.n);
		if (piece.head && state == HTTPHOST_GOOD && !add_head(w, to))
			return false;
		bytes += piece.n;
		n -= piece.n;
	}
	return !w->why;
}

const char *rewrite_why(const struct rewrite *w)
{
	return w->why ? w->why : httphost_why(w->http);
}

uint64_t rewrite_heads(const struct rewrite *w)
{
	return w->heads;
}
