/* A kernel's lists of modules: modules.dep, modules.order, modules.builtin (depmod(8), modules.dep(5), Linux
 * Documentation/kbuild/kbuild.rst). One line each: a path below the modules' folder, and in modules.dep a ':' and the
 * paths of all that it needs, the last of which is to be loaded first.
 *
 * A module's name is its file's up to ".ko", with '-' as '_'; a compressed one has ".xz", ".zst" or ".gz" behind it. */
#ifndef IGLOO_KIND_VM_MODDEP_H
#define IGLOO_KIND_VM_MODDEP_H

#include "base/err.h"

#include <stddef.h>

enum { MODDEP_FILE_MAX = 16 << 20, MODDEP_ENTRIES_MAX = 100000, MODDEP_NAME_MAX = 128 };

struct moddep_entry {
	char *name;       /* owned */
	const char *path; /* in the text */
	const char *deps; /* in the text: paths with spaces between; "" for none */
};

struct moddep {
	char *text;
	struct moddep_entry *v; /* sorted by name */
	size_t n;
};

/* `text` (n bytes and a NUL) is taken in any case. -EBADMSG for a path that leaves the folder or is not of a module,
 * or a NUL; -EFBIG beyond MODDEP_ENTRIES_MAX. */
int moddep_parse(char *text, size_t n, struct moddep *ret, struct err **e);
/* NULL when there is none of that name (spelled with '_'). */
const struct moddep_entry *moddep_find(const struct moddep *m, const char *name);
void moddep_release(struct moddep *m);

/* The name of a module of its path (n bytes); NULL when that is none. The caller frees it. */
char *moddep_name(const char *path, size_t n);

#endif
