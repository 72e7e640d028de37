#include "kind/vm/moddep.h"

#include "base/str.h"

#include <errno.h>
#include <string.h>

char *moddep_name(const char *path, size_t n)
{
	const char *slash = memrchr(path, '/', n);
	const char *base = slash ? slash + 1 : path;
	size_t len = n - (size_t)(base - path);
	const char *ko = memmem(base, len, ".ko", 3);
	size_t name = ko ? (size_t)(ko - base) : 0;
	const char *rest = ko ? ko + 3 : base;
	size_t rest_len = len - (size_t)(rest - base);
	char *ret;

	if (name == 0 || name > MODDEP_NAME_MAX)
		return NULL;
	if (rest_len > 0 && !(rest_len == 3 && (memcmp(rest, ".xz", 3) == 0 || memcmp(rest, ".gz", 3) == 0)) &&
	    !(rest_len == 4 && memcmp(rest, ".zst", 4) == 0))
		return NULL;
	ret = xstrndup(base, name);
	for (char *p = ret; *p; p++)
		if (*p == '-')
			*p = '_';
	return ret;
}

static bool path_ok(const char *path)
{
	if (*path == '/' || *path == '\0')
		return false;
	for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
		if (strcmp(p, "..") == 0 || str_starts(p, "../"))
			return false;
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct moddep_entry *)a)->name, ((const struct moddep_entry *)b)->name);
}

static int bad_line(const char *path, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, path, strnlen(path, 200), false);
	return err_set(e, EBADMSG, "'%s' is not the path of a module", str_text(&shown));
}

static int parse_line(char *line, struct moddep_entry *ret, struct err **e)
{
	char *colon = strchr(line, ':');

	ret->path = line;
	ret->deps = "";
	if (colon) {
		*colon = '\0';
		ret->deps = colon + 1 + strspn(colon + 1, " ");
	}
	ret->name = path_ok(line) ? moddep_name(line, strlen(line)) : NULL;
	return ret->name ? 0 : bad_line(line, e);
}

int moddep_parse(char *text, size_t n, struct moddep *ret, struct err **e)
{
	struct moddep m = {.text = text};
	size_t cap = 0;
	int r = 0;

	if (strlen(text) != n)
		r = err_set(e, EBADMSG, "a NUL where there is text only");
	for (char *line = text, *next; r == 0 && *line; line = next) {
		char *end = strchrnul(line, '\n');

		next = *end ? end + 1 : end;
		*end = '\0';
		if (*line == '\0')
			continue;
		if (m.n == MODDEP_ENTRIES_MAX) {
			r = err_set(e, EFBIG, "more than %d modules", MODDEP_ENTRIES_MAX);
			break;
		}
		if (m.n == cap) {
			cap = cap ? 2 * cap : 512;
			m.v = xrealloc_array(m.v, cap, sizeof(*m.v));
		}
		r = parse_line(line, &m.v[m.n], e);
		if (r == 0)
			m.n++;
	}
	if (r < 0) {
		moddep_release(&m);
		return r;
	}
	if (m.n)
		qsort(m.v, m.n, sizeof(*m.v), by_name);
	*ret = m;
	return 0;
}

const struct moddep_entry *moddep_find(const struct moddep *m, const char *name)
{
	size_t low = 0;
	size_t high = m->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = strcmp(name, m->v[middle].name);

		if (c == 0)
			return &m->v[middle];
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

void moddep_release(struct moddep *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->v[i].name);
	free(m->v);
	free(m->text);
	*m = (struct moddep){0};
}
