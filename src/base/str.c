#include "base/str.h"

#include <stdint.h>
#include <string.h>

char *str_room(struct str *s, size_t n)
{
	size_t need;

	if (__builtin_add_overflow(s->len, n, &need) || __builtin_add_overflow(need, 1, &need))
		abort();
	if (need > s->cap) {
		size_t cap = s->cap ? s->cap : 64;

		while (cap < need)
			cap = cap > SIZE_MAX / 2 ? need : cap * 2;
		s->p = xrealloc_array(s->p, cap, 1);
		s->cap = cap;
	}
	return s->p + s->len;
}

void str_grew(struct str *s, size_t n)
{
	s->len += n;
	s->p[s->len] = '\0';
}

void str_add(struct str *s, const void *bytes, size_t n)
{
	char *to = str_room(s, n);

	if (n)
		memcpy(to, bytes, n);
	str_grew(s, n);
}

void str_adds(struct str *s, const char *text)
{
	str_add(s, text, strlen(text));
}

void str_addc(struct str *s, char c)
{
	str_add(s, &c, 1);
}

void str_addf(struct str *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	(void)str_room(s, (size_t)n);
	va_start(ap, fmt);
	(void)vsnprintf(s->p + s->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	str_grew(s, (size_t)n);
}

void str_clear(struct str *s)
{
	s->len = 0;
	if (s->p)
		s->p[0] = '\0';
}

void str_release(struct str *s)
{
	free(s->p);
	*s = (struct str)STR_INIT;
}

char *str_take(struct str *s)
{
	char *p = s->p ? s->p : xstrdup("");

	*s = (struct str)STR_INIT;
	return p;
}

const char *str_text(const struct str *s)
{
	return s->p ? s->p : "";
}

void str_add_quoted(struct str *s, const char *text)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "@%+=:,./_-";

	if (*text && text[strspn(text, safe)] == '\0') {
		str_adds(s, text);
		return;
	}
	str_addc(s, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			str_adds(s, "'\\''");
		else
			str_addc(s, *text);
	}
	str_addc(s, '\'');
}

/* The length of the valid UTF-8 sequence at p (n bytes left) that prints, else 0. C1 controls
 * (U+0080 to U+009F) count as not printing. RFC 3629. */
static size_t utf8_printing(const unsigned char *p, size_t n)
{
	size_t want = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	uint32_t c;

	if (want == 1)
		return p[0] >= 0x20 && p[0] != 0x7f;
	if (want == 0 || want > n)
		return 0;
	c = p[0] & (0x7fU >> want);
	for (size_t i = 1; i < want; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = (c << 6) | (p[i] & 0x3fU);
	}
	if (c < 0xa0 || (want == 3 && c < 0x800) || (want == 4 && c < 0x10000) || c > 0x10ffff ||
	    (c >= 0xd800 && c < 0xe000) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
		return 0; /* too long, surrogate, or a direction override that makes text lie */
	return want;
}

void str_add_printable(struct str *s, const char *bytes, size_t n, bool keep_lines)
{
	const unsigned char *p = (const unsigned char *)bytes;

	while (n > 0) {
		size_t k = utf8_printing(p, n);

		if (k == 0 && keep_lines && (*p == '\n' || *p == '\t'))
			k = 1;
		if (k == 0) {
			str_addf(s, "\\x%02x", *p);
			k = 1;
		} else {
			str_add(s, p, k);
		}
		p += k;
		n -= k;
	}
}

bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t a = strlen(s);
	size_t b = strlen(suffix);

	return a >= b && memcmp(s + a - b, suffix, b) == 0;
}

void strv_add_take(struct strv *s, char *text)
{
	if (s->n + 1 >= s->cap) {
		s->cap = s->cap ? s->cap * 2 : 8;
		s->v = xrealloc_array(s->v, s->cap, sizeof(*s->v));
	}
	s->v[s->n++] = text;
	s->v[s->n] = NULL;
}

void strv_add(struct strv *s, const char *text)
{
	strv_add_take(s, xstrdup(text));
}

void strv_addf(struct strv *s, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	strv_add_take(s, text);
}

void strv_add_all(struct strv *s, char *const *v)
{
	for (; v && *v; v++)
		strv_add(s, *v);
}

void strv_release(struct strv *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct strv)STRV_INIT;
}

bool strv_has(const struct strv *s, const char *text)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i], text) == 0)
			return true;
	return false;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort_unique(struct strv *s)
{
	size_t kept = 0;

	if (s->n == 0)
		return;
	qsort(s->v, s->n, sizeof(*s->v), compare);
	for (size_t i = 1; i < s->n; i++) {
		if (strcmp(s->v[kept], s->v[i]) == 0)
			free(s->v[i]);
		else
			s->v[++kept] = s->v[i];
	}
	s->n = kept + 1;
	s->v[s->n] = NULL;
}

ptrdiff_t strv_find_sorted(const struct strv *s, const char *text)
{
	char **hit;

	if (s->n == 0)
		return -1;
	hit = bsearch(&text, s->v, s->n, sizeof(*s->v), compare);
	return hit ? hit - s->v : -1;
}

void strv_split(struct strv *s, const char *text, char sep)
{
	while (*text) {
		const char *end = strchrnul(text, sep);

		if (end > text)
			strv_add_take(s, xstrndup(text, (size_t)(end - text)));
		text = *end ? end + 1 : end;
	}
}

static ptrdiff_t env_index(const struct strv *s, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < s->n; i++)
		if (strncmp(s->v[i], name, n) == 0 && s->v[i][n] == '=')
			return (ptrdiff_t)i;
	return -1;
}

void strv_env_set(struct strv *s, const char *name, const char *value)
{
	ptrdiff_t i = env_index(s, name);

	if (value && i < 0) {
		strv_addf(s, "%s=%s", name, value);
	} else if (value) {
		free(s->v[i]);
		s->v[i] = xasprintf("%s=%s", name, value);
	} else if (i >= 0) {
		free(s->v[i]);
		memmove(s->v + i, s->v + i + 1, (s->n - (size_t)i) * sizeof(*s->v));
		s->n--;
	}
}

const char *strv_env_get(const struct strv *s, const char *name)
{
	ptrdiff_t i = env_index(s, name);

	return i < 0 ? NULL : s->v[i] + strlen(name) + 1;
}

size_t str_distance(const char *a, const char *b)
{
	enum { MAX = 64 };
	size_t na = strnlen(a, MAX);
	size_t nb = strnlen(b, MAX);
	size_t row[3][MAX + 1];
	size_t *before = row[0];
	size_t *last = row[1];
	size_t *now = row[2];

	for (size_t j = 0; j <= nb; j++)
		last[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *spare = before;

		now[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[nb];
}
