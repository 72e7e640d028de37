/* The bridge: a host and the real guest with two of them between; and the host's side alone against a hostile partner.
 * tests/unit/guest.c runs through bridges, too (the test 'guest-bridged'). */
#include "bridge_between.h"

#include <netinet/in.h>
#include <sys/ioctl.h>
#include <termios.h>

enum { MEGABYTE = 1 << 20 };

static void open_bridged(void)
{
	box_between = bridge_between;
	box_open();
}

struct piped {
	int in;
	int out;
	int err;
};

static struct piped exec_3(uint32_t stream, uint32_t flags, char *const *argv)
{
	int in[2], out[2], err[2];

	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
	exec_with(stream, flags | EXEC_HAS_FDS, argv, (const int[]){in[0], out[1], err[1]});
	return (struct piped){in[1], out[0], err[0]};
}

static void close_piped(struct piped *p)
{
	p->in = close_fd(p->in);
	p->out = close_fd(p->out);
	p->err = close_fd(p->err);
}

/* A pattern without a period that a lost or doubled block could hide behind. */
static char pattern(size_t at)
{
	return (char)(at * 31 + (at >> 12));
}

/* Writes n bytes of the pattern to one, reads them from the other, while frames are looked at. Returns how many came
 * back right before the end. */
static size_t round_trip(int to, int from, size_t n)
{
	size_t sent = 0, got = 0;
	char buf[8192];
	uint64_t end = now_us() + PATIENCE_MS * 1000;

	(void)fd_set_nonblock(to, true);
	(void)fd_set_nonblock(from, true);
	while (now_us() < end) {
		struct pollfd p[2] = {{.fd = to, .events = POLLOUT}, {.fd = from, .events = POLLIN}};
		ssize_t k;

		pump(0);
		(void)poll(p, 2, 10);
		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = pattern(sent + i);
		k = to >= 0 && p[0].revents ? write(to, buf, n - sent < sizeof(buf) ? n - sent : sizeof(buf)) : 0;
		sent += k > 0 ? (size_t)k : 0;
		if (sent == n)
			to = close_fd(to);
		k = read(from, buf, sizeof(buf));
		if (k == 0)
			break;
		for (ssize_t i = 0; i < k; i++)
			if (buf[i] != pattern(got++))
				return 0;
	}
	return got;
}

TEST(a_megabyte_there_and_back)
{
	struct piped p;

	open_bridged();
	p = exec_3(1, 0, V("cat"));
	CHECK(round_trip(p.in, p.out, MEGABYTE) == MEGABYTE);
	CHECK(end_of(1) == 0);
	CHECK_STR(slurp(p.err, false), "");
	(void)close(p.out);
	p = exec_3(2, 0, SH("exec cat >&2"));
	CHECK(round_trip(p.in, p.err, MEGABYTE) == MEGABYTE);
	CHECK(end_of(2) == 0);
}

TEST(throughput)
{
	uint64_t begin;
	struct piped p;
	size_t n = 0;
	ssize_t k;
	static char buf[65536];

	open_bridged();
	p = exec_3(1, 0, V("head", "-c", "268435456", "/dev/zero"));
	begin = now_us();
	while ((k = read(p.out, buf, sizeof(buf))) > 0)
		n += (size_t)k;
	CHECK(n == 268435456);
	printf("# from a command: %llu MB/s\n", (unsigned long long)(n / (now_us() - begin + 1)));
	CHECK(end_of(1) == 0);
	close_piped(&p);
	p = exec_3(2, 0, V("wc", "-c"));
	begin = now_us();
	for (n = 0; n < 268435456; n += (size_t)k) {
		pump(0); /* stdin is read from STARTED on */
		k = write(p.in, buf, sizeof(buf));
		CHECK(k > 0);
	}
	p.in = close_fd(p.in);
	CHECK_STR(slurp(p.out, true), "268435456\n");
	printf("# to a command: %llu MB/s\n", (unsigned long long)(n / (now_us() - begin + 1)));
	CHECK(end_of(2) == 0);
	close_piped(&p);
}

