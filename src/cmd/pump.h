/* The user's terminal (or stdin and stdout) on one side; a box's control connection, and the raw bytes of a pty's
 * master or of a detached box's output, on the other: the loop that `igloo exec` and `igloo attach` are made of. */
#ifndef IGLOO_CMD_PUMP_H
#define IGLOO_CMD_PUMP_H

#include "base/err.h"
#include "sys/tty.h"
#include "wire/link.h"

#include <stdbool.h>
#include <stdint.h>

struct pump;

/* Any may be NULL. They end the loop by setting r->done. */
struct pump_ops {
	/* Returns 0, or -errno with *e set, which ends the loop too. */
	int (*on_frame)(struct pump *r, const struct frame *f, struct err **e);
	void (*on_signal)(struct pump *r, int signo);
	/* What was read from stdin, to be put into r->input as it is or changed. Without it: as it is. */
	void (*on_input)(struct pump *r, const char *bytes, size_t n);
	/* stdin is at its end, and is no terminal. */
	void (*on_input_end)(struct pump *r);
	/* The stream is at its end. */
	void (*on_stream_end)(struct pump *r);
	/* Nobody is there any more to read what comes: stdout is closed, or the terminal has gone away. */
	void (*on_lost)(struct pump *r);
};

struct pump {
	const struct pump_ops *ops;
	struct link *link; /* the caller's */
	int signals;       /* client_signals(); the pump closes it */
	int stream;        /* -1: none (yet); else the pump's, which makes it non-blocking and closes it */
	int in;            /* STDIN_FILENO, or -1 for no input */
	int64_t deadline;  /* client_now_ms() at which the loop ends; 0: none */
	bool done;

	bool link_ended; /* the supervisor closed the connection */
	bool lost;       /* output is thrown away */
	bool raw;        /* the terminal is in raw mode: put back by pump_release() */
	struct tty_saved tty;
	struct str input; /* input.p[input_at..] is still to be written to the stream */
	size_t input_at;
	struct str output;
	size_t output_at;
};

/* `l` may be NULL. Looks at the terminal as it is now. */
void pump_init(struct pump *r, const struct pump_ops *ops, struct link *l, int signals);
/* Starts relaying from and to the stream. */
void pump_set_stream(struct pump *r, int fd);
/* Terminal bytes as they are from here on. Without effect when stdin is no terminal. */
void pump_raw(struct pump *r);
/* Until done, a deadline, or the end of the connection (unless a stream is still open and `until_stream_ends`). */
int pump_run(struct pump *r, bool until_stream_ends, struct err **e);
/* Writes out what the stream still holds, a bounded amount. */
void pump_drain(struct pump *r);
void pump_release(struct pump *r);

#endif
