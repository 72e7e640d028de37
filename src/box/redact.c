#include "box/redact.h"

#include "box/secret.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

struct pattern {
	const unsigned char *p; /* in a mapping */
	size_t n;
	const char *name;
};

struct mapping {
	const char *p;
	size_t n;
	char *name;
};

struct redact {
	struct mapping *maps;
	size_t n_maps;
	struct pattern *patterns; /* by their first byte: those of byte b are [first[b], first[b + 1]) */
	size_t n;
	size_t first[257];
	struct str held;
};

static int by_first_byte(const void *a, const void *b)
{
	const struct pattern *x = a;
	const struct pattern *y = b;

	/* The longest first: of two that begin alike, nothing of the longer one may stay. */
	if (*x->p != *y->p)
		return *x->p < *y->p ? -1 : 1;
	return x->n > y->n ? -1 : x->n < y->n;
}

static void add_lines(struct redact *r, const struct mapping *m)
{
	const char *end = m->p + m->n;

	for (const char *p = m->p; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((newline ? newline : end) - p);

		if (n > 0 && p[n - 1] == '\r')
			n--;
		if (n >= REDACT_LEAST) {
			r->patterns = xrealloc_array(r->patterns, r->n + 1, sizeof(*r->patterns));
			r->patterns[r->n++] = (struct pattern){.p = (const unsigned char *)p, .n = n, .name = m->name};
		}
		p = newline ? newline + 1 : end;
	}
}

static void sort(struct redact *r)
{
	size_t at = 0;

	if (r->n > 0)
		qsort(r->patterns, r->n, sizeof(*r->patterns), by_first_byte);
	for (size_t b = 0; b < 256; b++) {
		r->first[b] = at;
		while (at < r->n && *r->patterns[at].p == b)
			at++;
	}
	r->first[256] = at;
}

struct redact *redact_new(const struct secrets *s)
{
	struct redact *r;

	if (!s || s->n == 0)
		return NULL;
	r = xcalloc(1, sizeof(*r));
	r->maps = xcalloc(s->n, sizeof(*r->maps));
	for (size_t i = 0; i < s->n; i++) {
		struct mapping m = {.n = 0};
		bool again = false;

		m.p = secrets_map(&s->v[i], &m.n);
		for (size_t k = 0; k < i; k++)
			again |= strcmp(s->v[k].name, s->v[i].name) == 0;
		if (again && m.p)
			(void)munmap((void *)(uintptr_t)m.p, m.n);
		if (again || !m.p)
			continue;
		(void)madvise((void *)(uintptr_t)m.p, m.n, MADV_DONTFORK);
		m.name = xstrdup(s->v[i].name);
		r->maps[r->n_maps++] = m;
		add_lines(r, &m);
	}
	if (r->n == 0) {
		redact_free(r);
		return NULL;
	}
	sort(r);
	return r;
}

/* The pattern that the n bytes begin with. *ret_partly: they are the beginning of one, as far as they go. */
static const struct pattern *match(const struct redact *r, const unsigned char *p, size_t n, bool *ret_partly)
{
	*ret_partly = false;
	for (size_t i = r->first[*p]; i < r->first[*p + 1]; i++) {
		const struct pattern *x = &r->patterns[i];

		if (memcmp(p, x->p, x->n < n ? x->n : n) != 0)
			continue;
		if (x->n <= n)
			return x;
		*ret_partly = true;
	}
	return NULL;
}

void redact_add(struct redact *r, const char *bytes, size_t n, bool end, struct str *to)
{
	const unsigned char *p;
	size_t at = 0;

	if (!r) {
		str_add(to, bytes, n);
		return;
	}
	str_add(&r->held, bytes, n);
	p = (const unsigned char *)str_text(&r->held);
	while (at < r->held.len) {
		const struct pattern *x;
		size_t plain = at;
		bool partly;

		while (plain < r->held.len && r->first[p[plain]] == r->first[p[plain] + 1])
			plain++;
		str_add(to, p + at, plain - at);
		at = plain;
		if (at == r->held.len)
			break;
		x = match(r, p + at, r->held.len - at, &partly);
		if (partly && !end)
			break;
		if (x) {
			str_addf(to, "[secret %s]", x->name);
			at += x->n;
		} else {
			str_add(to, p + at, 1);
			at++;
		}
	}
	if (at == 0)
		return;
	memmove(r->held.p, r->held.p + at, r->held.len - at);
	explicit_bzero(r->held.p + r->held.len - at, at);
	r->held.len -= at;
	str_grew(&r->held, 0);
}

void redact_text(const struct redact *r, const char *text, struct str *to)
{
	for (size_t left = strlen(text); left > 0;) {
		const struct pattern *best = NULL;

		for (size_t i = 0; r && i < r->n; i++)
			if (r->patterns[i].n <= left && (!best || best->n < r->patterns[i].n) &&
			    strncasecmp(text, (const char *)r->patterns[i].p, r->patterns[i].n) == 0)
				best = &r->patterns[i];
		if (best)
			str_addf(to, "[secret %s]", best->name);
		else
			str_addc(to, *text);
		text += best ? best->n : 1;
		left -= best ? best->n : 1;
	}
}

void redact_free(struct redact *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n_maps; i++) {
		(void)munmap((void *)(uintptr_t)r->maps[i].p, r->maps[i].n);
		free(r->maps[i].name);
	}
	free(r->maps);
	free(r->patterns);
	secret_wipe_str(&r->held);
	free(r);
}
