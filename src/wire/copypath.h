/* A path as `igloo cp` is given it, taken apart by docker's rules. No file is looked at. */
#ifndef IGLOO_WIRE_COPYPATH_H
#define IGLOO_WIRE_COPYPATH_H

#include <stdbool.h>

struct copypath {
	char *parent; /* to open: "/", "a/b", "." */
	char *name;   /* in it; NULL: the folder `parent` itself, by "/", ".", ".." or one of these behind a slash */
	bool folder;  /* there was a slash behind it: a folder, or a link to one */
};

void copypath_split(const char *path, struct copypath *ret);
void copypath_release(struct copypath *p);
#define _cleanup_copypath_ __attribute__((cleanup(copypath_release)))

#endif
