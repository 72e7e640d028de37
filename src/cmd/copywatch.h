/* Someone who waits for a large copy: a line on the terminal that says how far it is, and ^C that ends it clean. */
#ifndef IGLOO_CMD_COPYWATCH_H
#define IGLOO_CMD_COPYWATCH_H

#include "cmd/cmd.h"
#include "sys/copytree.h"

struct copywatch {
	struct copytree copy; /* for the functions that copy */
	bool quiet;
	bool shown;
	int64_t begun_ms;
	int64_t said_ms;
};

/* From here on SIGINT, SIGTERM and SIGHUP end the copy, not igloo. */
void copywatch_begin(struct copywatch *w, const struct invocation *inv);
/* Takes the line away. When a signal ended the copy that is what the error says, and the exit code is the signal's.
 * Returns r. */
int copywatch_end(struct copywatch *w, int r, struct err **e);

#endif
