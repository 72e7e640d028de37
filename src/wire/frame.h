/* Frames: what guest and host say to each other.
 *
 * A connection is two byte streams of frames. All numbers are little-endian.
 *
 *     u32 length of the payload, at most FRAME_PAYLOAD_MAX
 *     u32 stream
 *     u8  type
 *     u8  flags
 *     payload
 *
 * A stream is one command: the host chooses its number (not 0, none that is in use) with EXEC; the
 * number is free again after the command's EXIT or ERR. Stream 0 is the connection itself.
 *
 * Who may send what, when; any other frame is a protocol error, which ends the connection, and a
 * guest whose connection ended kills everything in its box:
 *
 *   type      from   stream   payload                 legal
 *   HELLO     guest  0        u32 version, u32 caps,  once, as the guest's first frame; the host need
 *                             16 bytes nonce          not wait for it
 *   EXEC      host   command  see wire/exec.h         at any time; the pieces of one EXEC may have other
 *                                                     types between them but no other EXEC. Answered by ERR
 *                                                     (ESHUTDOWN, START) after SHUTDOWN or once an EXEC_MAIN
 *                                                     command has ended: then the box only ends
 *   STARTED   guest  command  u32 pid in the box      once, when execve succeeded
 *   EXIT      guest  command  u32 kind, u32 value     once, after STARTED; ends the stream
 *   ERR       guest  command  u32 errno, u32 stage    instead of STARTED; ends the stream
 *             guest  0        EPROTO, PROTOCOL        once, as the guest's last frame
 *   SIGNAL    host   command  u32 signal              after EXEC; without effect when the command ended
 *   SHUTDOWN  host   0        u32 grace in ms         at any time; the guest's answer is the end of the
 *                                                     connection, when nothing runs any more
 *   STAGE     guest  0        u8 how far (guest/vmwords.h), words   before HELLO, for a kind that has a machine
 *   STOPPED   guest  0        u32 how, u32 ms since   once, after SHUTDOWN, from a kind that has a machine: what made
 *                             SHUTDOWN                it end (wire/msg.h). A supervisor passes it on to the clients
 *                                                     that sent it SHUTDOWN
 *   LIMITS    guest  0        u32 processes killed    once, before the last EXIT or the end, from a kind that has a
 *                             for want of memory,     machine: how often its limits were reached; not if never
 *                             u32 forks refused
 *   PING      host   0        u64 of the host's       at any time
 *   PONG      guest  0        the same u64            once for each PING
 *   DIAL      host   dialling u16 port (not 0)        at any time; the stream's number is chosen like a command's.
 *                                                     Answered by DIALED or ERR (DIAL). Port 0 is not a
 *                                                     guest's, but a bridge's (wire/bridge.h)
 *   DIALED    guest  dialling the same u16            once, with a TCP socket that is connected to that port of the
 *                                                     box's loopback; ends the stream
 *   ACCEPT    host   dialling -                       as DIAL, for a connection that somebody in the box makes to its
 *                                                     SSH agent's socket. At most one waits. Between a machine's
 *                                                     bridges only: a box without one has that socket outside
 *                                                     (box/boxagent.h). Answered by DIALED, port 0, or ERR (DIAL)
 *   ATTACH    client command  u16 rows, u16 cols      to a supervisor only (box/control.h), which answers
 *                                                     STARTED with a socket of the box's output and input
 *   RESIZE    client 0        u16 rows, u16 cols      to a supervisor only: the size of a detached box's terminal
 *             host   command  the same                after STARTED of an EXEC_PTY: the terminal's size, for a host
 *             client command                          whose descriptor is no terminal but a bridge's socket. Without
 *                                                     effect elsewhere
 *   GRANT     client 0        u8 op, policy entry     to a supervisor only: '+' or '-' an entry of this box; '!' (no
 *                                                     entry): read the user's grants again
 *   PORTS     client 0        u8 op, port specs       to a supervisor only: '+' or '-' forwarded ports
 *                                                     (box/portspec.h), each but the last with a newline; all or none
 *   these two superv. 0       u32 errno, message NUL  once, as its answer; errno 0 when done
 *                             hint NUL
 *
 * On a unix socket descriptors travel with frames (wire/link.h): three with the first piece of an
 * EXEC that says EXEC_FDS, the pty's master with the STARTED of an EXEC that says EXEC_PTY, and a DIALED's socket. The
 * guest keeps no copy of that master: the host sets its size itself.
 *
 * Between two bridges (wire/bridge.h), whose connection carries no descriptors, their bytes travel as frames instead.
 * A channel is one direction of a descriptor, and its number is the frame's flags (enum frame_channel): 0 goes from the
 * host to the guest, 1 and 2 from the guest to the host. An EXEC with EXEC_HAS_FDS has all three, one with EXEC_PTY has
 * 0 and 1, and so has a DIALED, from that frame on. The sender of a channel is its source, the other one its sink:
 *
 *   DATA      source command  1 to 64 Ki bytes        when the channel has credit for them: FRAME_WINDOW bytes at
 *                                                     first. On channel 0 not before STARTED or DIALED
 *   EOF       source command  -                       once, as the last frame of the channel: its end, or the answer
 *                                                     to CLOSE
 *   CREDIT    sink   command  u32 bytes (not 0)       so many bytes more, which the sink has passed on. It never makes
 *                                                     the credit more than FRAME_WINDOW
 *   CLOSE     sink   command  -                       once: nobody reads any more
 *   TIME      host   0        u64 ns since 1970,      at any time: the machine's clock is to be about that; 1: exactly,
 *                             u8 0 or 1               because the host's own was set
 *   ROUTE     host   0        IPv4 address, u8 bits   at any time, to a kind that has a machine: its network has a
 *                                                     route there through the gateway, from now on
 *
 * and EXIT is the last frame of the guest's side about a command or a connection that was dialled (there with code 0),
 * after EOF of its channels 1 and 2. What the host's side sent before it saw that has no effect. An ERR about stream 0
 * with stage MACHINE has words for the user behind its numbers; it says why there is no machine. */
