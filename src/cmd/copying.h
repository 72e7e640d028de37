/* The way of `igloo cp` into a box: the guest's program as a command there (guest/copy.h), with pipes to it. */
#ifndef IGLOO_CMD_COPYING_H
#define IGLOO_CMD_COPYING_H

#include "base/err.h"
#include "wire/link.h"

#include <stdbool.h>
#include <stdint.h>

struct copying {
	const char *box;
	struct link *link;
	int signals;
	int to;   /* its stdin, -1 when it has none or copying_close() was called */
	int from; /* its stdout */
	bool exited;
	bool link_ended;
	int signo; /* what igloo was told to end by; then everything fails with -EINTR */
	/* Called now and then, at least five times a second; may be NULL. */
	void (*tick)(void *user);
	void *user;
	struct err *failed; /* why it was not started, if it was not */
};

#define COPYING_INIT                                               \
	{                                                          \
		.link = NULL, .signals = -1, .to = -1, .from = -1, \
	}

/* Starts it in the running box. `input`: with a stdin. `how`, `path`: its arguments; a relative path is one from where
 * the box's command started. */
int copying_start(struct copying *c, const char *box, const char *how, const char *path, bool input, struct err **e);
/* Writes all. 0 or -errno: -EPIPE when it reads no more, -EINTR, -ECONNRESET when the box has ended. */
int copying_write(struct copying *c, const void *bytes, size_t n);
void copying_close(struct copying *c);
/* Waits until something can be done with any fd. 0 or -errno as above: never any more. */
int copying_wait(struct copying *c, int fd, short events);
/* Reads some: the number, 0 at the end, or -errno as above. */
ssize_t copying_read(struct copying *c, void *bytes, size_t n);
/* The error for a -errno of these, or for an answer that ended before its end. */
int copying_error(struct copying *c, int r, struct err **e);
/* Ends the command, if it has not. */
void copying_release(struct copying *c);

#endif
