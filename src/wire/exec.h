/* EXEC: a command, as the host asks the guest to run it.
 *
 * The payload, little-endian; it may be larger than a frame and then comes as several EXEC frames of
 * one stream, all but the last with FRAME_MORE:
 *
 *     u32 flags (enum exec_flag)    u32 uid    u32 gid    u16 rows    u16 cols
 *     u32 argc (>= 1)               u32 envc
 *     NUL-terminated: cwd (absolute), argc arguments, envc environment strings; nothing behind
 *
 * At most EXEC_BYTES_MAX bytes and EXEC_STRINGS_MAX arguments and environment strings together. */
#ifndef IGLOO_WIRE_EXEC_H
#define IGLOO_WIRE_EXEC_H

#include "base/str.h"
#include "wire/frame.h"
#include "wire/link.h"

enum { EXEC_HEADER = 24, EXEC_FDS = 3, EXEC_BYTES_MAX = 8 * 1024 * 1024, EXEC_STRINGS_MAX = 65536 };

enum exec_flag {
	/* Three descriptors came with the first piece and become 0, 1 and 2. Without this and without
	 * a pty they are /dev/null. */
	EXEC_HAS_FDS = 1,
	/* 0, 1 and 2 are a new pty of the box, the command's controlling terminal, rows x cols large. Its
	 * master comes with STARTED. Not together with HAS_FDS or FOREGROUND. */
	EXEC_PTY = 2,
	/* The command stays in the guest's session and process group: the user's own terminal, handed over
	 * as descriptors, keeps its job control. SIGNAL then reaches the one process only. */
	EXEC_FOREGROUND = 4,
	/* When the command has ended, everything else in the box is killed and reaped; then comes EXIT, and
	 * no other command is started any more. Without effect when it could not be executed (ERR). */
	EXEC_MAIN = 8,
};

/* To encode: all pointers are the caller's. Decoded: they point into `owned`, see exec_release(). */
struct exec {
	uint32_t flags;
	uint32_t uid; /* set when the guest runs as uid 0 */
	uint32_t gid;
	uint16_t rows;
	uint16_t cols;
	const char *cwd;
	char *const *argv; /* NULL-terminated; argv[0] is searched in the PATH of env as execvp does */
	char *const *env;
	struct str owned;
};

/* Host: queues the frames of an EXEC; the descriptors (EXEC_FDS of them, or NULL) become the link's, also on
 * failure. Returns 0, -EINVAL (flags, cwd or argv that the guest would refuse), -E2BIG, or what
 * link_send() returns. */
int exec_send(struct link *l, uint32_t stream, const struct exec *x, const int *fds);

/* Guest: puts the pieces of one EXEC together. Zeroed memory holds none. */
struct exec_parts {
	uint32_t stream; /* 0: none */
	struct str bytes;
};

/* Takes an EXEC frame. Returns 1 and the command (release it), 0 when more pieces are needed, or
 * -EPROTO. */
int exec_feed(struct exec_parts *p, const struct frame *f, struct exec *ret);
void exec_parts_release(struct exec_parts *p);

/* The payload to a command, taking over the bytes in `from` on success. 0 or -EPROTO. */
int exec_decode(struct str *from, struct exec *ret);
/* For a decoded one. */
void exec_release(struct exec *x);

#endif
