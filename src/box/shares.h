/* What --share-rw and --share-ro name: PATH or PATH:AT, and where a box has it.
 *
 * AT is what follows the last ':' that a '/' follows; a path with ":/" in it is written with its AT behind. Without AT
 * a box has PATH at the same place; one with a machine has it at /mnt/host-rw/NAME or /mnt/host-ro/NAME, NAME being its
 * last part. A second one of that name is NAME-2, and so on, in the order of the command line. */
#ifndef IGLOO_BOX_SHARES_H
#define IGLOO_BOX_SHARES_H

#include "base/err.h"
#include "box/spec.h"

#define SHARES_RW "/mnt/host-rw"
#define SHARES_RO "/mnt/host-ro"

struct share {
	char *path; /* as realpath(3) has it */
	char *at;   /* NULL: the default */
	bool read_only;
	char *risk; /* why the user is to be asked first; NULL: no need */
	dev_t dev;
	ino_t ino;
};

struct shares {
	struct share *v;
	size_t n;
};

/* Cuts the text; *ret_at is NULL without AT, else absolute, without ".", ".." and empty parts (-EINVAL). */
int shares_parse(const char *text, char **ret_path, char **ret_at, struct err **e);

/* Opens what is named, through all links, and looks at what that is. -EACCES for what no box may have, however it is
 * named: links, "..", and mounts of it elsewhere lead to the same file. */
int shares_add(struct shares *s, const char *text, bool read_only, struct err **e);

/* Adds them to the spec, which has the workspace already. -EINVAL for two at one place, for one that would hide another
 * share, and for one whose place would have to be made in another share. -ESTALE for what was replaced since. */
int shares_put(const struct shares *s, bool machine, struct box_spec *spec, struct err **e);

void shares_release(struct shares *s);

/* What is to be known of a user's own places; for tests. */
struct shares_places {
	const char *home;       /* NULL: none */
	const char *const *own; /* igloo's folders, NULL-terminated; they need not exist */
};

enum shares_verdict { SHARES_FINE, SHARES_ASK, SHARES_REFUSED };

/* What sharing the absolute path (`fd` is it, opened) may do; *ret_why, not for SHARES_FINE, is the caller's to free.
 */
enum shares_verdict shares_judge(const char *path, int fd, const struct shares_places *places, char **ret_why);

/* The default place in a machine; `taken` has those that are. The caller frees it. */
char *shares_place(const char *path, bool read_only, const struct strv *taken);

#endif
