/* The modules that a machine's kernel is given, from its folder lib/modules/<release>.
 *
 * What needs what is taken from modules.dep. A kernel package that was only unpacked has none (depmod runs when it is
 * installed); then the modules are found by modules.order, and each says itself what it needs (modinfo.h). Soft
 * dependencies and aliases are not followed: whoever needs crc32c for ext4 asks for it by name. */
#ifndef IGLOO_KIND_VM_MODULES_H
#define IGLOO_KIND_VM_MODULES_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { MODULES_SET_MAX = 99, MODULES_FILE_MAX = 64 << 20 };

struct modules;

/* Opens the folder at `path` (absolute). -ENOENT when it is not there, -EINVAL when no list of modules is in it. A
 * kernel without any module has an empty modules.order. */
int modules_open(const char *path, struct modules **ret, struct err **e);
void modules_free(struct modules *m); /* accepts NULL */

static inline void modules_freep(struct modules **m)
{
	modules_free(*m);
}
#define _cleanup_modules_ ATTR_CLEANUP(modules_freep)

/* As it was opened. */
const char *modules_path(const struct modules *m);

/* Whether it is part of the kernel itself. */
bool modules_has_builtin(const struct modules *m, const char *name);

/* Adds the state of the folder's lists to a key (vmcache.h). */
void modules_add_key(const struct modules *m, uint64_t *key);

struct modules_want {
	const char *name; /* with '_' */
	bool required;
};

struct modules_item {
	char *name;
	char *path; /* below the folder; the file that is there, as it is compressed */
};

/* In the order to load them in: each comes behind all that it needs. */
struct modules_set {
	struct modules_item v[MODULES_SET_MAX];
	size_t n;
};

/* What is to be loaded for what is wanted; what is built into the kernel is left out, and so is what is not required
 * and is not there (or needs something that is not there). -ENOENT, naming it, for something required. *ret is
 * overwritten; the caller releases it. */
int modules_select(const struct modules *m, const struct modules_want *want, size_t n, struct modules_set *ret,
		   struct err **e);
void modules_set_release(struct modules_set *s);
#define _cleanup_modules_set_ ATTR_CLEANUP(modules_set_release)

/* Whether all that is required is there or built in; what it needs itself is not looked at, so it is quick. -ENOENT,
 * naming every one that is missing. */
int modules_check(const struct modules *m, const struct modules_want *want, size_t n, struct err **e);

/* The module, uncompressed. */
int modules_read(const struct modules *m, const struct modules_item *item, struct str *to, struct err **e);

#endif