TEST(exit_comes_after_the_output)
{
	struct piped p;
	char buf[4096];

	open_bridged();
	p = exec_3(1, 0, SH("head -c 300000 /dev/zero; exit 5"));
	for (int i = 0; i < 20; i++) /* nobody reads: EXIT waits */
		pump(10);
	CHECK(box.s[1].pid > 0 && !box.s[1].over);
	for (size_t n = 0, k; n < 300000; n += k) {
		k = (size_t)read(p.out, buf, sizeof(buf));
		CHECK((ssize_t)k > 0);
	}
	CHECK(end_of(1) == 5 && read(p.out, buf, 1) == 0);
	close_piped(&p);
	/* Who inherited the output is not waited for, but what was written before is there. */
	p = exec_3(2, 0, SH("echo first; sleep 1000 & exit 6"));
	CHECK(end_of(2) == 6);
	CHECK_STR(slurp(p.out, false), "first\n");
	close_piped(&p);
}

TEST(a_reader_that_stalls)
{
	struct piped stalled, p;

	open_bridged();
	stalled = exec_3(1, 0, SH("yes & yes >&2; wait"));
	for (int i = 0; i < 30; i++)
		pump(10);
	p = exec_3(2, 0, V("cat"));
	CHECK(round_trip(p.in, p.out, MEGABYTE) == MEGABYTE && end_of(2) == 0);
	/* Nor does a command that does not read its input. */
	close_piped(&stalled);
	stalled = exec_3(3, 0, V("sleep", "1000"));
	(void)fd_set_nonblock(stalled.in, true);
	PUMP_UNTIL(box.s[3].pid > 0);
	for (int i = 0; i < 100; i++) {
		static const char buf[65536];

		(void)!write(stalled.in, buf, sizeof(buf));
		pump(1);
	}
	p = exec_3(4, 0, V("cat"));
	CHECK(round_trip(p.in, p.out, MEGABYTE) == MEGABYTE && end_of(4) == 0);
	close_piped(&stalled);
}

TEST(nobody_reads)
{
	struct piped p;

	open_bridged();
	p = exec_3(1, 0, V("yes"));
	CHECK_STR(slurp(p.out, true), "y\n");
	p.out = close_fd(p.out);
	CHECK(end_of(1) == 1013);
	close_piped(&p);
	/* The other way round: the command closes its input, and whoever writes to it hears of it. */
	(void)signal(SIGPIPE, SIG_IGN);
	p = exec_3(2, 0, SH("exec <&-; sleep 1000"));
	PUMP_UNTIL(box.s[2].pid > 0);
	for (uint64_t end = now_us() + PATIENCE_MS * 1000; write(p.in, "x", 1) == 1 && now_us() < end;)
		pump(10);
	CHECK(write(p.in, "x", 1) < 0 && errno == EPIPE);
	close_piped(&p);
}

TEST(two_hundred_at_once)
{
	static struct piped p[201];
	char text[16];

	open_bridged();
	for (uint32_t i = 1; i <= 200; i++) {
		p[i] = exec_3(i, 0, SH("read x; echo $x; exit $x"));
		(void)snprintf(text, sizeof(text), "%u\n", i);
		CHECK(write(p[i].in, text, strlen(text)) > 0);
	}
	for (uint32_t i = 200; i >= 1; i--) {
		(void)snprintf(text, sizeof(text), "%u\n", i);
		CHECK(end_of(i) == (int)i);
		CHECK_STR(slurp(p[i].out, true), text);
		close_piped(&p[i]);
	}
}

static void send_size(uint32_t stream, uint16_t rows, uint16_t cols)
{
	uint8_t payload[4];

	frame_put16(payload, rows);
	frame_put16(payload + 2, cols);
	CHECK(link_send(&box.link, stream, FRAME_RESIZE, 0, payload, 4, NULL, 0) == 0 &&
	      link_drain(&box.link, PATIENCE_MS) == 0);
}

