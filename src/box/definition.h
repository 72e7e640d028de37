/* What `igloo create` keeps of a box that stays: the file "definition.json" in its folder (box/box.h).
 *
 *     {"schema": "igloo.definition/1", "created": seconds since 1970,
 *      "directory": where the box's command starts, "repository": the workspace, "slot": id,
 *      "kind": as asked for, or "", "mode": "direct"...,
 *      "options": ["--in=vm", "--memory=8G", ...], "command": ["make", ...]}
 *
 * The options are those of `igloo run` in normal form: long, with "=", paths absolute and without symbolic links. They
 * are read again by the same tables at each start, so that a box is what its options say and nothing else. Texts that
 * are not UTF-8 stand as {"base64": "..."}. Values of secrets are never in it; what was given by --env NAME=VALUE is.
 *
 * Written by igloo and read on the host only; a box sees nothing of it. What is more than DEFINITION_BYTES_MAX bytes or
 * DEFINITION_WORDS_MAX options or words is neither written nor read. */
#ifndef IGLOO_BOX_DEFINITION_H
#define IGLOO_BOX_DEFINITION_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define DEFINITION_FILE "definition.json"
/* Held exclusively by who starts the box, until the box's own lock is. */
#define DEFINITION_START_LOCK "start.lock"
enum { DEFINITION_BYTES_MAX = 1 << 20, DEFINITION_WORDS_MAX = 4096, DEFINITION_VERSION = 1 };

struct definition {
	char *directory; /* absolute, as realpath(3) gave it; so is the next */
	char *repository;
	char *slot;
	char *kind;
	char *mode;
	struct strv options;
	struct strv command; /* empty: none, the box waits for others */
	int64_t created;
};

/* -E2BIG when it is more than a definition may be. */
int definition_write(int box_dir, const struct definition *d, struct err **e);
/* -ENOENT when the box has none; -EBADMSG when it is damaged; -ENOTSUP when a newer igloo wrote it. */
int definition_read(int box_dir, struct definition *ret, struct err **e);
/* The file's bytes; errors as those of definition_read(). */
int definition_decode(const char *bytes, size_t n, struct definition *ret, struct err **e);
int definition_encode(const struct definition *d, struct str *to, struct err **e);
/* Whether the folder has one, readable or not. */
bool definition_exists(int box_dir);
void definition_release(struct definition *d);

static inline void definition_releasep(struct definition *d)
{
	definition_release(d);
}
#define _cleanup_definition_ ATTR_CLEANUP(definition_releasep)

#endif
