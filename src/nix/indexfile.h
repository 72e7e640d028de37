/* The file behind sourceindex: what was seen of each path, in a form that a warm check walks as it is.
 *
 * Format, version 1, integers in the machine's own order (the file never leaves it):
 *     header   struct indexfile_header
 *     watches  struct indexfile_watch[n_watches]   files of git's own folder, see nix/gitstate.h
 *     dirs     struct indexfile_dir[n_dirs]        one for each folder that holds entries, in order
 *     entries  struct indexfile_entry[n_entries]   sorted by folder, then name; grouped by dirs
 *     blob     blob_size bytes, the last one NUL; all strings are NUL-terminated in it
 * The checksum covers everything behind it. It finds damage, not malice; indexfile_parse() trusts
 * neither: whatever it accepts can be walked without leaving the buffer. */
#ifndef IGLOO_NIX_INDEXFILE_H
#define IGLOO_NIX_INDEXFILE_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { INDEXFILE_MAX = 1 << 30, INDEXFILE_PATH_MAX = 4095, INDEXFILE_NAME_MAX = 255 };

/* What stat(2) says that changes whenever the file does. */
struct filesig {
	uint64_t dev, ino, size;
	int64_t mtime, ctime; /* seconds */
	uint32_t mtime_ns, ctime_ns;
	uint32_t mode;
	uint32_t unused;
};

/* Types: 'f' regular, 'l' symbolic link, 'd' folder, 'o' something else, '-' not there. */
struct filestate {
	struct filesig sig;
	uint8_t sha[32]; /* of the content or the link's target; zeros for the other types */
	uint8_t type;
	uint8_t trusted; /* the same sig later means the same content (see sourceindex.c) */
	uint8_t unused[6];
};

enum {
	WATCH_KEY = 1,    /* its content is part of the key */
	WATCH_REREAD = 2, /* when its content changes, git is asked again */
	WATCH_TYPE = 4,   /* a folder there counts by being one, not by its times */
};

struct indexfile_watch {
	uint32_t path_off;  /* absolute path */
	uint32_t label_off; /* what it is called in the key and in reasons */
	uint32_t flags;
	uint32_t unused;
	struct filestate state;
};

struct indexfile_dir {
	uint32_t path_off; /* relative; "" for the top */
	uint32_t first;
	uint32_t count;
};

struct indexfile_entry {
	uint32_t path_off; /* relative to the top; "." for the top itself */
	uint32_t name_off; /* the last component, in the same string */
	uint32_t path_len;
	uint32_t unused;
	struct filestate state;
};

enum { INDEXFILE_GIT = 1, INDEXFILE_FLAKE_UNTRACKED = 2 };

struct indexfile_header {
	char magic[8];
	uint64_t checksum;
	uint64_t size; /* of the whole file */
	uint32_t flags;
	uint32_t n_watches, n_dirs, n_entries, blob_size;
	uint32_t identity_off; /* which source this is about */
	uint32_t head_off;     /* HEAD's commit in hex, "" when there is none */
	uint32_t volatile_off; /* why no key can be kept; "" when one can */
	uint8_t key[32];
	uint8_t lists[32]; /* digest of everything git listed */
};

/* A file's parts; the pointers lead into the buffer it was parsed from or to arrays of a writer. */
struct indexfile {
	struct indexfile_header h;
	const struct indexfile_watch *watches;
	const struct indexfile_dir *dirs;
	const struct indexfile_entry *entries;
	const char *blob;
};

static inline const char *indexfile_text(const struct indexfile *f, uint32_t off)
{
	return f->blob + off;
}

/* Checks n bytes (aligned as malloc aligns) and sets *ret to parts of them. False when they are not a
 * sound index file. */
bool indexfile_parse(const void *bytes, size_t n, struct indexfile *ret);

/* Appends the file made of `f` to `out`; sizes in f->h must be set, magic, size and checksum are
 * filled in here. -EFBIG when it would be larger than INDEXFILE_MAX. */
int indexfile_write(const struct indexfile *f, struct str *out);

/* Puts size and checksum into n bytes that already are a file but for these (the fuzzer's too). */
void indexfile_seal(void *bytes, size_t n);

/* By folder, then name, bytewise. */
int indexfile_compare(const char *blob_a, const struct indexfile_entry *a, const char *blob_b,
		      const struct indexfile_entry *b);
/* Length of the entry's folder part ("" for "x", "a/b" for "a/b/x"). */
static inline size_t indexfile_dir_len(const struct indexfile_entry *en)
{
	return en->name_off > en->path_off ? en->name_off - en->path_off - 1 : 0;
}

#endif
