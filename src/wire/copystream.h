/* A tree of files as a stream of records: what `igloo cp` and the guest's program in the box (guest/copy.h) say to each
 * other, through a pipe.
 *
 * A record, all numbers little-endian:
 *
 *     u8  type
 *     u8  flags
 *     u16 0
 *     u32 length of the payload
 *     payload
 *
 *   type   payload                                       where
 *   DIR    u32 mode, i64 s, u32 ns, name                 begins a folder; what is in it follows, then UP
 *   FILE   u32 mode, i64 s, u32 ns, u64 size, name       begins a file; DATA and HOLE of together `size` bytes follow,
 *                                                        then FILE_END
 *   LINK   u32 mode, i64 s, u32 ns, u16 length of the    a symbolic link
 *          name, name, target
 *   DATA   1 to COPY_DATA_MAX bytes                      in a file
 *   HOLE   u64 bytes of zeros (not 0)                    in a file
 *   FILE_END  -                                          flag COPY_CHANGED: the file changed while it was read
 *   UP     -                                             ends the folder
 *   SKIP   u32 errno, u32 enum copy_why, path            not in a file: something that was left out
 *   TOTAL  u64 files, folders, links, bytes              the last record: all is well
 *   FAIL   u32 errno, what TOTAL has, words              the last record: it ended here; what had been done
 *
 * A tree is one DIR, FILE or LINK with what belongs to it. Names are single ones: never empty, ".", "..", with "/" or
 * longer than 255 bytes; so no path is ever put together from a stream, and what has no record, as devices, pipes,
 * sockets and hard links, cannot be in one. Only the first name may be empty: it is what is in a folder that is meant,
 * not the folder. COPY_PLAIN of a DIR: its name is all that is known (it was not in a tar file), so no mode and time.
 *
 * copyrec_ writes records, copydec_ reads them, in pieces as they come, and holds them to all of the above. A stream
 * from a box is hostile; it is read by the same code as the host's own. */
#ifndef IGLOO_WIRE_COPYSTREAM_H
#define IGLOO_WIRE_COPYSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the host asks the guest to run (guest/copy.h):
 *
 *     COPY_PROGRAM COPY_OUT PATH        sends what PATH is to stdout
 *     COPY_PROGRAM COPY_OUT_REAL PATH   the same of what the link PATH leads to, under PATH's own name
 *     COPY_PROGRAM COPY_IN PATH         takes a stream from stdin to PATH, then sends the answer: TOTAL or FAIL */
#define COPY_PROGRAM "/proc/self/exe"
#define COPY_OUT "--copy-out"
#define COPY_OUT_REAL "--copy-out-real"
#define COPY_IN "--copy-in"

enum {
	COPY_HEADER = 8,
	COPY_DATA_MAX = 256 * 1024,
	COPY_NAME_MAX = 255,
	COPY_TARGET_MAX = 4095,
	COPY_TEXT_MAX = 4095,  /* SKIP's path, FAIL's words */
	COPY_DEPTH_MAX = 512,  /* folders in folders; each is a descriptor of the reader */
	COPY_SMALL_MAX = 8192, /* no record but DATA is larger */
};

enum copy_type {
	COPY_DIR = 1,
	COPY_FILE = 2,
	COPY_LINK = 3,
	COPY_DATA = 4,
	COPY_HOLE = 5,
	COPY_FILE_END = 6,
	COPY_UP = 7,
	COPY_SKIP = 8,
	COPY_TOTAL = 9,
	COPY_FAIL = 10,
};

enum copy_flag { COPY_CHANGED = 1, COPY_PLAIN = 1 };

/* Why something was left out. */
enum copy_why {
	COPY_WHY_ERROR = 1, /* errno says */
	COPY_WHY_KIND = 2,  /* a device, pipe or socket */
	COPY_WHY_MAX = 2,
};

struct copy_meta {
	uint32_t mode; /* permission bits, 07777 */
	int64_t s;
	uint32_t ns;
};

struct copy_totals {
	uint64_t files;
	uint64_t dirs;
	uint64_t links;
	uint64_t bytes; /* of DATA */
};

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* Collects records in a buffer and gives them to `write` when it is full, which returns 0 or -errno. After a failure
 * everything fails with the same number. */
struct copyrec {
	int (*write)(void *user, const void *bytes, size_t n);
	void *user;
	int failed;
	size_t n;
	struct copy_totals totals; /* of what was written */
	uint8_t buf[COPY_HEADER + COPY_DATA_MAX];
};

int copyrec_dir(struct copyrec *c, const char *name, const struct copy_meta *m, bool plain);
int copyrec_file(struct copyrec *c, const char *name, const struct copy_meta *m, uint64_t size);
int copyrec_link(struct copyrec *c, const char *name, const struct copy_meta *m, const char *target);
/* Room for a DATA record of at most *ret_n bytes (64 KiB at least), and writing it with that many bytes in it. */
uint8_t *copyrec_room(struct copyrec *c, size_t *ret_n);
int copyrec_data(struct copyrec *c, size_t n);
int copyrec_hole(struct copyrec *c, uint64_t n);
int copyrec_file_end(struct copyrec *c, bool changed);
int copyrec_up(struct copyrec *c);
int copyrec_skip(struct copyrec *c, int errnum, enum copy_why why, const char *path);
/* The last ones; they give everything to `write`. */
int copyrec_total(struct copyrec *c, const struct copy_totals *totals);
int copyrec_fail(struct copyrec *c, int errnum, const struct copy_totals *totals, const char *words);

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* What a record says; strings and bytes are in the decoder's buffer until the next call. */
struct copy_event {
	enum copy_type type;
	struct copy_meta meta; /* DIR, FILE, LINK */
	bool plain;            /* DIR */
	bool changed;          /* FILE_END */
	char name[COPY_NAME_MAX + 1];
	char text[COPY_TEXT_MAX + 1]; /* LINK: target; SKIP: path; FAIL: words */
	uint64_t size;                /* FILE, HOLE */
	const uint8_t *bytes;         /* DATA: size_bytes of them, at least 1; a record may come as several events */
	size_t n;
	int errnum; /* SKIP, FAIL: 0 to 4095 */
	enum copy_why why;
	struct copy_totals totals; /* TOTAL, FAIL */
};

struct copydec {
	bool answer;   /* set at the start: no tree, only SKIP, TOTAL and FAIL */
	bool has_root; /* it began */
	bool ended;    /* TOTAL or FAIL came */
	bool in_file;
	int failed;
	unsigned depth;     /* folders that are open */
	uint64_t left;      /* of the file */
	uint32_t data_left; /* of a DATA record */
	size_t begin;
	size_t end;
	uint8_t buf[COPY_DATA_MAX];
};

/* As of wire/frame.h: where to put bytes, after copydec_next() returned 0. */
uint8_t *copydec_room(struct copydec *d, size_t *ret_n);
void copydec_grew(struct copydec *d, size_t n);
/* 1 and an event, 0 when bytes are missing, -EPROTO for what is no stream; then always. */
int copydec_next(struct copydec *d, struct copy_event *ret);

/* Whether it may be the name of an entry. */
bool copy_name_ok(const char *name, size_t n);

#endif
