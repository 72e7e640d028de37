/* What a machine would take of this host: said before it is made. A sandbox's limits claim nothing, so nothing is said
 * of them. */
#ifndef IGLOO_CMD_SIZES_H
#define IGLOO_CMD_SIZES_H

#include "base/str.h"

#include <stdint.h>

struct sizes {
	uint64_t memory;    /* bytes */
	uint64_t cpu_milli; /* thousandths of a processor */
	uint64_t disk;      /* bytes */
};

/* Of this host; disk: what is free for this user on the file system of `path`, an absolute path whose end need not
 * exist. 0: unknown. */
void sizes_of_host(const char *path, struct sizes *ret);
/* One line for each size asked for (0: not) that is more than 80 % of what the host has: "--memory: 8 GiB is 83 % of
 * ...". One processor is the least there is, and never too many. */
void sizes_add_notes(const struct sizes *asked, const struct sizes *host, struct strv *notes);

#endif
