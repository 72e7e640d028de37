/* A bridge: an end of a connection of frames and descriptors that a machine's border cuts in two.
 *
 * Theory of operation. The supervisor and the guest speak over a unix socket and hand each other descriptors. Between
 * them there may be a machine, and then one byte stream (a virtio-serial port) is all there is. So there is a bridge on
 * either side of it: each has such a unix socket, its *local* end, and the byte stream, its *remote* end. It passes
 * frames on, keeps every descriptor that comes with one, and makes fresh ones (pipes for a command's 0, 1 and 2, a
 * socket pair for a terminal or a connection) where one is due on the other side. The bytes of those travel as DATA;
 * wire/frame.h has the frames and the rules.
 *
 *     supervisor == local [host bridge] remote -- byte stream -- remote [guest bridge] local == guest
 *
 * A channel is one direction of a descriptor. Its source reads a descriptor only for as many bytes as the sink granted
 * (FRAME_WINDOW at first), and the sink grants what it has written; so a descriptor that nobody reads keeps
 * FRAME_WINDOW bytes in memory and neither frames nor other channels waiting. Streams are bounded (BRIDGE_STREAMS_MAX,
 * or fewer where few files may be open), what is queued for the remote end is too: no descriptor and no local frame is
 * read while much is.
 *
 * EXIT is held back, on the guest's side until what the command wrote was read (its output at its end; or, when
 * somebody inherited it, after BRIDGE_GRACE_MS and what was in it at the command's end), and on the host's side until
 * that was written. A sink that cannot write sends CLOSE and its source closes its descriptor: the writer there gets
 * SIGPIPE.
 *
 * A terminal is a pty in the machine. The host's side is given one end of a unix socket pair for it, and sets its size
 * by RESIZE; a connection (DIAL) is such a pair, too, with half closes.
 *
 * The host's side trusts nothing that comes from the remote end: any frame that is not due there ends the bridge with
 * -EPROTO. Bytes before the first HELLO are not its partner's (a port may deliver old ones) and are dropped.
 *
 * Nothing blocks: a descriptor that was handed in is shared with processes outside, so O_NONBLOCK is not set on it; a
 * pipe is opened once more, a socket is told so by each call, anything else is written PIPE_BUF bytes at a time after
 * poll() said that it may.
 *
 * SIGPIPE must be ignored or blocked. Linked into the static guest: no more than base, sys/fd and wire. */
#ifndef IGLOO_WIRE_BRIDGE_H
#define IGLOO_WIRE_BRIDGE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BRIDGE_STREAMS_MAX = 1024, BRIDGE_GRACE_MS = 500 };

enum bridge_end { BRIDGE_HOST, BRIDGE_GUEST };

/* Any may be NULL. */
struct bridge_ops {
	/* Of the host's side: HELLO came, and nothing was sent to the remote end yet. */
	void (*on_hello)(void *user);
	/* Of the host's side: SHUTDOWN was passed on. */
	void (*on_shutdown)(void *user, uint32_t grace_ms);
	/* Of the host's side: a DIAL of port 0, which no box has: a new connection to what the caller has in its place
	 * (a machine's screen), a stream socket; -1: there is none now. Nothing of it goes through the bridge. */
	int (*on_own_dial)(void *user);
	/* Of the host's side: somebody in the machine has connected to what bridge_accept() is about: where that leads,
	 * a stream socket; -1: nowhere. */
	int (*on_accept)(void *user);
	/* The others are of the guest's side. */
	/* An EXEC_MAIN command has ended and its output was sent; EXIT follows. Nothing else runs any more. */
	void (*on_main_end)(void *user);
	/* TIME: ns since 1970; the host's clock was set. */
	void (*on_time)(void *user, uint64_t ns, bool was_set);
	/* ROUTE: its payload. */
	void (*on_route)(void *user, const uint8_t *payload);
	void *user;
};

struct bridge;

/* Takes over both descriptors, and makes the remote one non-blocking. `ops` may be NULL; it is copied. */
struct bridge *bridge_new(enum bridge_end end, int local, int remote, const struct bridge_ops *ops);
void bridge_free(struct bridge *b);

/* Waits for something to do, at most timeout_ms (-1: for ever), and does it. The n entries of `extra` are polled with
 * the bridge's own and have their revents then (0 when poll() was interrupted). Returns 0, or -EPROTO when an end sent
 * what is not due, -ENOBUFS when one of them reads nothing, or poll's -errno; then the bridge can only be freed
 * (bridge_say_last() before that). */
int bridge_step(struct bridge *b, struct pollfd *extra, size_t n, int timeout_ms);

/* The end of the connection on that side; what came before is still passed on by bridge_step(). */
bool bridge_local_ended(const struct bridge *b);
bool bridge_remote_ended(const struct bridge *b);
/* HELLO has passed. */
bool bridge_greeted(const struct bridge *b);
/* Of the host's side, before HELLO: the remote end may be replaced, so its end, or words on why there will be no HELLO,
 * are not the bridge's end. bridge_remote_lost() is true from then on, until there is another remote end, of which
 * nothing has come; whatever waits for HELLO goes on waiting. */
void bridge_may_replace(struct bridge *b);
bool bridge_remote_lost(const struct bridge *b);
/* Takes over the descriptor; the old one is closed. It is not replaced once more, unless that is said again. */
void bridge_replace(struct bridge *b, int remote);
/* Nothing that came is still on its way: what is left of a bridge with one end. */
bool bridge_idle(const struct bridge *b);
/* Sends a frame of the caller's own to the local end (for the host's side: to the supervisor), stream 0. */
int bridge_tell(struct bridge *b, uint8_t type, const void *payload, size_t n);
/* Sends a last word to the local end and all that is queued for it, waiting at most timeout_ms. */
void bridge_say_last(struct bridge *b, uint8_t type, const void *payload, size_t n, int timeout_ms);
/* Of the host's side: the guest has a socket (ACCEPT of wire/frame.h), whose connections are taken from here on, one
 * after the other. */
void bridge_accept(struct bridge *b);
/* As bridge_tell(), to the remote end. */
int bridge_tell_remote(struct bridge *b, uint8_t type, const void *payload, size_t n);
/* The same, before all that waits for the remote end; in on_hello only. */
int bridge_tell_remote_first(struct bridge *b, uint8_t type, const void *payload, size_t n);

#endif
