/* Connections that are made in a machine (ACCEPT): the host's side of a bridge, against a partner that may be anybody.
 */
#include "test.h"

#include "sys/fd.h"
#include "wire/bridge.h"
#include "wire/frame.h"
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
	struct bridge *bridge;
	int local;  /* the supervisor's end */
	int remote; /* the machine's */
	int calls;  /* of on_accept */
	int leads;  /* what it returns */
} own = {.leads = -1};

static int on_accept(void *user)
{
	(void)user;
	own.calls++;
	return own.leads < 0 ? -1 : fcntl(own.leads, F_DUPFD_CLOEXEC, 3);
}

static void put(uint32_t stream, enum frame_type type, uint8_t flags, const void *payload, uint32_t n)
{
	uint8_t frame[FRAME_HEADER + 64];

	CHECK(n <= 64);
	frame_put_header(frame, stream, type, flags, n);
	if (n > 0)
		memcpy(frame + FRAME_HEADER, payload, n);
	CHECK(write(own.remote, frame, FRAME_HEADER + n) == (ssize_t)(FRAME_HEADER + n));
}

static void begin(void)
{
	const struct bridge_ops ops = {.on_accept = on_accept};
	struct msg_hello m = {.version = MSG_VERSION};
	uint8_t hello[MSG_HELLO_BYTES];
	int local[2];
	int remote[2];

	(void)signal(SIGPIPE, SIG_IGN);
	if (own.bridge) {
		bridge_free(own.bridge);
		(void)close(own.local);
		(void)close(own.remote);
	}
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, local) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, remote) == 0);
	own.bridge = bridge_new(BRIDGE_HOST, local[0], remote[0], &ops);
	own.local = local[1];
	own.remote = remote[1];
	own.calls = 0;
	(void)fd_set_nonblock(own.remote, true);
	bridge_accept(own.bridge);
	msg_put_hello(hello, &m);
	put(0, FRAME_HELLO, 0, hello, sizeof(hello));
}

/* 0, or what bridge_step() said. */
static int run(void)
{
	int r = 0;

	for (int i = 0; i < 8 && r == 0; i++)
		r = bridge_step(own.bridge, NULL, 0, 0);
	return r;
}

/* The next frame's type, 0 when there is none; its stream, its flags. */
static int next(uint32_t *ret_stream, uint8_t *ret_flags)
{
	uint8_t header[FRAME_HEADER];
	uint8_t payload[FRAME_PAYLOAD_MAX];
	uint32_t n;

	if (read(own.remote, header, sizeof(header)) != (ssize_t)sizeof(header))
		return 0;
	n = frame_get32(header);
	if (n > sizeof(payload) || (n > 0 && read(own.remote, payload, n) != (ssize_t)n))
		return -1;
	*ret_stream = frame_get32(header + 4);
	*ret_flags = header[9];
	return header[8];
}

static uint32_t asked(void)
{
	uint32_t stream = 0;
	uint8_t flags;

	CHECK(run() == 0);
	return next(&stream, &flags) == FRAME_ACCEPT ? stream : 0;
}

TEST(one_after_the_other)
{
	uint32_t stream;
	uint32_t of;
	uint8_t flags;
	int pair[2];
	char c = 0;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	own.leads = pair[0];
	begin();
	stream = asked();
	CHECK(stream != 0 && own.calls == 0);
	/* One waits, no more. */
	CHECK(run() == 0 && next(&of, &flags) == 0);
	put(stream, FRAME_DIALED, 0, "\0\0", 2);
	of = asked();
	CHECK(own.calls == 1 && of != 0 && of != stream);
	/* Both ways. */
	put(stream, FRAME_DATA, FRAME_OUT, "x", 1);
	CHECK(run() == 0 && read(pair[1], &c, 1) == 1 && c == 'x');
	CHECK(write(pair[1], "y", 1) == 1 && run() == 0);
	CHECK(next(&of, &flags) == FRAME_DATA && of == stream && flags == FRAME_IN);
	/* Nothing of it is the supervisor's. */
	CHECK(recv(own.local, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 1);
	(void)close(pair[0]);
	(void)close(pair[1]);
	own.leads = -1;
}

TEST(where_nothing_is)
{
	uint32_t stream;
	uint32_t of;
	uint8_t flags;
	bool ended = false;
	int type;

	begin();
	stream = asked();
	put(stream, FRAME_DIALED, 0, "\0\0", 2);
	CHECK(run() == 0 && own.calls == 1);
	while ((type = next(&of, &flags)) > 0)
		ended |= type == FRAME_EOF && of == stream && flags == FRAME_IN;
	CHECK(ended);
}

TEST(a_guest_without_a_socket)
{
	uint8_t err[MSG_ERR_BYTES];
	uint32_t of;
	uint8_t flags;

	begin();
	msg_put_err(err, &(struct msg_err){.errnum = EOPNOTSUPP, .stage = MSG_STAGE_DIAL});
	put(asked(), FRAME_ERR, 0, err, sizeof(err));
	CHECK(run() == 0 && next(&of, &flags) == 0 && own.calls == 0);
	/* One that has too many streams is asked again when there are fewer: here there are no others. */
	begin();
	msg_put_err(err, &(struct msg_err){.errnum = EAGAIN, .stage = MSG_STAGE_DIAL});
	put(asked(), FRAME_ERR, 0, err, sizeof(err));
	CHECK(run() == 0 && next(&of, &flags) == 0);
}

TEST(what_is_not_due)
{
	uint32_t stream;

	begin();
	put(asked(), FRAME_DIALED, 0, "\x50\0", 2);
	CHECK(run() == -EPROTO && own.calls == 0);
	begin();
	stream = asked();
	put(stream, FRAME_DIALED, 0, "\0\0", 2);
	CHECK(run() == 0);
	put(stream, FRAME_DIALED, 0, "\0\0", 2);
	CHECK(run() == -EPROTO && own.calls == 1);
	begin();
	put(asked(), FRAME_STARTED, 0, "\1\0\0\0", 4);
	CHECK(run() == -EPROTO);
	begin();
	put(asked(), FRAME_DATA, FRAME_OUT, "x", 1);
	CHECK(run() == -EPROTO);
	begin();
	CHECK(asked() != 0);
	put(1, FRAME_ACCEPT, 0, NULL, 0);
	CHECK(run() == -EPROTO);
}

/* The supervisor asks for none itself. */
TEST(not_the_local_end)
{
	uint8_t frame[FRAME_HEADER];

	begin();
	frame_put_header(frame, 7, FRAME_ACCEPT, 0, 0);
	CHECK(write(own.local, frame, sizeof(frame)) == (ssize_t)sizeof(frame));
	CHECK(run() == -EPROTO);
	bridge_free(own.bridge);
	own.bridge = NULL;
	(void)close(own.local);
	(void)close(own.remote);
}

TEST_MAIN()
