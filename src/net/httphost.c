/* Theory of operation
 *
 * http-parser says what a request is: its method, headers, and how long its body is. It is lenient in places, and
 * distributions build it without its strict mode; but where two readers see different requests in the same bytes, one
 * of them sees another host. So the bytes go to the parser in units that are scanned first (net/httpscan.h), by the
 * rules of RFC 9112 to the letter:
 *
 *     HEAD, TRAILER    lines, up to an empty one
 *     CHUNK_LINE       the line with a chunk's size; CHUNK_END: the CR LF behind its data
 *     BODY, CHUNK      as many bytes as the parser said
 *
 * After each unit the parser must have come to the same end of it as the scan (`events`), or the request is refused. */
#include "net/httphost.h"

#include "base/str.h"
#include "net/httplib.h"
#include "net/httpscan.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum phase {
	HEAD,
	BODY,
	CHUNK_LINE,
	CHUNK,
	CHUNK_END,
	TRAILER,
	END, /* the last request of the connection was seen */
};

/* What the parser came to in the unit that it was given. */
enum { EVENT_HEAD = 1, EVENT_CHUNK = 2, EVENT_CHUNK_END = 4, EVENT_MESSAGE = 8 };

enum { WHY_MAX = HOSTNAME_MAX };

struct httphost {
	http_parser parser;
	char name[HOSTNAME_MAX + 1];
	uint16_t port;
	bool tls; /* httphost_set_tls() */
	enum httphost_state state;
	struct str why;
	enum phase phase;
	unsigned events;
	uint64_t left; /* BODY, CHUNK: bytes to come */
	struct httpscan scan;
	/* What the head says. */
	struct str target, field, value;
	bool in_value;
	unsigned headers; /* that the parser reported in this unit */
	unsigned hosts, lengths, encodings, upgrades;
	bool websocket;
	bool last; /* the request ends its connection */
};

_Static_assert((int)HTTPHOST_HEAD_MAX == (int)HTTPSCAN_HEAD_MAX, "one limit");

/* Refuses for the reason `why`; the first reason stays. */
static int refuse(struct httphost *h, const char *why)
{
	if (h->state != HTTPHOST_BAD)
		str_adds(&h->why, why);
	h->state = HTTPHOST_BAD;
	return -1;
}

static int refuse_host(struct httphost *h, const char *text, size_t n)
{
	if (h->state != HTTPHOST_BAD) {
		str_add_printable(&h->why, text, n < WHY_MAX / 4 ? n : WHY_MAX / 4, false);
		if (n == 0)
			str_adds(&h->why, "an empty Host");
	}
	h->state = HTTPHOST_BAD;
	return -1;
}

static bool is_digits(const char *p, size_t n, size_t max)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return n > 0 && n <= max;
}

/* "name" or "name:port" (RFC 9110, 7.2). Without a port it is this connection's. */
static int check_host(struct httphost *h, const char *text, size_t n)
{
	char name[HOSTNAME_MAX + 1];
	const char *colon = memchr(text, ':', n);
	size_t n_name = colon ? (size_t)(colon - text) : n;

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] >= 0x80)
			return refuse_host(h, text, n);
	if (hostname_normalise(text, n_name, name, NULL) < 0 || strcmp(name, h->name) != 0)
		return refuse_host(h, text, n);
	if (colon && (!is_digits(colon + 1, n - n_name - 1, 5) || strtoul(colon + 1, NULL, 10) != h->port))
		return refuse_host(h, text, n);
	return 0;
}

/* The target's authority where it has one (RFC 9112, 3.2): origin form and "*" have none. */
static int check_target(struct httphost *h)
{
	const char *scheme = h->tls ? "https://" : "http://";
	const char *p = str_text(&h->target);

	if (p[0] == '/')
		return 0;
	if (strcmp(p, "*") == 0 && h->parser.method == HTTP_OPTIONS)
		return 0;
	if (strncasecmp(p, scheme, strlen(scheme)) != 0)
		return refuse(h, "a target that is neither a path nor of this scheme");
	p += strlen(scheme);
	return check_host(h, p, strcspn(p, "/?#"));
}

static bool is_token(const struct str *s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s->len; i++) {
		char c = s->p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		      (c && strchr(others, c))))
			return false;
	}
	return s->len > 0;
}

