/* Reading a tree of files into a stream (wire/copystream.h), on the host and in the box.
 *
 * Beneath a held folder, one name at a time, no link followed and nothing opened that is not a file or a folder; names
 * in a folder are sorted. Who else changes the tree meanwhile can make entries vanish (left out, and said) or have a
 * file end as it was then (COPY_CHANGED), and nothing else. */
#ifndef IGLOO_WIRE_COPYSEND_H
#define IGLOO_WIRE_COPYSEND_H

#include "base/str.h"
#include "wire/copystream.h"

struct copysend {
	struct copyrec *to;
	/* Something was left out; `path` is below what is copied. NULL: it becomes a record. */
	void (*skip)(void *user, int errnum, enum copy_why why, const char *path);
	/* A file changed while it was read; may be NULL. */
	void (*changed)(void *user, const char *path);
	void *user;
	struct str path; /* where it is; copysend_release() */
};

/* Sends what `dir` has under `name`, as `as` ("": what is in the folder). Returns 0, or -errno: what was asked for
 * cannot be read (s->path is "" then), or what copyrec_ returns. Does not end the stream. */
int copysend_tree(struct copysend *s, int dir, const char *name, const char *as);
void copysend_release(struct copysend *s);

#endif
