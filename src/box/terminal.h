/* The user's terminal and the pty of the box's own command, when that is in a machine and cannot have the user's: stdin
 * and stdout on one side, bytes of the pty on the other, in the supervisor's loop.
 *
 * The user's descriptors stay blocking, for they are shared with whoever started igloo: they are touched only when
 * poll() says so, and stdout is given no more than PIPE_BUF at a time. Either direction holds one chunk; a slow side
 * slows the other one down. */
#ifndef IGLOO_BOX_TERMINAL_H
#define IGLOO_BOX_TERMINAL_H

#include "base/str.h"
#include "sys/tty.h"

#include <poll.h>

enum { TERMINAL_POLLS = 3 };

struct terminal {
	int master; /* -1: not there yet, or at its end */
	bool lost;  /* the user's terminal has gone away: output is thrown away */
	struct str typed;
	size_t typed_at;
	struct str shown;
	size_t shown_at;
};
#define TERMINAL_INIT ((struct terminal){.master = -1})

/* Takes over the pty's master, or the socket that stands for it; from now on the terminal gives and takes bytes as they
 * are, until tty_restore(saved). */
void terminal_begin(struct terminal *t, int master, const struct tty_saved *saved);
/* Gives the pty the terminal's size. 1: the guest is to be told, see *ret; else 0. */
int terminal_resize(const struct terminal *t, uint8_t ret_size[4]);
void terminal_poll(const struct terminal *t, struct pollfd fds[TERMINAL_POLLS]);
void terminal_work(struct terminal *t, const struct pollfd fds[TERMINAL_POLLS]);
/* The command has ended: shows what it left, a bounded amount, and lets go. */
void terminal_end(struct terminal *t);

#endif
