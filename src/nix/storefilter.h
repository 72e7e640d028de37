/* What stands between the store server, which reads what a box sends, and the host's `nix-store --serve`, which has the
 * user's rights (root's, where igloo runs as root) and would dump any path. Only one question gets through: what the
 * database says of some paths (QueryPathInfos, see storeask.h), whole and well-formed. Answers go back as they are.
 *
 * It is a process of its own, shut in, so whoever takes over the store server can ask no more than the server did. It
 * ends with the first thing that it does not let through. */
#ifndef IGLOO_NIX_STOREFILTER_H
#define IGLOO_NIX_STOREFILTER_H

#include "base/err.h"
#include "nix/storeindex.h"
#include "nix/storepath.h"
#include "sys/confine.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Of the serve protocol, as of version 2.4: src/libstore/serve-protocol*. */
#define STOREFILTER_MAGIC 0x390c9debU
#define STOREFILTER_VERSION 0x204U
enum {
	STOREFILTER_QUERY_PATH_INFOS = 2,
	/* The question, how many paths, and each with its length, padded to 8 bytes. */
	STOREFILTER_BYTES_MAX = 16 + STOREINDEX_SAME * (8 + (STOREPATH_SIZE + 7) / 8 * 8),
};

/* It has its two sockets, and nothing else (storefilter_rules.h). */
extern const struct confine storefilter_walls;

/* The length of the message that begins there: the greeting, or after it a question for 1 to STOREINDEX_SAME paths. 0
 * when more has to come, -EPROTO for anything else. */
ssize_t storefilter_message(const uint8_t *p, size_t n, bool greeted);

/* Starts it between two connected stream sockets, blocking, both closed here. It ends when one of them does, and with
 * the caller. */
int storefilter_start(int server, int nix, struct err **e);

#endif
