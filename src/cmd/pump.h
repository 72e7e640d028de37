/* The user's terminal (or stdin and stdout) on one side; a box's control connection, and the raw bytes of a pty's
 * master or of a detached box's output, on the other: the loop that `igloo exec` and `igloo attach` are made of. */
#ifndef IGLOO_CMD_RELAY_H
#define IGLOO_CMD_RELAY_H

#include "base/err.h"
#include "sys/tty.h"
#include "wire/link.h"

#include <stdbool.h>
#include <stdint.h>

struct relay;

/* Any may be NULL. They end the loop by setting r->done. */
struct relay_ops {
	/* Returns 0, or -errno with *e set, which ends the loop too. */
	int (*on_frame)(struct relay *r, const struct frame *f, struct err **e);
	void (*on_signal)(struct relay *r, int signo);
	/* What was read from stdin, to be put into r->input as it is or changed. Without it: as it is. */
	void (*on_input)(struct relay *r, const char *bytes, size_t n);
	/* stdin is at its end, and is no terminal. */
	void (*on_input_end)(struct relay *r);
	/* The stream is at its end. */
	void (*on_stream_end)(struct relay *r);
	/* Nobody is there any more to read what comes: stdout is closed, or the terminal has gone away. */
	void (*on_lost)(struct relay *r);
};

struct relay {
	const struct relay_ops *ops;
	struct link *link; /* the caller's */
	int signals;       /* client_signals(); the relay closes it */
	int stream;        /* -1: none (yet); else the relay's, which makes it non-blocking and closes it */
	int in;            /* STDIN_FILENO, or -1 for no input */
	int64_t deadline;  /* client_now_ms() at which the loop ends; 0: none */
	bool done;

	bool link_ended; /* the supervisor closed the connection */
	bool lost;       /* output is thrown away */
	bool raw;        /* the terminal is in raw mode: put back by relay_release() */
	struct tty_saved tty;
	struct str input; /* input.p[input_at..] is still to be written to the stream */
	size_t input_at;
	struct str output;
	size_t output_at;
};

/* `l` may be NULL. Looks at the terminal as it is now. */
void relay_init(struct relay *r, const struct relay_ops *ops, struct link *l, int signals);
/* Starts relaying from and to the stream. */
void relay_set_stream(struct relay *r, int fd);
/* Terminal bytes as they are from here on. Without effect when stdin is no terminal. */
void relay_raw(struct relay *r);
/* Until done, a deadline, or the end of the connection (unless a stream is still open and `until_stream_ends`). */
int relay_run(struct relay *r, bool until_stream_ends, struct err **e);
/* Writes out what the stream still holds, a bounded amount. */
void relay_drain(struct relay *r);
void relay_release(struct relay *r);

#endif
