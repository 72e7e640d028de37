#include "nix/storerequest.h"
#include "base/str.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

enum { VISIT_MAX = 32 };

/* A piece of the request. */
struct span {
	const char *p;
	size_t n;
};

static bool span_is(const struct span *s, const char *text)
{
	return s->n == strlen(text) && memcmp(s->p, text, s->n) == 0;
}

static bool span_is_word(const struct span *s, const char *text)
{
	return s->n == strlen(text) && strncasecmp(s->p, text, s->n) == 0;
}

/* Takes what comes before `c`, and `c`. */
static bool take_until(struct span *from, char c, struct span *ret)
{
	const char *at = memchr(from->p, c, from->n);

	if (!at)
		return false;
	*ret = (struct span){from->p, (size_t)(at - from->p)};
	from->n -= ret->n + 1;
	from->p = at + 1;
	return true;
}

static bool take_prefix(struct span *from, const char *prefix)
{
	size_t n = strlen(prefix);

	if (from->n < n || memcmp(from->p, prefix, n) != 0)
		return false;
	from->p += n;
	from->n -= n;
	return true;
}

/* n digits of Nix's base 32. */
static bool take_digits(struct span *from, size_t n, char *ret)
{
	if (from->n < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!base32_is_digit(from->p[i]))
			return false;
	memcpy(ret, from->p, n);
	ret[n] = '\0';
	from->p += n;
	from->n -= n;
	return true;
}

/* --- the target -------------------------------------------------------------------------------------------------- */

static bool take_visit(struct span *s)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	struct span visit;

	if (!take_prefix(s, "/") || !take_until(s, '/', &visit) || visit.n == 0 || visit.n > VISIT_MAX)
		return false;
	for (size_t i = 0; i < visit.n; i++)
		if (!memchr(good, visit.p[i], sizeof(good) - 1))
			return false;
	return true;
}

static enum storerequest_what read_target(struct span s, struct storerequest *ret)
{
	if (!take_visit(&s))
		return STOREREQUEST_NOTHING;
	if (span_is(&s, "nix-cache-info"))
		return STOREREQUEST_INFO;
	if (take_prefix(&s, "nar/"))
		return take_digits(&s, STOREPATH_HASH, ret->path_hash) && take_prefix(&s, "-") &&
				       take_digits(&s, STOREREQUEST_SHA256, ret->nar_hash) && span_is(&s, ".nar")
			       ? STOREREQUEST_NAR
			       : STOREREQUEST_NOTHING;
	return take_digits(&s, STOREPATH_HASH, ret->path_hash) && span_is(&s, ".narinfo") ? STOREREQUEST_NARINFO
											  : STOREREQUEST_NOTHING;
}

/* Visible ASCII, of which no part is ".." or the like: those mean nothing here, and get 404 as any other. */
static bool target_ok(const struct span *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->p[i] <= ' ' || s->p[i] > '~')
			return false;
	return s->n > 0 && s->p[0] == '/';
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

static int read_first_line(struct span line, struct storerequest *ret)
{
	struct span method;
	struct span target;

	if (!take_until(&line, ' ', &method) || !take_until(&line, ' ', &target) || !target_ok(&target))
		return -EBADMSG;
	if (!span_is(&line, "HTTP/1.1") && !span_is(&line, "HTTP/1.0"))
		return -EBADMSG;
	ret->close = span_is(&line, "HTTP/1.0");
	ret->head = span_is(&method, "HEAD");
	if (!ret->head && !span_is(&method, "GET"))
		return -EOPNOTSUPP;
	ret->what = read_target(target, ret);
	return 0;
}

/* RFC 9110, 5.6.2. */
static bool is_token(const struct span *s)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s->n; i++)
		if (!memchr(good, s->p[i], sizeof(good) - 1))
			return false;
	return s->n > 0;
}

static void trim(struct span *s)
{
	while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t')) {
		s->p++;
		s->n--;
	}
	while (s->n > 0 && (s->p[s->n - 1] == ' ' || s->p[s->n - 1] == '\t'))
		s->n--;
}

/* A request with a body is none that we know where it ends. */
static int read_header(struct span line, struct storerequest *ret)
{
	struct span name;

	if (!take_until(&line, ':', &name) || !is_token(&name))
		return -EBADMSG;
	for (size_t i = 0; i < line.n; i++)
		if ((unsigned char)line.p[i] < ' ' && line.p[i] != '\t')
			return -EBADMSG;
	trim(&line);
	if (span_is_word(&name, "Transfer-Encoding"))
		return -EBADMSG;
	if (span_is_word(&name, "Content-Length") && !span_is(&line, "0"))
		return -EBADMSG;
	if (span_is_word(&name, "Connection") && span_is_word(&line, "close"))
		ret->close = true;
	return 0;
}

ssize_t storerequest_read(const char *bytes, size_t n, struct storerequest *ret)
{
	const char *end = memmem(bytes, n, "\r\n\r\n", 4);
	struct storerequest request = {.what = STOREREQUEST_NOTHING};
	struct span rest = {bytes, end ? (size_t)(end - bytes) + 2 : 0};
	struct span line;
	int r;

	if (!end)
		return n >= STOREREQUEST_MAX ? -EMSGSIZE : 0;
	if (rest.n + 2 > STOREREQUEST_MAX)
		return -EMSGSIZE;
	for (bool first = true; rest.n > 0; first = false) {
		/* Every line ends with CR LF, and has neither of them within. */
		if (!take_until(&rest, '\r', &line) || !take_prefix(&rest, "\n") || memchr(line.p, '\n', line.n))
			return -EBADMSG;
		r = first ? read_first_line(line, &request) : read_header(line, &request);
		if (r < 0)
			return r;
	}
	*ret = request;
	return end - bytes + 4;
}
