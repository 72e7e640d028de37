/* tar files, as streams: POSIX.1-2017 pax (the ustar header, with extended headers) to write; that, GNU's and the old
 * ones to read. Sources: POSIX pax "ustar Interchange Format" and "pax Header File Format"; GNU tar's manual, "Basic
 * Tar Format" (long names, base-256 numbers). */
#ifndef IGLOO_FMT_TAR_H
#define IGLOO_FMT_TAR_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAR_BLOCK = 512, TAR_PATH_MAX = 65536, TAR_EXTENDED_MAX = 1 << 20 };

enum tar_type {
	TAR_FILE = '0',
	TAR_HARD_LINK = '1',
	TAR_LINK = '2',
	TAR_DIR = '5',
	TAR_OTHER = '3', /* devices and pipes */
};

struct tar_entry {
	enum tar_type type;
	const char *path;
	const char *target; /* of links, else "" */
	uint32_t mode;      /* 07777 */
	int64_t s;
	uint32_t ns;
	uint64_t size; /* of a file, else 0 */
};

/* Adds the headers. `size` bytes follow, filled up to a block with zeros. */
void tar_add_header(struct str *to, const struct tar_entry *e);
/* How many zeros come behind so many bytes. */
static inline size_t tar_padding(uint64_t size)
{
	return (size_t)(-size % TAR_BLOCK);
}
/* The end: two blocks of zeros. */
void tar_add_end(struct str *to);

enum tar_event {
	TAR_MORE,  /* bytes are missing */
	TAR_ENTRY, /* `entry`, valid until the next one */
	TAR_BYTES, /* of the file: bytes, n */
	TAR_END,   /* the end mark: nothing behind it counts */
};

struct tar_reader {
	struct tar_entry entry;
	const uint8_t *bytes;
	size_t n;
	const char *why; /* after an error */

	/* Its own; zeroed to begin with. */
	struct str path;
	struct str target;
	struct str extended; /* an extended header, or a long name, while it comes */
	char collecting;     /* its type, 0: none */
	bool has_path;
	bool has_target;
	bool has_size;
	bool has_time;
	struct tar_entry over; /* what extended headers say */
	uint64_t left;         /* of the content */
	size_t padding;
	bool skipping; /* the content is nobody's */
	bool ended;
	size_t begin;
	size_t end;
	uint8_t buf[64 * 1024];
};

uint8_t *tar_room(struct tar_reader *t, size_t *ret_n);
void tar_grew(struct tar_reader *t, size_t n);
/* enum tar_event, or -EBADMSG with why. */
int tar_next(struct tar_reader *t);
/* Between entries: the file may end here. */
bool tar_may_end(const struct tar_reader *t);
void tar_release(struct tar_reader *t);

#endif