/* A header of a head. In a trailer nothing that frames or routes may stand: servers differ in what they do with it. */
static int check_header(struct httphost *h, const char *name, const char *value, size_t n)
{
	bool trailing = h->phase == TRAILER;

	if (strcasecmp(name, "Host") == 0) {
		h->hosts++;
		if (trailing)
			return refuse(h, "Host in a trailer");
		return check_host(h, value, n);
	}
	if (strcasecmp(name, "Content-Length") == 0) {
		if (h->lengths++ > 0 || trailing || !is_digits(value, n, 18))
			return refuse(h, "a bad or second Content-Length");
	} else if (strcasecmp(name, "Transfer-Encoding") == 0) {
		if (h->encodings++ > 0 || trailing || strcasecmp(value, "chunked") != 0 || n != strlen("chunked"))
			return refuse(h, "a Transfer-Encoding that is not just chunked");
	} else if (strcasecmp(name, "Upgrade") == 0) {
		if (h->tls)
			return refuse(h, "an Upgrade");
		if (h->upgrades++ > 0 || trailing || strcasecmp(value, "websocket") != 0)
			return refuse(h, "an Upgrade to something other than websocket");
		h->websocket = true;
	}
	return 0;
}

static int end_header(struct httphost *h)
{
	const char *value = str_text(&h->value);
	size_t n = h->value.len;
	_cleanup_free_ char *trimmed = NULL;

	if (!h->in_value)
		return 0;
	h->in_value = false;
	h->headers++;
	if (!is_token(&h->field))
		return refuse(h, "a header's name with other characters than a token's");
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	while (n > 0 && (value[0] == ' ' || value[0] == '\t')) {
		value++;
		n--;
	}
	trimmed = xstrndup(value, n);
	if (check_header(h, str_text(&h->field), trimmed, n) < 0)
		return -1;
	str_clear(&h->field);
	str_clear(&h->value);
	return 0;
}

static int on_begin(http_parser *p)
{
	struct httphost *h = p->data;

	str_clear(&h->target);
	str_clear(&h->field);
	str_clear(&h->value);
	h->in_value = h->websocket = false;
	h->hosts = h->lengths = h->encodings = h->upgrades = 0;
	return 0;
}

static int on_url(http_parser *p, const char *at, size_t n)
{
	struct httphost *h = p->data;

	str_add(&h->target, at, n);
	return 0;
}

static int on_field(http_parser *p, const char *at, size_t n)
{
	struct httphost *h = p->data;

	if (end_header(h) < 0)
		return -1;
	str_add(&h->field, at, n);
	return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
	struct httphost *h = p->data;

	str_add(&h->value, at, n);
	h->in_value = true;
	return 0;
}

static int on_head(http_parser *p)
{
	struct httphost *h = p->data;
	bool body;

	h->events |= EVENT_HEAD;
	if (end_header(h) < 0)
		return -1;
	if (p->http_major != 1 || p->http_minor > 1)
		return refuse(h, "not HTTP/1.0 or HTTP/1.1");
	if (p->method == HTTP_CONNECT || p->method == HTTP_SOURCE)
		return refuse(h, p->method == HTTP_CONNECT ? "CONNECT" : "SOURCE");
	/* RFC 9110, 9.3.8: its answer shows the request. */
	if (h->tls && p->method == HTTP_TRACE)
		return refuse(h, "TRACE");
	if (check_target(h) < 0)
		return -1;
	if (h->hosts != 1)
		return refuse(h, h->hosts ? "two Host headers" : "no Host header");
	if (h->encodings > 0 && (h->lengths > 0 || p->http_minor == 0))
		return refuse(h, "Transfer-Encoding with Content-Length, or in HTTP/1.0");
	body = h->encodings > 0 || (h->lengths > 0 && p->content_length > 0);
	/* What a server does not take for an upgrade, its next request is in. */
	if (h->websocket && (!p->upgrade || p->method != HTTP_GET || p->http_minor != 1 || body))
		return refuse(h, "an Upgrade that is no websocket handshake");
	h->left = h->lengths > 0 ? p->content_length : 0;
	return 0;
}

static int on_chunk(http_parser *p)
{
	struct httphost *h = p->data;

	h->events |= EVENT_CHUNK;
	h->left = p->content_length;
	return 0;
}

static int on_chunk_end(http_parser *p)
{
	struct httphost *h = p->data;

	h->events |= EVENT_CHUNK_END;
	return 0;
}

static int on_message(http_parser *p)
{
	struct httphost *h = p->data;

	h->events |= EVENT_MESSAGE;
	if (h->phase == TRAILER && end_header(h) < 0)
		return -1;
	h->last = !httplib.keep_alive(p);
	return 0;
}

static const http_parser_settings callbacks = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
	.on_message_complete = on_message,
	.on_chunk_header = on_chunk,
	.on_chunk_complete = on_chunk_end,
};

static void begin(struct httphost *h, enum phase phase)
{
	static const enum httpscan_unit units[] = {
		[HEAD] = HTTPSCAN_HEAD,
		[CHUNK_LINE] = HTTPSCAN_CHUNK_LINE,
		[CHUNK_END] = HTTPSCAN_CHUNK_END,
		[TRAILER] = HTTPSCAN_TRAILER,
		[END] = HTTPSCAN_HEAD,
	};

	h->phase = phase;
	h->headers = 0;
	h->scan = (struct httpscan){.unit = units[phase]};
}