TEST(terminal)
{
	int fd;

	open_bridged();
	exec_with(1, EXEC_PTY, SH("stty size; trap 'stty size; exit 4' WINCH; echo on; while :; do sleep 0.1; done"),
		  NULL);
	PUMP_UNTIL(box.s[1].pid > 0);
	fd = box.s[1].master;
	CHECK_STR(slurp(fd, true), "37 91\r\n");
	CHECK_STR(slurp(fd, true), "on\r\n");
	send_size(1, 40, 100);
	CHECK_STR(slurp(fd, true), "40 100\r\n");
	CHECK(end_of(1) == 4);
	CHECK_STR(slurp(fd, false), "");
	box.s[1].master = -1;
	exec_with(2, EXEC_PTY, V("cat"), NULL);
	PUMP_UNTIL(box.s[2].pid > 0);
	CHECK(write(box.s[2].master, "a\n\004", 3) == 3);
	CHECK_STR(slurp(box.s[2].master, true), "a\r\n");
	CHECK_STR(slurp(box.s[2].master, true), "a\r\n");
	CHECK(end_of(2) == 0);
	/* The terminal goes away: its session hears of it. */
	exec_with(3, EXEC_PTY, SH("trap 'exit 9' HUP; echo on; while :; do sleep 0.1; done"), NULL);
	PUMP_UNTIL(box.s[3].pid > 0);
	CHECK_STR(slurp(box.s[3].master, true), "on\r\n");
	box.s[3].master = close_fd(box.s[3].master);
	CHECK(end_of(3) == 9);
}

static int listen_on_loopback(uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 8) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&a, &n) == 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void dial(uint32_t stream, uint16_t port)
{
	uint8_t payload[2];

	frame_put16(payload, port);
	CHECK(link_send(&box.link, stream, FRAME_DIAL, 0, payload, 2, NULL, 0) == 0);
	PUMP_UNTIL(box.s[stream].over);
}

TEST(dial_with_half_closes)
{
	uint16_t port;
	int listener, fd, s;

	open_bridged();
	listener = listen_on_loopback(&port);
	dial(1, port);
	s = box.s[1].master;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(fd >= 0 && s >= 0);
	CHECK(write(s, "ask\n", 4) == 4 && shutdown(s, SHUT_WR) == 0);
	CHECK_STR(slurp(fcntl(fd, F_DUPFD_CLOEXEC, 0), false), "ask\n");
	CHECK(write(fd, "answer\n", 7) == 7 && close(fd) == 0);
	CHECK_STR(slurp(fcntl(s, F_DUPFD_CLOEXEC, 0), false), "answer\n");
	/* A closed end closes the other. */
	dial(2, port);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	box.s[2].master = close_fd(box.s[2].master);
	CHECK_STR(slurp(fd, false), "");
	(void)close(listener);
	dial(3, port);
	CHECK(box.s[3].err.stage == MSG_STAGE_DIAL && box.s[3].err.errnum == ECONNREFUSED);
}

/* --- the host's side alone ---------------------------------------------------------------------------------------- */

static struct {
	struct bridge *bridge;
	struct link local;
	int remote;
} lone;

static const struct bridge_ops *lone_ops;

static void lone_open(void)
{
	int local[2], remote[2];

	box_kill();
	if (lone.bridge) {
		bridge_free(lone.bridge);
		link_release(&lone.local);
		(void)close(lone.remote);
	}
	(void)signal(SIGPIPE, SIG_IGN);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, local) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, remote) == 0);
	lone.bridge = bridge_new(BRIDGE_HOST, local[0], remote[0], lone_ops);
	link_init(&lone.local, local[1], MEGABYTE);
	lone.remote = remote[1];
}

static void put(uint32_t stream, enum frame_type type, uint8_t flags, const void *payload, uint32_t n)
{
	uint8_t head[FRAME_HEADER];

	frame_put_header(head, stream, type, flags, n);
	CHECK(fd_write_all(lone.remote, head, sizeof(head)) == 0 && fd_write_all(lone.remote, payload, n) == 0);
}

static void put_hello(void)
{
	uint8_t p[MSG_HELLO_BYTES];

	msg_put_hello(p, &(struct msg_hello){.version = MSG_VERSION, .caps = MSG_CAP_FDS});
	put(0, FRAME_HELLO, 0, p, sizeof(p));
}

/* Steps until nothing happens any more; the bridge's verdict. */
static int lone_run(void)
{
	int r = 0;

	for (int i = 0; i < 20 && r == 0; i++)
		r = bridge_step(lone.bridge, NULL, 0, 1);
	return r;
}

