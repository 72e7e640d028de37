/* Inside of the bridge: bridge.c (ends and frames), bridgestream.c (streams), bridgechannel.c (descriptors). */
#ifndef IGLOO_WIRE_BRIDGE_IMPL_H
#define IGLOO_WIRE_BRIDGE_IMPL_H

#include "wire/bridge.h"
#include "wire/exec.h"
#include "wire/link.h"
#include "wire/msg.h"

enum {
	OUT_PAUSE = 128 * 1024,  /* so much queued for the remote end, and nothing new is read */
	OUT_BOUND = 4 << 20,     /* what only a partner that breaks the rules can bring about */
	LOCAL_PAUSE = 256 << 10, /* so much queued for the local end, and no remote frames are looked at */
	LOCAL_BOUND = 16 << 20,
	GRANT = FRAME_WINDOW / 4, /* CREDIT goes out for no less, unless it is the last */
};

/* How a descriptor is read and written without blocking. */
enum channel_mode {
	CHANNEL_PLAIN,  /* it does not block: O_NONBLOCK, or a file */
	CHANNEL_SOCKET, /* each call says so */
	CHANNEL_SHY,    /* shared with others: poll(), then few bytes */
};

struct channel {
	int fd; /* -1: not there, or done with */
	enum channel_mode mode;
	bool there;
	bool source;      /* fd is read here; else it is a sink, and written */
	bool both;        /* a socket of both directions, of which this is one */
	bool eof;         /* source: EOF was sent; sink: EOF came */
	bool closed;      /* source: CLOSE came; sink: CLOSE was sent */
	uint32_t credit;  /* source: may be sent; sink: may still come */
	uint32_t written; /* sink: since the last CREDIT */
	size_t due;       /* source: what was in it when its command had ended and is not read yet */
	struct str q;     /* sink: q.p[q_at..] is to be written */
	size_t q_at;
};

enum stream_kind { STREAM_COMMAND, STREAM_DIAL };

struct stream {
	uint32_t id;    /* at the remote end */
	uint32_t local; /* at the local end, where a connection's is free again after DIALED */
	enum stream_kind kind;
	bool pty;
	bool main;
	bool asked;   /* host: by an ACCEPT, so it has no local end */
	bool started; /* STARTED or DIALED passed */
	bool ended;   /* EXIT came and is held back */
	bool over;    /* to be forgotten */
	uint16_t port;
	uint8_t exit[MSG_EXIT_BYTES];
	int64_t give_up; /* ended: when outputs that others inherited are given up */
	struct channel channels[FRAME_CHANNELS];
};

struct bridge_polled {
	struct stream *s;
	struct channel *c;
};

struct bridge {
	enum bridge_end end;
	struct bridge_ops ops;
	struct link local;
	int remote;
	struct frame_decoder in;
	struct str out; /* out.p[out_at..] is to be sent to the remote end */
	size_t out_at;
	bool greeted;
	bool limits;    /* LIMITS has passed */
	size_t accepts; /* bridge_accept() was called: connections are asked for while there are fewer streams than so
			   many */
	bool asking;    /* an ACCEPT waits for its answer */
	bool local_ended;
	bool remote_ended;
	bool replaceable; /* the remote end, until HELLO; `remote` is -1 when it is lost */
	unsigned pings;   /* PONGs that are due */
	struct stream **streams;
	size_t n;
	size_t max;
	uint32_t last_id;     /* host: the number that was given last */
	size_t first;         /* whose turn it is to be looked at first */
	uint32_t exec_stream; /* an EXEC of which pieces are missing; 0: none */
	bool exec_refused;
	struct pollfd *polls;
	struct bridge_polled *polled;
	size_t polls_cap;
};

int64_t bridge_now_ms(void);
/* Closes the remote end, if it may be replaced. */
bool bridge_lose(struct bridge *b);
static inline size_t bridge_pending(const struct bridge *b)
{
	return b->out.len - b->out_at;
}
/* Queues a frame for the remote end. -ENOBUFS: the remote end reads nothing. */
int bridge_send(struct bridge *b, uint32_t stream, enum frame_type type, uint8_t flags, const void *payload, size_t n);
/* For the local end; the descriptor, if >= 0, is the link's then. */
int bridge_send_local(struct bridge *b, uint32_t stream, uint8_t type, const void *payload, size_t n, int fd);

/* --- bridgewords.c: frames of stream 0, from the remote end or the local one --- */

/* Those that the guest sends, passed on. -EPROTO: it is not due. */
int bridge_on_guest_word(struct bridge *b, const struct frame *f, bool remote);
/* And those that the host sends; TIME and ROUTE are for the remote bridge itself. */
int bridge_on_host_word(struct bridge *b, const struct frame *f, bool remote);

/* --- bridgechannel.c: all return 0 or what bridge_send() does --- */

/* The channel begins; the descriptor is its own. `own`: nobody else has it, so it is made non-blocking. */
void channel_begin(struct channel *c, bool source, int fd, bool own);
/* Two channels of one descriptor, the second by dup(). -errno, and nothing taken, when there is no more of those. */
int channel_begin_both(struct stream *s, enum bridge_end end, int fd);
/* Source: reads once and sends DATA, or EOF at the end. */
int source_read(struct bridge *b, struct stream *s, struct channel *c, bool hangup);
/* Source: nothing more comes from here. */
int source_end(struct bridge *b, struct stream *s, struct channel *c);
int source_on_credit(struct channel *c, const struct frame *f);
int source_on_close(struct bridge *b, struct stream *s, struct channel *c);
int sink_on_data(struct bridge *b, struct stream *s, struct channel *c, const struct frame *f);
int sink_on_eof(struct channel *c);
/* Sink: writes what it can. */
int sink_flush(struct bridge *b, struct stream *s, struct channel *c);
/* Sink: nobody reads any more. */
int sink_close(struct bridge *b, struct stream *s, struct channel *c);
static inline uint8_t channel_number(const struct stream *s, const struct channel *c)
{
	return (uint8_t)(c - s->channels);
}

/* --- bridgestream.c --- */

struct stream *stream_find(struct bridge *b, uint32_t id);
struct stream *stream_find_local(struct bridge *b, uint32_t local);
/* The host's side chooses the remote end's number, the guest's side keeps it. NULL when there are too many. */
struct stream *stream_new(struct bridge *b, uint32_t local, enum stream_kind kind);
void stream_release(struct stream *s);
/* Frames whose stream is a command or a connection. */
int stream_from_local(struct bridge *b, const struct frame *f);
int stream_from_remote(struct bridge *b, const struct frame *f);
/* Sends the ACCEPT that is due. */
int stream_ask(struct bridge *b);
/* Whatever EXIT waited for may have happened. */
int stream_settle(struct bridge *b, struct stream *s, int64_t now);
/* The remote end is no more: sources end, sinks write what they have. */
void stream_cut(struct stream *s);

#endif
