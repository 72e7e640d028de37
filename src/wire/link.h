/* A connection of frames over a unix stream socket, with descriptors beside them; used by both ends.
 *
 * Nothing here blocks except link_drain(): poll l->fd for POLLIN, then link_receive() once and
 * link_next() until it returns 0; poll it for POLLOUT while link_pending(). What is sent is queued and
 * goes out with link_flush().
 *
 * Descriptors arrive no later than the frame they belong to and in the order of the frames, so a
 * queue of them is enough: the kernel attaches them to the first byte of a sendmsg(), and the sender
 * starts one at each frame that has any. */
#ifndef IGLOO_WIRE_LINK_H
#define IGLOO_WIRE_LINK_H

#include "base/str.h"
#include "wire/frame.h"

#include <stdbool.h>

enum {
	LINK_FRAME_FDS = 3, /* at most so many descriptors with one frame */
	LINK_FDS_MAX = 8,   /* received and not yet taken */
};

struct link_out_fds {
	size_t at; /* the byte of `out` they belong to */
	size_t n;
	int fds[LINK_FRAME_FDS];
};

struct link {
	int fd;
	size_t out_max;
	struct str out; /* out.p[out_at..] is still to be sent */
	size_t out_at;
	struct link_out_fds *out_fds; /* out_fds[out_fds_at..out_fds_n), in order of `at` */
	size_t out_fds_at;
	size_t out_fds_n;
	size_t out_fds_cap;
	int in_fds[LINK_FDS_MAX];
	size_t in_fds_n;
	struct frame_decoder in;
};

/* Takes ownership of the socket. Over `out_max` unsent bytes (a peer that does not read), link_send()
 * fails. A link is large (64 KiB): keep it on the heap or static. */
void link_init(struct link *l, int fd, size_t out_max);
/* Closes the socket and every descriptor that was not sent or not taken. */
void link_release(struct link *l);

/* Receives once. Returns 1, 0 at the end of the connection, or -errno; -EAGAIN when nothing is there. */
int link_receive(struct link *l);
/* The next whole frame: 1, 0, or -EPROTO, as frame_next(). -EPROTO too when descriptors came that
 * belong to no frame; `pending` says that one of the caller's (an EXEC in pieces) still waits. */
int link_next(struct link *l, bool pending, struct frame *ret);
/* Takes the n oldest descriptors received, which are then the caller's (CLOEXEC); -EPROTO, and none
 * taken, when fewer came. */
int link_take_fds(struct link *l, int *ret_fds, size_t n);

/* Queues a frame. The descriptors become the link's, also on failure. Returns 0, or -ENOBUFS when
 * the queue is over its bound: then the peer is as good as gone. */
int link_send(struct link *l, uint32_t stream, enum frame_type type, uint8_t flags, const void *payload, size_t n,
	      const int *fds, size_t nfds);
static inline bool link_pending(const struct link *l)
{
	return l->out_at < l->out.len;
}
/* Sends what the socket takes now. Returns 0 (see link_pending()) or -errno. */
int link_flush(struct link *l);
/* Sends all, waiting at most timeout_ms. Returns 0, -ETIMEDOUT, or -errno. */
int link_drain(struct link *l, int timeout_ms);

#endif
