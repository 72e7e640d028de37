/* PID 1 of a box that is a machine (guest/vmhost.c), with a QEMU that was taken over or broke: a program that stands
 * where QEMU stands and does on its port what it likes. This program is that, too. Whatever it does, the supervisor's
 * side gets frames that are right, then one ERR, then the end; and nothing is left. */
#include "guest_box.h"

enum { PORT = 3, MONITOR = 5, QUICK_MS = 10000 };

/* --- the impostors ------------------------------------------------------------------------------------------------ */

static void put(const void *bytes, size_t n)
{
	if (fd_write_all(PORT, bytes, n) < 0)
		_exit(0);
}

static void frame(uint32_t stream, enum frame_type type, uint8_t flags, const void *payload, uint32_t n)
{
	uint8_t head[FRAME_HEADER];

	frame_put_header(head, stream, type, flags, n);
	put(head, sizeof(head));
	put(payload, n);
}

static void hello(void)
{
	static const uint8_t m[MSG_HELLO_BYTES] = {MSG_VERSION, 0, 0, 0, MSG_CAP_FDS};

	frame(0, FRAME_HELLO, 0, m, sizeof(m));
}

static void ATTR_NORETURN stay(void)
{
	for (;;)
		(void)pause();
}

static void broken(const char *how)
{
	static const uint8_t zeros[FRAME_PAYLOAD_MAX];
	static const uint8_t number[8] = {1};

	if (strncmp(how, "hello-", 6) == 0) {
		hello();
		how += 6;
	}
	if (strcmp(how, "noise") == 0) {
		for (uint32_t x = 12345;; x = x * 1664525 + 1013904223)
			put(&x, sizeof(x));
	} else if (strcmp(how, "long") == 0) {
		put("\xff\xff\xff\xff\1\0\0\0\1\0", FRAME_HEADER);
	} else if (strcmp(how, "type") == 0) {
		put("\0\0\0\0\1\0\0\0\xee\0", FRAME_HEADER);
	} else if (strcmp(how, "early") == 0) {
		frame(1, FRAME_STARTED, 0, number, 4);
	} else if (strcmp(how, "twice") == 0) {
		hello();
		hello();
	} else if (strcmp(how, "unasked") == 0) {
		hello();
		frame(7, FRAME_STARTED, 0, number, 4);
	} else if (strcmp(how, "exit") == 0) {
		hello();
		frame(7, FRAME_EXIT, 0, zeros, 8);
	} else if (strcmp(how, "dialed") == 0) {
		hello();
		frame(7, FRAME_DIALED, 0, number, 2);
	} else if (strcmp(how, "data") == 0) {
		hello();
		frame(7, FRAME_DATA, FRAME_OUT, zeros, sizeof(zeros));
	} else if (strcmp(how, "credit") == 0) {
		hello();
		frame(7, FRAME_CREDIT, FRAME_IN, number, 4);
	} else if (strcmp(how, "exec") == 0) {
		hello();
		frame(7, FRAME_EXEC, 0, zeros, 64);
	} else if (strcmp(how, "shutdown") == 0) {
		hello();
		frame(0, FRAME_SHUTDOWN, 0, number, 4);
	}
	stay();
}

static void flood(void)
{
	static const uint8_t ping[MSG_PING_BYTES];

	hello();
	for (;;)
		frame(0, FRAME_PONG, 0, ping, sizeof(ping));
}

static void talk(void)
{
	static char words[4096];

	memset(words, 'x', sizeof(words));
	for (int i = 0; i < 20000; i++)
		(void)!write(STDERR_FILENO, words, sizeof(words));
	(void)!write(STDERR_FILENO, "\nthe last words\n", 16);
	_exit(7);
}