#ifndef IGLOO_WIRE_FRAME_H
#define IGLOO_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum {
	FRAME_HEADER = 10,
	FRAME_PAYLOAD_MAX = 64 * 1024,
	FRAME_MAX = FRAME_HEADER + FRAME_PAYLOAD_MAX,
	FRAME_ANSWER_MAX = 4096,
	FRAME_WORDS_MAX = 4096,    /* behind an ERR's numbers */
	FRAME_WINDOW = 256 * 1024, /* unread bytes of a channel */
};

enum frame_type {
	FRAME_HELLO = 1,
	FRAME_EXEC = 2,
	FRAME_STARTED = 3,
	FRAME_EXIT = 4,
	FRAME_ERR = 5,
	FRAME_RESIZE = 6,
	FRAME_SIGNAL = 7,
	FRAME_SHUTDOWN = 8,
	FRAME_PING = 9,
	FRAME_PONG = 10,
	FRAME_DATA = 11,
	FRAME_EOF = 12,
	FRAME_CREDIT = 13,
	FRAME_TIME = 14,
	FRAME_LIMITS = 15,
	FRAME_ATTACH = 16,
	FRAME_GRANT = 17,
	FRAME_DIAL = 18,
	FRAME_DIALED = 19,
	FRAME_PORTS = 20,
	FRAME_CLOSE = 21,
	FRAME_ROUTE = 28,
	FRAME_STAGE = 29,
	FRAME_STOPPED = 30,
	FRAME_ACCEPT = 31,
};

enum frame_flag {
	FRAME_MORE = 1, /* EXEC only: its next piece follows */
};

/* The flags of DATA, EOF, CREDIT and CLOSE. */
enum frame_channel { FRAME_IN = 0, FRAME_OUT = 1, FRAME_OUT2 = 2, FRAME_CHANNELS = 3, FRAME_CHANNEL_MASK = 3 };

struct frame {
	uint32_t stream;
	uint8_t type;
	uint8_t flags;
	uint32_t len;
	const uint8_t *payload; /* len bytes in the decoder's buffer */
};

/* Writes the header of a frame with `len` bytes of payload. */
void frame_put_header(uint8_t out[FRAME_HEADER], uint32_t stream, enum frame_type type, uint8_t flags, uint32_t len);

/* Takes a byte stream apart. Holds at most one frame of the largest size and needs no more memory.
 * Zeroed memory is a decoder at the start of a stream. */
struct frame_decoder {
	size_t begin; /* buf[begin..end) is what was received and not yet given out */
	size_t end;
	uint8_t buf[FRAME_MAX];
};

/* Where to put received bytes; *ret_n > 0 is how many fit. Call it only after frame_next() returned
 * 0; it makes the last frame's payload invalid. Tell how many came with frame_grew(). */
uint8_t *frame_room(struct frame_decoder *d, size_t *ret_n);
void frame_grew(struct frame_decoder *d, size_t n);
/* Returns 1 and the next frame, 0 when bytes are missing, or -EPROTO for a frame that is too long, of
 * no known type, or whose flags, stream or length are not those of its type; a decoder that failed
 * keeps failing. */
int frame_next(struct frame_decoder *d, struct frame *ret);
/* True between frames: no part of one waits for its rest. */
static inline int frame_decoder_empty(const struct frame_decoder *d)
{
	return d->begin == d->end;
}

/* Little-endian numbers in bytes. */
uint16_t frame_get16(const uint8_t *p);
uint32_t frame_get32(const uint8_t *p);
void frame_put16(uint8_t *p, uint16_t v);
void frame_put32(uint8_t *p, uint32_t v);

#endif