/* Gives bytes of one unit to the parser, which must take them all. */
static int parse(struct httphost *h, const uint8_t *p, size_t n)
{
	size_t took;

	h->events = 0;
	took = httplib.execute(&h->parser, &callbacks, (const char *)p, n);
	if (h->state == HTTPHOST_BAD)
		return -1;
	if (HTTP_PARSER_ERRNO(&h->parser) != HPE_OK)
		return refuse(h, httplib.describe(HTTP_PARSER_ERRNO(&h->parser)));
	return took == n ? 0 : refuse(h, "not one HTTP/1 request after another");
}

/* At the end of a unit: goes on to the next, if the parser is where the scan is. */
static int end_unit(struct httphost *h)
{
	unsigned expected = EVENT_MESSAGE;
	enum phase next = h->last ? END : HEAD;

	switch (h->phase) {
	case HEAD:
		expected = EVENT_HEAD;
		if (h->encodings > 0) {
			next = CHUNK_LINE;
		} else if (h->left > 0) {
			next = BODY;
		} else {
			expected |= EVENT_MESSAGE;
		}
		break;
	case CHUNK_LINE:
		expected = EVENT_CHUNK;
		next = h->left > 0 ? CHUNK : TRAILER;
		break;
	case CHUNK:
		expected = 0;
		next = CHUNK_END;
		break;
	case CHUNK_END:
		expected = EVENT_CHUNK_END;
		next = CHUNK_LINE;
		break;
	case TRAILER:
		expected |= EVENT_CHUNK_END;
		break;
	default:
		break;
	}
	if (h->events != expected ||
	    ((h->phase == HEAD || h->phase == TRAILER) && h->headers + (h->phase == HEAD) != h->scan.lines))
		return refuse(h, "a request that can be read in two ways");
	if (h->phase == HEAD && h->websocket)
		h->state = HTTPHOST_OPAQUE;
	begin(h, next);
	return 0;
}

/* Takes in what begins at p and belongs to one unit. *ret_n: how many bytes. */
static int feed_unit(struct httphost *h, const uint8_t *p, size_t n, size_t *ret_n)
{
	bool data = h->phase == BODY || h->phase == CHUNK;
	bool ended;
	int r;

	if (h->state == HTTPHOST_OPAQUE)
		return refuse(h, "bytes right behind a request to upgrade");
	if (h->phase == END)
		return refuse(h, "a request behind the last one");
	if (data) {
		n = n < h->left ? n : (size_t)h->left;
		h->left -= n;
		ended = h->left == 0;
	} else {
		r = httpscan_feed(&h->scan, p, n, &n);
		if (r < 0)
			return refuse(h, h->scan.why);
		ended = r > 0;
	}
	if (parse(h, p, n) < 0)
		return -1;
	*ret_n = n;
	if (ended)
		return end_unit(h);
	return h->events ? refuse(h, "a request that can be read in two ways") : 0;
}

enum httphost_state httphost_step(struct httphost *h, const uint8_t *bytes, size_t n, struct httphost_piece *ret)
{
	struct httphost_piece piece = {.head = h->phase == HEAD};

	if (h->state == HTTPHOST_BAD || n == 0 || feed_unit(h, bytes, n, &piece.n) < 0)
		return h->state;
	if (h->state != HTTPHOST_OPAQUE)
		h->state = h->phase == HEAD && h->scan.bytes > 0 ? HTTPHOST_MORE : HTTPHOST_GOOD;
	*ret = piece;
	return h->state;
}

enum httphost_state httphost_feed(struct httphost *h, const uint8_t *bytes, size_t n)
{
	if (h->state == HTTPHOST_OPAQUE)
		return h->state;
	while (n > 0) {
		struct httphost_piece piece = {.n = 0};

		(void)httphost_step(h, bytes, n, &piece);
		if (piece.n == 0)
			break;
		bytes += piece.n;
		n -= piece.n;
	}
	return h->state;
}

void httphost_set_tls(struct httphost *h)
{
	h->tls = true;
}

const char *httphost_why(const struct httphost *h)
{
	return str_text(&h->why);
}

int httphost_new(const char *name, uint16_t port, struct httphost **ret, struct err **e)
{
	struct httphost *h;
	size_t n = strlen(name);
	int r = httplib_load(e);

	if (r < 0)
		return r;
	if (n > HOSTNAME_MAX)
		return err_set(e, EINVAL, "HTTP names: a host's name of %zu bytes", n);
	h = xcalloc(1, sizeof(*h));
	httplib.init(&h->parser, HTTP_REQUEST);
	h->parser.data = h;
	memcpy(h->name, name, n + 1);
	h->port = port;
	*ret = h;
	return 0;
}

void httphost_free(struct httphost *h)
{
	if (!h)
		return;
	str_release(&h->why);
	str_release(&h->target);
	str_release(&h->field);
	str_release(&h->value);
	free(h);
}
