#include "wire/copypath.h"

#include "base/mem.h"

#include <string.h>

void copypath_split(const char *path, struct copypath *ret)
{
	size_t n = strlen(path);
	size_t end = n;
	size_t at;

	while (end > 0 && path[end - 1] == '/')
		end--;
	at = end;
	while (at > 0 && path[at - 1] != '/')
		at--;
	*ret = (struct copypath){.folder = end < n};
	if (end == at || strncmp(path + at, ".", end - at) == 0 || (end - at == 2 && memcmp(path + at, "..", 2) == 0)) {
		ret->parent = xstrdup(n > 0 ? path : ".");
		return;
	}
	ret->name = xstrndup(path + at, end - at);
	while (at > 1 && path[at - 1] == '/')
		at--;
	ret->parent = at > 0 ? xstrndup(path, at) : xstrdup(".");
}

void copypath_release(struct copypath *p)
{
	free(p->parent);
	free(p->name);
	*p = (struct copypath){0};
}
