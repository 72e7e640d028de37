/* The terminal or pipes of a detached box: everything goes to the box's log, and to whoever is attached.
 *
 * The log is bounded: at OUTPUT_LOG_MAX it becomes log.1 (replacing an older one) and a new one begins. It holds
 * the bytes as they came; `igloo logs` disarms them for terminals. Somebody attached who does not read is let go
 * rather than waited for. */
#ifndef IGLOO_BOX_OUTPUT_H
#define IGLOO_BOX_OUTPUT_H

#include "base/err.h"
#include "wire/exec.h"
#include "wire/frame.h"
#include "wire/link.h"

#include <poll.h>

struct output;
struct secrets;

enum { OUTPUT_ATTACHED_MAX = 8, OUTPUT_POLLS = 2 + OUTPUT_ATTACHED_MAX, OUTPUT_LOG_MAX = 16 << 20 };

/* For the command `x`: with EXEC_PTY its master comes later (output_set_master()); else makes pipes and fills `ret_fds`
 * with the command's ends, and sets EXEC_HAS_FDS. The secrets (NULL: none), which must be open, are kept out of the log
 * (box/redact.h). */
int output_new(int box_dir, const struct secrets *secrets, struct exec *x, int ret_fds[EXEC_FDS], struct output **ret,
	       struct err **e);
void output_set_master(struct output *o, int master);
/* ATTACH: answers STARTED on the client's stream with one end of a socket for the raw bytes, after the end of
 * the log was sent into it. The size that came along is the caller's to set. -EPROTO when the box is not
 * detached. */
int output_attach(struct output *o, struct link *client, const struct frame *f);
/* Sets the terminal's size: u16 rows, u16 cols. Returns 0, 1 when it is not here but the guest's to be told (RESIZE),
 * or -EPROTO. */
int output_resize(struct output *o, const uint8_t size[4]);

/* Fills in at most OUTPUT_POLLS entries, returns how many; and does what they say. NULL is fine. */
size_t output_poll(struct output *o, struct pollfd *fds);
void output_work(struct output *o, const struct pollfd *fds);
/* Takes what is still to be read first. */
void output_free(struct output *o);

#endif
