/* A stream (wire/copystream.h) to files, on the host and in the box.
 *
 * Theory of operation. Everything is made by single names in folders that are held open, from the destination down, and
 * nothing at the destination is followed: a link that stands where a folder is to be is an error, one that stands where
 * a file is to be is replaced. So whoever can write there at the same time can spoil the copy, and cannot lead it
 * elsewhere. A file is written as ".igloo-cp.XXXXXXXX" beside its place and renamed when it is whole: killed at any
 * moment, this leaves such a name and no half file. Folders that are there are kept as they are; new ones get mode and
 * time when they are left.
 *
 * Of modes the nine permission bits count: nobody gets set-user-id, set-group-id or sticky bits from a stream, nor
 * other owners than who runs it. */
#ifndef IGLOO_WIRE_COPYRECEIVE_H
#define IGLOO_WIRE_COPYRECEIVE_H

#include "base/str.h"
#include "wire/copystream.h"

/* Which links are made. */
enum copy_links {
	COPY_LINKS_ALL,
	COPY_LINKS_INSIDE, /* those that cannot lead out of the copied tree, wherever it is put: relative, with ".."
			    * only in front and no more of them than there are folders above. Then, since links in
			    * the tree hold to that too, no way through any of them leads out */
	COPY_LINKS_NONE,
};

struct copyreceive_ops {
	/* May be NULL. An entry (a path below `parent`) is about to be made: 0, or else it is left out, and the
	 * function has said so. */
	int (*refuse)(void *user, const char *path, bool folder);
	/* A link was left out because of copy_links. */
	void (*refused_link)(void *user, const char *path, const char *target);
	void (*changed)(void *user, const char *path);
	void (*skip)(void *user, int errnum, enum copy_why why, const char *path);
};

struct copy_level {
	int fd;
	bool fresh; /* made here: gets mode and time in the end */
	struct copy_meta meta;
	size_t path_len; /* of the path before it */
};

struct copyreceive {
	/* The caller's. */
	const struct copyreceive_ops *ops;
	void *user;
	uint64_t max_bytes; /* of data */
	uint64_t max_entries;
	/* Where it goes: `name` in `parent`; or, with name NULL, into the folder `parent` itself. */
	const char *name;
	int parent;
	enum copy_links links;
	bool must_be_folder; /* it was written with a slash at the end */

	/* Out. `path` is below `parent`. */
	bool ended;                /* TOTAL came */
	struct copy_totals totals; /* made and whole */
	struct str path;           /* of what is being made */
	struct str words;          /* with -errno: what failed; "" when it is the stream */

	/* Its own; zeroed to begin with. */
	bool begun;
	bool refused_file;
	unsigned refused_depth;    /* folders open that are left out */
	struct copy_level *levels; /* the folders that are open, from the destination on */
	size_t n_levels;
	size_t tree_at; /* in levels: the tree's first folder; SIZE_MAX: the tree is no folder */
	struct copy_file {
		int fd;
		bool open;
		bool hole; /* ends in one */
		uint64_t size;
		struct copy_meta meta;
		size_t path_len; /* of the folder's path */
		char temp[32];
		char name[COPY_NAME_MAX + 1];
	} file;
	uint64_t entries;
	uint64_t bytes;
};

/* Whether a link in the lowest of so many folders of the tree is one for COPY_LINKS_INSIDE. */
bool copy_leads_inside(const char *target, size_t folders);

/* Takes the next event. 0, or -errno with words (-EREMOTEIO: the other side failed, and words are its own; -E2BIG: over
 * a bound). */
int copyreceive_event(struct copyreceive *c, const struct copy_event *e);
/* Removes an unfinished file, closes everything. */
void copyreceive_release(struct copyreceive *c);

#endif
