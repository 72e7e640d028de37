/* flake.lock: which inputs a flake has, and where a store would hold them.
 *
 * A locked input is not fetched when its store path is valid, and that path follows from narHash
 * alone. Source: the Nix manual, "nix flake", "Lock files" (versions 5 to 7);
 * src/libflake/flake/lockfile.cc and src/libfetchers. The file comes from the repository and is not
 * trusted: 4 MiB and 10000 nodes at most. */
#ifndef IGLOO_NIX_LOCK_H
#define IGLOO_NIX_LOCK_H

#include "base/err.h"
#include "nix/storepath.h"

#include <stdbool.h>
#include <stddef.h>

enum { LOCK_BYTES_MAX = 4 << 20, LOCK_NODES_MAX = 10000 };

struct lock_node {
	char *name;    /* in the file; printable as it is */
	char *type;    /* "github", "git", "path", …; "" when the node is not locked at all */
	char *from;    /* for messages: a URL, owner/repository, or path; printable as it is */
	bool has_path; /* has a narHash: store_path is set */
	char store_path[STOREPATH_SIZE];
	bool is_path;   /* type "path" */
	bool is_inside; /* is_path, relative to this flake, and the path stays in the repository */
	bool is_nested; /* is_path, relative to another input: it comes with that input's tree */
};

struct lock {
	struct lock_node *nodes; /* all but the root, sorted by name */
	size_t n_nodes;
};

/* Reads the n bytes of a flake.lock. `subdir` is the flake's folder in its repository ("" at the top),
 * from which relative paths start. -EINVAL for a file that is no lock of version 5 to 7, and for a
 * narHash that is no SHA-256. A node without narHash is not an error here: has_path is false. */
int lock_parse(const char *text, size_t n, const char *subdir, struct lock **ret, struct err **e);
void lock_free(struct lock *l); /* accepts NULL */

static inline void lock_freep(struct lock **l)
{
	lock_free(*l);
}
#define _cleanup_lock_ ATTR_CLEANUP(lock_freep)

#endif