/* Instead of main(), where vmhost.c started this. */
__attribute__((constructor)) static void play(int argc, char **argv)
{
	if (argc < 2 || strncmp(argv[1], "fake-", 5) != 0)
		return;
	if (strcmp(argv[1], "fake-silent") == 0)
		stay();
	if (strcmp(argv[1], "fake-flood") == 0)
		flood();
	if (strcmp(argv[1], "fake-talk") == 0)
		talk();
	if (strcmp(argv[1], "fake-closes") == 0) {
		(void)signal(SIGTERM, SIG_IGN);
		hello();
		(void)close(PORT);
		stay();
	}
	if (strcmp(argv[1], "fake-deaf") == 0) {
		hello();
		stay();
	}
	if (strcmp(argv[1], "fake-full") == 0) {
		static const char events[] = "{\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"nospace\": true}}\n"
					     "{\"event\": \"STOP\"}\n";

		hello();
		(void)!write(MONITOR, events, sizeof(events) - 1);
		stay();
	}
	if (strcmp(argv[1], "fake-leaves") == 0) {
		hello();
		(void)!read(PORT, &(char){0}, 1);
		_exit(0);
	}
	if (strcmp(argv[1], "fake-children") == 0) {
		hello();
		for (int i = 0; i < 50; i++)
			if (fork() == 0)
				stay();
		_exit(1);
	}
	broken(argv[1] + 5);
}

/* --- the box ------------------------------------------------------------------------------------------------------ */

struct told {
	int frames;
	bool greeted;
	struct msg_err err; /* the last one, about stream 0 */
	char words[FRAME_WORDS_MAX];
	struct msg_stopped stopped;
	bool ended; /* the connection */
};

static pid_t start_host(int sock, const char *fake, const char *hello_ms)
{
	static char self[4096];
	char fd[16], c;
	int go[2];
	pid_t pid;

	(void)snprintf(fd, sizeof(fd), "%d", sock);
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0 && pipe2(go, O_CLOEXEC) == 0);
	(void)guest_memfd();
	pid = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER | CLONE_NEWPID, 0, 0, 0, 0);
	if (pid == 0) {
		(void)close(go[1]);
		if (read(go[0], &c, 1) == 1 && fcntl(sock, F_SETFD, 0) == 0)
			(void)syscall(SYS_execveat, guest_memfd(), "",
				      V("igloo-guest", fd, "--vm", "--hello-ms", hello_ms, self, fake), V("A=b"),
				      AT_EMPTY_PATH);
		_exit(99);
	}
	CHECK(pid > 0);
	CHECK(write_maps(pid) && write(go[1], "x", 1) == 1);
	(void)close(go[0]);
	(void)close(go[1]);
	return pid;
}

static void begin(const char *fake, const char *hello_ms)
{
	int s[2];

	box_kill();
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	link_init(&box.link, s[0], 1 << 20);
	box.pid = start_host(s[1], fake, hello_ms);
	(void)close(s[1]);
}

static void listen_for(int ms, struct told *t)
{
	uint64_t end = now_us() + (uint64_t)ms * 1000;

	*t = (struct told){0};
	while (!t->ended && now_us() < end) {
		struct pollfd p = {.fd = box.link.fd, .events = POLLIN};
		struct frame f;
		int r;

		if (poll(&p, 1, 100) <= 0)
			continue;
		r = link_receive(&box.link);
		t->ended = r <= 0 && r != -EAGAIN;
		while ((r = link_next(&box.link, false, &f)) == 1) {
			t->frames += f.type != FRAME_STAGE; /* how far a start is may be told at any time */
			t->greeted = t->greeted || f.type == FRAME_HELLO;
			if (f.type == FRAME_STOPPED)
				CHECK(msg_get_stopped(&f, &t->stopped) == 0 && t->stopped.ms > 0);
			if (f.type == FRAME_ERR && f.stream == 0) {
				size_t n = f.len - MSG_ERR_BYTES;

				CHECK(f.len >= MSG_ERR_BYTES && n < sizeof(t->words));
				t->err = (struct msg_err){frame_get32(f.payload), frame_get32(f.payload + 4)};
				memcpy(t->words, f.payload + MSG_ERR_BYTES, n);
				t->words[n] = '\0';
			}
		}
		CHECK(r == 0);
	}
}

TEST(never_answers)
{
	struct told t;
	uint64_t at = now_us();

	begin("fake-silent", "300");
	listen_for(QUICK_MS, &t);
	CHECK(t.ended && !t.greeted && t.err.errnum == ETIMEDOUT && t.err.stage == MSG_STAGE_MACHINE);
	CHECK(now_us() - at >= 300000);
	CHECK(box_wait() == 0);
}

