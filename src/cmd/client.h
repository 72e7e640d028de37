/* The client side of a box's control socket (box/control.h), and ending a box from outside. */
#ifndef IGLOO_CMD_CLIENT_H
#define IGLOO_CMD_CLIENT_H

#include "base/err.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of a clock that no clock step moves and that runs on while the machine sleeps. */
int64_t client_now_ms(void);

/* Connects to the running box. client_close() the link. */
int client_open(const char *name, struct link **ret, struct err **e);
void client_close(struct link *l);
static inline void client_closep(struct link **l)
{
	client_close(*l);
}
#define _cleanup_client_ ATTR_CLEANUP(client_closep)

/* Sends SIGNAL or SHUTDOWN, whose payload is one number. Returns 0 or -errno. */
int client_send_number(struct link *l, uint32_t stream, enum frame_type type, uint32_t value);
/* Sends RESIZE: a terminal that is none here is one in a machine. */
int client_send_size(struct link *l, uint32_t stream, uint16_t rows, uint16_t cols);
/* Waits at most so long for a frame of that type about the connection itself. -EPIPE when it ends without. */
int client_answer(struct link *l, enum frame_type type, int timeout_ms, struct frame *ret);
/* The supervisor's own error in its answer to GRANT or PORTS, with its hint; 0 when it is none. */
int client_result(const struct frame *f, struct err **e);
/* Waits at most so long for the supervisor to close the connection; drops what it still says. */
bool client_ends(struct link *l, int timeout_ms);
/* Waits at most so long until the box's lock is free: then all that its supervisor writes is written. */
bool client_box_ends(const char *name, int timeout_ms);

/* Blocks the signals that a command in a box may be sent, and SIGWINCH; returns a signalfd for them. What the caller
 * ignores stays ignored. */
int client_signals(struct err **e);

/* Stopping a box: first begin it for each of several boxes, then finish it for each, so that they end side by side. */
enum client_stopped {
	CLIENT_NOT_RUNNING,
	CLIENT_START_ENDED,       /* it was being prepared, and that was ended */
	CLIENT_STOPPED,           /* its processes ended when asked */
	CLIENT_KILLED,            /* the time was over: what did not end by then was killed */
	CLIENT_SUPERVISOR_KILLED, /* its supervisor did not answer and was killed, and the box with it */
};

struct client_stop {
	const char *name;
	struct link *link; /* NULL when the box does not run or cannot be reached */
	int64_t begun;
	uint32_t grace_ms;
	enum client_stopped how;
	bool machine; /* it has one, and said how that ended: */
	struct msg_stopped ended;
};

/* -ENOENT when there is no such box. `name` must stay until client_stop_finish(). */
int client_stop_begin(struct client_stop *s, const char *name, uint32_t grace_ms, struct err **e);
/* Waits for the end (at most grace_ms and 25 s), sets s->how. */
int client_stop_finish(struct client_stop *s, struct err **e);
/* "stopped", "killed", ... */
const char *client_stopped_name(enum client_stopped how);

#endif