/* A bridge with command 1, whose output is returned. */
static int lone_exec(void)
{
	struct exec x = {.flags = EXEC_HAS_FDS, .cwd = "/", .argv = V("x"), .env = V("A=b")};
	int p[2];

	lone_open();
	put_hello();
	CHECK(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
	CHECK(exec_send(&lone.local, 1, &x,
			(const int[]){open("/dev/null", O_RDONLY | O_CLOEXEC), p[1],
				      fcntl(p[1], F_DUPFD_CLOEXEC, 0)}) == 0);
	CHECK(link_drain(&lone.local, PATIENCE_MS) == 0 && lone_run() == 0);
	return p[0];
}

TEST(what_comes_before_hello_is_dropped)
{
	struct frame f = {0};

	lone_open();
	CHECK(write(lone.remote, "\0\0\0\30\0\0\0\0\1\0 stale bytes \30\0\0\0\0", 28) == 28);
	CHECK(lone_run() == 0 && !bridge_greeted(lone.bridge));
	put_hello();
	CHECK(lone_run() == 0 && bridge_greeted(lone.bridge));
	CHECK(link_receive(&lone.local) == 1 && link_next(&lone.local, false, &f) == 1 && f.type == FRAME_HELLO);
	/* Words on why there is none are for the supervisor, too. */
	lone_open();
	CHECK(write(lone.remote, "noise", 5) == 5);
	put(0, FRAME_ERR, 0, "\5\0\0\0\10\0\0\0no root", 15);
	CHECK(lone_run() == 0);
	CHECK(link_receive(&lone.local) == 1 && link_next(&lone.local, false, &f) == 1 && f.type == FRAME_ERR);
}

static void tell_time(void *user)
{
	static const uint8_t payload[MSG_TIME_BYTES] = {1, 2, 3};

	(void)user;
	CHECK(bridge_tell_remote_first(lone.bridge, FRAME_TIME, payload, sizeof(payload)) == 0);
}

/* Also before a command that was sent to a machine which was not there yet. */
TEST(what_is_told_at_hello_is_first)
{
	static const struct bridge_ops ops = {.on_hello = tell_time};
	struct exec x = {.cwd = "/", .argv = V("x"), .env = V("A=b")};
	uint8_t bytes[256];
	ssize_t n;

	lone_ops = &ops;
	lone_open();
	lone_ops = NULL;
	CHECK(exec_send(&lone.local, 1, &x, NULL) == 0);
	CHECK(link_drain(&lone.local, PATIENCE_MS) == 0 && lone_run() == 0);
	CHECK(recv(lone.remote, bytes, sizeof(bytes), MSG_DONTWAIT) < 0);
	put_hello();
	CHECK(lone_run() == 0);
	n = recv(lone.remote, bytes, sizeof(bytes), MSG_DONTWAIT);
	CHECK(n > 2 * FRAME_HEADER + MSG_TIME_BYTES && frame_get32(bytes) == MSG_TIME_BYTES && bytes[8] == FRAME_TIME);
	CHECK(bytes[FRAME_HEADER] == 1 && bytes[FRAME_HEADER + 2] == 3 && bytes[FRAME_HEADER + 3] == 0);
	CHECK(bytes[FRAME_HEADER + MSG_TIME_BYTES + 8] == FRAME_EXEC);
	CHECK(FRAME_HEADER * 2 + MSG_TIME_BYTES + frame_get32(bytes + FRAME_HEADER + MSG_TIME_BYTES) == (size_t)n);
}

TEST(what_is_not_due)
{
	static const uint8_t zeros[MSG_EXIT_BYTES];
	static const uint8_t bytes[FRAME_PAYLOAD_MAX];
	static const struct {
		uint32_t stream;
		enum frame_type type;
		uint8_t flags;
		uint32_t n;
		bool started;
	} wrong[] = {
		{0, FRAME_HELLO, 0, MSG_HELLO_BYTES, false},
		{0, FRAME_PONG, 0, 8, false},
		{0, FRAME_SHUTDOWN, 0, 4, false},
		{0, FRAME_TIME, 0, MSG_TIME_BYTES, false},
		{0, FRAME_STOPPED, 0, MSG_STOPPED_BYTES, false},
		{0, FRAME_STAGE, 0, 1, false},
		{0, FRAME_ROUTE, 0, MSG_ROUTE_BYTES, false},
		{2, FRAME_STARTED, 0, 4, false},
		{1, FRAME_STARTED, 0, 4, true},
		{1, FRAME_EXIT, 0, 8, false},
		{1, FRAME_EXIT, 0, 8, true}, /* outputs without EOF */
		{1, FRAME_DIALED, 0, 2, false},
		{1, FRAME_EXEC, 0, 64, true},
		{2, FRAME_DATA, 1, 1, true},
		{1, FRAME_DATA, 0, 1, true},
		{1, FRAME_DATA, 3, 1, true},
		{1, FRAME_CREDIT, 1, 4, true},
		{1, FRAME_CREDIT, 0, 4, true},
		/* none */ {1, FRAME_CLOSE, 2, 0, true},
		{1, FRAME_EOF, 0, 0, true},
		{1, FRAME_SIGNAL, 0, 4, true},
		{2, FRAME_EOF, 1, 0, true},
		{1, FRAME_ERR, 0, 8, true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		int out = lone_exec();
		int r;

		if (wrong[i].started)
			put(1, FRAME_STARTED, 0, "\1\0\0\0", 4);
		CHECK(lone_run() == 0);
		put(wrong[i].stream, wrong[i].type, wrong[i].flags, wrong[i].type == FRAME_EXIT ? zeros : bytes,
		    wrong[i].n);
		r = lone_run();
		if (r != -EPROTO)
			printf("# case %zu: %d\n", i, r);
		CHECK(r == -EPROTO);
		(void)close(out);
	}
}

TEST(limits_are_told_once)
{
	static const uint8_t bytes[MSG_LIMITS_BYTES] = {1, 0, 0, 0, 2};
	struct frame f = {0};

	lone_open();
	put_hello();
	put(0, FRAME_LIMITS, 0, bytes, sizeof(bytes));
	CHECK(lone_run() == 0);
	CHECK(link_receive(&lone.local) == 1 && link_next(&lone.local, false, &f) == 1 && f.type == FRAME_HELLO);
	CHECK(link_next(&lone.local, false, &f) == 1 && f.type == FRAME_LIMITS);
	put(0, FRAME_LIMITS, 0, bytes, sizeof(bytes));
	CHECK(lone_run() == -EPROTO);
}

TEST(more_than_was_granted)
{
	static const uint8_t bytes[FRAME_PAYLOAD_MAX];
	int out = lone_exec();

	/* The pipe takes 64 KiB of it, which may be granted again. */
	for (int i = 0; i < 5; i++) {
		put(1, FRAME_DATA, 1, bytes, sizeof(bytes));
		CHECK(lone_run() == 0);
	}
	put(1, FRAME_DATA, 1, bytes, 1);
	CHECK(lone_run() == -EPROTO);
	(void)close(out);
}

TEST(a_remote_end_that_is_cut)
{
	static const uint8_t bytes[FRAME_PAYLOAD_MAX];
	size_t n = 0;
	ssize_t k;
	char buf[4096];
	int out = lone_exec();

	put(1, FRAME_DATA, 1, bytes, sizeof(bytes));
	put(1, FRAME_DATA, 1, bytes, sizeof(bytes));
	(void)shutdown(lone.remote, SHUT_RDWR);
	CHECK(lone_run() == 0 && bridge_remote_ended(lone.bridge));
	while ((k = read(out, buf, sizeof(buf))) > 0 || !bridge_idle(lone.bridge)) {
		n += k > 0 ? (size_t)k : 0;
		CHECK(bridge_step(lone.bridge, NULL, 0, 1) == 0);
	}
	CHECK(n == 2 * sizeof(bytes));
	(void)close(out);
	bridge_free(lone.bridge);
	lone.bridge = NULL;
	/* In the middle of everything, between two bridges. */
	open_bridged();
	out = exec_piped(1, 0, V("yes"));
	CHECK_STR(slurp(out, true), "y\n");
	CHECK(kill(bridge_pids[1], SIGKILL) == 0);
	PUMP_UNTIL(box.gone);
	CHECK(box_wait() == 0);
	(void)close(out);
}

TEST(end)
{
	box_kill();
	bridges_wait();
}

TEST_MAIN()