/* A port may hold bytes of before: up to HELLO, what is none is passed over; but not for ever. */
TEST(noise_before_hello)
{
	static const char *const hows[] = {"fake-noise", "fake-long", "fake-type", "fake-early"};

	for (size_t i = 0; i < ARRAY_SIZE(hows); i++) {
		struct told t;

		begin(hows[i], "400");
		listen_for(QUICK_MS, &t);
		CHECK(t.ended && t.frames == 1 && t.err.errnum == ETIMEDOUT && t.err.stage == MSG_STAGE_MACHINE);
		CHECK(box_wait() == 0);
	}
}

TEST(broken_frames)
{
	static const char *const hows[] = {"fake-hello-noise", "fake-hello-long", "fake-hello-type", "fake-twice",
					   "fake-exec",        "fake-unasked",    "fake-exit",       "fake-dialed",
					   "fake-data",        "fake-credit",     "fake-shutdown",   "fake-flood"};

	for (size_t i = 0; i < ARRAY_SIZE(hows); i++) {
		struct told t;

		begin(hows[i], "20000");
		listen_for(QUICK_MS, &t);
		printf("# %s: %d frames, errno %u, stage %u\n", hows[i], t.frames, t.err.errnum, t.err.stage);
		CHECK(t.ended && t.frames == 2 && t.greeted);
		CHECK(t.err.errnum == EPROTO && t.err.stage == MSG_STAGE_PROTOCOL);
		CHECK(box_wait() == 1);
	}
}

TEST(talks_on_and_on)
{
	struct told t;

	begin("fake-talk", "20000");
	listen_for(QUICK_MS, &t);
	CHECK(t.ended && t.err.errnum == EIO && t.err.stage == MSG_STAGE_MACHINE);
	CHECK(strstr(t.words, "ended with code 7: ") && strstr(t.words, "the last words"));
	CHECK(box_wait() == 0);
}

TEST(closes_its_port_and_stays)
{
	struct told t;

	begin("fake-closes", "20000");
	listen_for(QUICK_MS, &t);
	CHECK(t.ended && t.greeted);
	CHECK(t.err.errnum == EIO && strstr(t.words, "signal 9"));
	CHECK(box_wait() == 0);
}

/* Out of the machine into its process: what it starts ends with it. */
TEST(leaves_children)
{
	struct told t;

	begin("fake-children", "20000");
	listen_for(QUICK_MS, &t);
	CHECK(t.ended && t.err.errnum == EIO);
	CHECK(box_wait() == 0);
}

/* QEMU stops a machine whose disk's file has no room: nobody would go on. */
TEST(is_stopped_by_qemu)
{
	struct told t;

	begin("fake-full", "20000");
	listen_for(QUICK_MS, &t);
	CHECK(t.ended && t.greeted && t.err.errnum == ENOSPC && t.err.stage == MSG_STAGE_MACHINE);
	CHECK(strstr(t.words, "no space is left on this host"));
	CHECK(box_wait() == 0);
}

static void ask_to_end(void)
{
	uint8_t grace[MSG_NUMBER_BYTES];

	msg_put_number(grace, 10);
	CHECK(link_send(&box.link, 0, FRAME_SHUTDOWN, 0, grace, sizeof(grace), NULL, 0) == 0);
	CHECK(link_drain(&box.link, QUICK_MS) == 0);
}

/* Neither the machine does what it is asked, nor QEMU what its monitor is told. */
TEST(is_killed_and_that_is_told)
{
	struct told t;

	begin("fake-deaf", "20000");
	ask_to_end();
	listen_for(3 * QUICK_MS, &t);
	CHECK(t.ended && t.greeted && t.err.errnum == 0);
	CHECK(t.stopped.how == MSG_STOPPED_KILLED && t.stopped.ms >= 8000);
	CHECK(box_wait() == 0);
}

TEST(ends_by_itself_and_that_is_told)
{
	struct told t;

	begin("fake-leaves", "20000");
	ask_to_end();
	listen_for(QUICK_MS, &t);
	CHECK(t.ended && t.frames == 2 && t.stopped.how == MSG_STOPPED_ITSELF && t.stopped.ms < 6000);
	CHECK(box_wait() == 0);
}

TEST(supervisor_goes_first)
{
	begin("fake-silent", "20000");
	(void)poll(NULL, 0, 100);
	link_release(&box.link);
	CHECK(box_wait() == 0);
}

TEST_MAIN()
