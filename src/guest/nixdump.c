#include "guest/nixdump.h"

#include <errno.h>
#include <string.h>

enum { HEAD_LINES = 5, PATH_MAX_BYTES = 512 };

struct piece {
	const char *p;
	size_t n;
};

struct entry {
	struct piece path;
	struct piece refs; /* lines */
	size_t n_refs;
	struct piece text; /* all of it */
	bool kept;
};

struct entries {
	struct entry *v; /* sorted by path */
	size_t n;
};

static int by_bytes(const struct piece *a, const struct piece *b)
{
	int r = memcmp(a->p, b->p, a->n < b->n ? a->n : b->n);

	return r ? r : (a->n > b->n) - (a->n < b->n);
}

static int by_path(const void *a, const void *b)
{
	return by_bytes(&((const struct entry *)a)->path, &((const struct entry *)b)->path);
}

/* The next line, without its newline. */
static bool take_line(struct piece *rest, struct piece *ret)
{
	const char *end = rest->n ? memchr(rest->p, '\n', rest->n) : NULL;

	if (!end)
		return false;
	*ret = (struct piece){rest->p, (size_t)(end - rest->p)};
	rest->n -= ret->n + 1;
	rest->p = end + 1;
	return true;
}

static bool take_number(const struct piece *line, size_t max, size_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < line->n; i++) {
		if (line->p[i] < '0' || line->p[i] > '9' || n > max)
			return false;
		n = n * 10 + (size_t)(line->p[i] - '0');
	}
	*ret = n;
	return line->n > 0 && n <= max;
}

static bool take_entry(struct piece *rest, struct entry *ret)
{
	struct piece lines[HEAD_LINES];
	struct piece ref;
	struct entry x = {.text.p = rest->p};

	for (size_t i = 0; i < HEAD_LINES; i++)
		if (!take_line(rest, &lines[i]))
			return false;
	x.path = lines[0];
	/* Each is a line at least. */
	if (x.path.n < 2 || x.path.n > PATH_MAX_BYTES || *x.path.p != '/' || memchr(x.path.p, '\0', x.path.n) ||
	    !take_number(&lines[HEAD_LINES - 1], rest->n, &x.n_refs))
		return false;
	x.refs.p = rest->p;
	for (size_t i = 0; i < x.n_refs; i++)
		if (!take_line(rest, &ref))
			return false;
	x.refs.n = (size_t)(rest->p - x.refs.p);
	x.text.n = (size_t)(rest->p - x.text.p);
	*ret = x;
	return true;
}

static int read_entries(const struct str *text, struct entries *ret)
{
	struct piece rest = {str_text(text), text->len};
	size_t room = 0;

	while (rest.n > 0) {
		if (ret->n == room) {
			room = room ? room * 2 : 256;
			ret->v = xrealloc_array(ret->v, room, sizeof(*ret->v));
		}
		if (!take_entry(&rest, &ret->v[ret->n]))
			return -EBADMSG;
		ret->n++;
	}
	if (ret->n > 0)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_path);
	return 0;
}

static struct entry *find(const struct entries *all, const struct piece *path)
{
	const struct entry key = {.path = *path};

	return all->n ? bsearch(&key, all->v, all->n, sizeof(*all->v), by_path) : NULL;
}

static bool refs_are_there(const struct entry *x, const struct entries *old, const struct entries *now)
{
	struct piece rest = x->refs;
	struct piece ref;

	while (take_line(&rest, &ref)) {
		const struct entry *to = find(old, &ref);

		if (!(to && to->kept) && !find(now, &ref))
			return false;
	}
	return true;
}

static void choose(struct entries *old, const struct entries *now, bool (*has)(void *user, const char *path),
		   void *user)
{
	bool more = true;

	for (size_t i = 0; i < old->n; i++) {
		struct entry *x = &old->v[i];
		char path[PATH_MAX_BYTES + 1];

		memcpy(path, x->path.p, x->path.n);
		path[x->path.n] = '\0';
		x->kept = !find(now, &x->path) && has(user, path);
	}
	while (more) {
		more = false;
		for (size_t i = 0; i < old->n; i++) {
			if (!old->v[i].kept || refs_are_there(&old->v[i], old, now))
				continue;
			old->v[i].kept = false;
			more = true;
		}
	}
}

int nixdump_keep(const struct str *old, const struct str *now, bool (*has)(void *user, const char *path), void *user,
		 struct str *to)
{
	struct entries a = {0};
	struct entries b = {0};
	int r = read_entries(old, &a);

	if (r == 0)
		r = read_entries(now, &b);
	if (r == 0)
		choose(&a, &b, has, user);
	for (size_t i = 0; i < a.n && r == 0; i++)
		if (a.v[i].kept)
			str_add(to, a.v[i].text.p, a.v[i].text.n);
	free(a.v);
	free(b.v);
	return r;
}
