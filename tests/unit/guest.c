/* The guest, as PID 1 of a PID namespace: what it promises in wire/frame.h and guest/main.c. */
#ifdef BRIDGED
/* All of it once more with bridges between: the guest is none the wiser, and hardly the host. */
#include "bridge_between.h"

__attribute__((constructor)) static void use_bridges(void)
{
	box_between = bridge_between;
}
#else
#include "guest_box.h"

static void bridges_wait(void)
{
}
#endif

/* With bridges it is one of those that finds fault; the guest may see no more than the end of its connection. */
static bool is_broken_end(int code)
{
	return code == 1 || (box_between && code == 0);
}

#include <netinet/in.h>
#include <sys/stat.h>

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

TEST(hello)
{
	struct msg_hello first;
	uint64_t us[31];

	for (size_t i = 0; i < ARRAY_SIZE(us); i++) {
		first = box.hello;
		box_open();
		us[i] = box.hello_us;
		CHECK(box.hello.caps & MSG_CAP_FDS);
		CHECK(memcmp(first.nonce, box.hello.nonce, MSG_NONCE) != 0);
	}
	qsort(us, ARRAY_SIZE(us), sizeof(us[0]), compare);
	printf("# from clone to HELLO: median %llu us, best %llu us; guest %zu bytes\n",
	       (unsigned long long)us[ARRAY_SIZE(us) / 2], (unsigned long long)us[0], guest_image_size);
}

TEST(exit_codes_and_signals)
{
	box_open();
	exec_with(1, 0, SH("exit 0"), NULL);
	exec_with(2, 0, SH("exit 255"), NULL);
	exec_with(3, 0, SH("kill -9 $$"), NULL);
	exec_with(4, 0, SH("kill -TERM $$"), NULL);
	CHECK(end_of(1) == 0 && box.s[1].pid > 1);
	CHECK(end_of(2) == 255 && end_of(3) == 1009 && end_of(4) == 1015);
	/* The number is free again. */
	box.s[1] = (struct stream){.master = -1};
	exec_with(1, 0, SH("exit 9"), NULL);
	CHECK(end_of(1) == 9);
	CHECK(link_send(&box.link, 0, FRAME_PING, 0, "12345678", 8, NULL, 0) == 0);
	PUMP_UNTIL(box.pongs == 1);
}

static void make_file(const char *path, const char *text, mode_t mode)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0 && fchmod(fd, mode) == 0);
}

static int run_in(uint32_t stream, const char *cwd, char *const *argv, const char *path)
{
	struct exec x = {.cwd = cwd, .argv = argv, .env = V("X=1", path)};

	CHECK(exec_send(&box.link, stream, &x, NULL) == 0);
	return end_of(stream);
}

TEST(not_found_and_not_executable)
{
	char dir[] = "/tmp/igloo-guest-XXXXXX";
	_cleanup_free_ char *denied = NULL, *script = NULL, *path = NULL;
	uint32_t s = 1;

	CHECK(mkdtemp(dir) && chmod(dir, 0755) == 0);
	denied = xasprintf("%s/denied", dir);
	script = xasprintf("%s/igloo-script", dir);
	path = xasprintf("PATH=/nowhere:%s:/bin", dir);
	make_file(denied, "", 0644);
	make_file(script, "exit $(($# + 40))\n", 0755);
	box_open();
	CHECK(run_in(s++, "/", V("no-such-command"), path) == -ENOENT);
	CHECK(box.s[s - 1].err.stage == MSG_STAGE_EXEC);
	CHECK(run_in(s++, "/", V("/no/such/command"), path) == -ENOENT);
	CHECK(run_in(s++, "/", V(""), path) == -ENOENT);
	CHECK(run_in(s++, "/", V("denied"), path) == -EACCES);
	CHECK(run_in(s++, "/", V(denied), path) == -EACCES);
	CHECK(run_in(s++, "/", V(dir), path) == -EACCES);
	CHECK(run_in(s++, "/", V("igloo-script", "a", "b"), path) == 42);
	CHECK(run_in(s++, dir, V("./igloo-script", "a"), path) == 41);
	CHECK(run_in(s++, dir, V("igloo-script"), "PATH=:/bin") == 40);
	CHECK(run_in(s++, dir, V("igloo-script"), "PATH=/bin") == -ENOENT);
	CHECK(run_in(s++, "/", V("true"), "NOPATH=") == 0);
	CHECK(run_in(s++, "/no/such/folder", V("true"), path) == -ENOENT);
	CHECK(box.s[s - 1].err.stage == MSG_STAGE_CHDIR);
	CHECK(run_in(s++, denied, V("true"), path) == -ENOTDIR);
	(void)unlink(denied);
	(void)unlink(script);
	(void)rmdir(dir);
}

TEST(large_environment)
{
	_cleanup_strv_ struct strv env = STRV_INIT;
	struct exec x = {.cwd = "/"};
	uint32_t s = 1;

	for (char c = 'A'; c <= 'C'; c++)
		strv_addf(&env, "%c=%0*d", c, 100 * 1024, 7);
	strv_add(&env, "PATH=/usr/bin:/bin");
	box_open();
	x.env = env.v;
	x.argv = SH("test ${#A}${#B}${#C} = 102400102400102400 && exit 5");
	CHECK(exec_send(&box.link, s, &x, NULL) == 0);
	CHECK(end_of(s++) == 5);
	/* More than execve takes. */
	for (int i = 0; i < 60; i++)
		strv_addf(&env, "X%d=%0*d", i, 100 * 1024, 7);
	x.env = env.v;
	CHECK(exec_send(&box.link, s, &x, NULL) == 0);
	CHECK(end_of(s) == -E2BIG);
}

TEST(descriptors)
{
	int in[2], out[2], err[2], fds[3];
	const char *text;

	box_open();
	CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
	fds[0] = in[0];
	fds[1] = out[1];
	fds[2] = err[1];
	exec_with(1, EXEC_HAS_FDS, SH("cat; echo bad >&2; exit 6"), fds);
	CHECK(write(in[1], "hello\n", 6) == 6);
	(void)close(in[1]);
	CHECK_STR(slurp(out[0], false), "hello\n");
	CHECK_STR(slurp(err[0], false), "bad\n");
	CHECK(end_of(1) == 6);
	/* ls has one more open than it was given. */
	CHECK_STR(slurp(exec_piped(2, 0, V("ls", "/proc/self/fd")), false), "0\n1\n2\n3\n");
	exec_with(3, 0, SH("test ! -t 0 && ! read x && echo lost && echo lost >&2"), NULL);
	CHECK(end_of(3) == 0);
	text = slurp(exec_piped(4, 0, SH("umask; pwd; grep -E '^Sig(Blk|Ign)' /proc/self/status")), false);
	CHECK_STR(text, "0022\n/tmp\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST(user)
{
	struct exec x = {.uid = 1000, .gid = 1001, .cwd = "/", .argv = SH("test $(id -u).$(id -G) = 1000.1001")};

	box_open();
	x.env = V("PATH=/usr/bin:/bin");
	CHECK(exec_send(&box.link, 1, &x, NULL) == 0);
	if (geteuid() == 0)
		CHECK(end_of(1) == 0);
	else
		CHECK(end_of(1) == -EINVAL && box.s[1].err.stage == MSG_STAGE_USER);
	x.uid = x.gid = 70000;
	CHECK(exec_send(&box.link, 2, &x, NULL) == 0);
	CHECK(end_of(2) == -EINVAL && box.s[2].err.stage == MSG_STAGE_USER);
}

TEST(terminal)
{
	const char ctrl_c = 3;

	box_open();
	exec_with(1, EXEC_PTY, SH("test -t 0 && test -t 1 && test -t 2 && : </dev/tty && stty size"), NULL);
	PUMP_UNTIL(box.s[1].master >= 0);
	CHECK_STR(slurp(box.s[1].master, false), "37 91\r\n");
	box.s[1].master = -1;
	CHECK(end_of(1) == 0);
	/* The foreground process group gets what is typed. */
	exec_with(2, EXEC_PTY, SH("echo ready; exec sleep 1000"), NULL);
	PUMP_UNTIL(box.s[2].master >= 0);
	CHECK_STR(slurp(box.s[2].master, true), "ready\r\n");
	CHECK(write(box.s[2].master, &ctrl_c, 1) == 1);
	CHECK(end_of(2) == 1002);
	/* A closed master hangs up. */
	exec_with(3, EXEC_PTY, V("sleep", "1000"), NULL);
	PUMP_UNTIL(box.s[3].master >= 0);
	box.s[3].master = close_fd(box.s[3].master);
	CHECK(end_of(3) == 1001);
	exec_with(4, EXEC_PTY, V("no-such-command"), NULL);
	CHECK(end_of(4) == -ENOENT && box.s[4].master < 0);
}

TEST(foreground)
{
	_cleanup_free_ char *want = NULL;
	const char *text;
	int fd;

	box_open();
	want = xasprintf(" %d %d ", (int)getpgid(box.pid), (int)getsid(box.pid));
	text = slurp(exec_piped(1, EXEC_FOREGROUND, V("cat", "/proc/self/stat")), false);
	CHECK(strstr(text, want));
	text = slurp(exec_piped(2, 0, V("cat", "/proc/self/stat")), false);
	CHECK(!strstr(text, want));
	CHECK(end_of(1) == 0 && end_of(2) == 0);
	/* The signal reaches the one process and not its group, which is the host's too. */
	fd = exec_piped(3, EXEC_FOREGROUND, SH("sleep 1000 & echo $!; wait"));
	(void)slurp(fd, true);
	send_number(3, FRAME_SIGNAL, SIGTERM);
	CHECK(end_of(3) == 1015);
	CHECK(guest_children() == 1);
	(void)close(fd);
}

TEST(signal_reaches_the_group)
{
	int fd;

	box_open();
	fd = exec_piped(1, 0, SH("sleep 1000 & echo ready; wait"));
	CHECK_STR(slurp(fd, true), "ready\n");
	send_number(1, FRAME_SIGNAL, SIGTERM);
	CHECK(end_of(1) == 1015);
	CHECK_STR(slurp(fd, false), "");
	send_number(1, FRAME_SIGNAL, SIGTERM); /* too late, and no error */
	/* Before execve. */
	exec_with(2, 0, V("sleep", "1000"), NULL);
	send_number(2, FRAME_SIGNAL, SIGINT);
	CHECK(end_of(2) == 1002);
}

TEST(many_at_once)
{
	static char number[STREAMS][8];

	box_open();
	for (uint32_t i = 1; i <= 200; i++) {
		struct exec x = {.cwd = "/", .env = V("PATH=/bin")};

		(void)snprintf(number[i], sizeof(number[i]), "%u", i);
		x.argv = V("sh", "-c", "sleep 0.3; exit $1", "sh", number[i]);
		CHECK(exec_send(&box.link, i, &x, NULL) == 0);
	}
	for (uint32_t i = 1; i <= 200; i++)
		CHECK(end_of(i) == (int)i);
	CHECK(guest_children() == 0);
}

TEST(many_with_descriptors)
{
	int p[2];

	box_open();
	CHECK(pipe2(p, O_CLOEXEC) == 0);
	for (uint32_t i = 1; i <= 100; i++) {
		int fds[3];

		for (int k = 0; k < 3; k++)
			fds[k] = fcntl(p[1], F_DUPFD_CLOEXEC, 0);
		exec_with(i, EXEC_HAS_FDS, V("echo", "x"), fds);
	}
	(void)close(p[1]);
	CHECK(strlen(slurp(p[0], false)) == 200);
	for (uint32_t i = 1; i <= 100; i++)
		CHECK(end_of(i) == 0);
}

TEST(orphans_are_reaped)
{
	uint64_t end = now_us() + PATIENCE_MS * 1000;

	box_open();
	exec_with(1, 0, SH("for i in 1 2 3 4 5 6 7 8 9 10; do (sleep 0.2 & sleep 0.01 &) done; exit 3"), NULL);
	CHECK(end_of(1) == 3);
	while (guest_children() > 0 && now_us() < end)
		pump(20);
	CHECK(guest_children() == 0 && !box.gone);
}

TEST(main_takes_everything_along)
{
	box_open();
	exec_with(1, 0, SH("trap '' TERM HUP; sleep 1000"), NULL);
	PUMP_UNTIL(box.s[1].pid > 0);
	exec_with(2, EXEC_MAIN, SH("for i in 1 2 3 4 5; do setsid sleep 1000 & done; sleep 0.1; exit 7"), NULL);
	CHECK(end_of(2) == 7);
	CHECK(box.s[1].over && end_of(1) == 1009);
	CHECK(guest_children() == 0);
	/* And nothing comes after it. */
	exec_with(3, 0, V("true"), NULL);
	CHECK(end_of(3) == -ESHUTDOWN && box.s[3].err.stage == MSG_STAGE_START);
}

TEST(main_against_what_keeps_forking)
{
	box_open();
	for (uint32_t i = 1; i <= 3; i++)
		exec_with(i, 0, SH("trap '' TERM; while :; do (: & (: &) &) & done"), NULL);
	exec_with(4, EXEC_MAIN, SH("sleep 0.2; exit 8"), NULL);
	CHECK(end_of(4) == 8);
	CHECK(guest_children() == 0);
	for (uint32_t i = 1; i <= 3; i++)
		CHECK(end_of(i) == 1009);
}

TEST(main_that_cannot_start)
{
	box_open();
	exec_with(1, EXEC_MAIN, V("no-such-command"), NULL);
	CHECK(end_of(1) == -ENOENT);
	exec_with(2, EXEC_MAIN, V("true"), NULL);
	CHECK(end_of(2) == 0);
}

TEST(shutdown_waits_and_kills)
{
	uint64_t begin;
	int fd;

	box_open();
	fd = exec_piped(1, 0, SH("trap '' TERM; echo ready; while :; do sleep 1; done"));
	CHECK_STR(slurp(fd, true), "ready\n");
	begin = now_us();
	send_number(0, FRAME_SHUTDOWN, 400);
	exec_with(2, 0, V("true"), NULL);
	PUMP_UNTIL(box.gone);
	CHECK(now_us() - begin >= 400000 && now_us() - begin < 20000000);
	CHECK(end_of(1) == 1009 && end_of(2) == -ESHUTDOWN);
	CHECK(box_wait() == 0);
	(void)close(fd);
}

TEST(shutdown_does_not_wait_for_nothing)
{
	uint64_t begin;
	int fd;

	box_open();
	/* Stopped processes are woken up to hear it. */
	fd = exec_piped(1, 0, SH("trap 'exit 4' TERM; echo ready; kill -STOP $$; while :; do sleep 0.05; done"));
	CHECK_STR(slurp(fd, true), "ready\n");
	begin = now_us();
	send_number(0, FRAME_SHUTDOWN, 60000);
	PUMP_UNTIL(box.gone);
	CHECK(now_us() - begin < 20000000);
	CHECK(end_of(1) == 4 && box_wait() == 0);
	(void)close(fd);
	box_open();
	send_number(0, FRAME_SHUTDOWN, 60000);
	PUMP_UNTIL(box.gone);
	CHECK(box_wait() == 0);
}

/* A box with something that ends only by force, which holds the pipe. */
static int open_stubborn(void)
{
	int fd;

	box_open();
	fd = exec_piped(1, 0, SH("trap '' TERM HUP INT; setsid sleep 1000 & echo ready; sleep 1000"));
	CHECK_STR(slurp(fd, true), "ready\n");
	PUMP_UNTIL(box.s[1].pid > 0);
	return fd;
}

TEST(end_of_the_connection_kills)
{
	int fd = open_stubborn();

	link_release(&box.link);
	CHECK_STR(slurp(fd, false), "");
	CHECK(box_wait() == 0);
}

TEST(death_of_the_guest_kills)
{
	int fd = open_stubborn();

	CHECK(kill(box.pid, SIGKILL) == 0);
	CHECK_STR(slurp(fd, false), "");
	CHECK(box_wait() == 1009);
}

static void check_protocol_error(int fd)
{
	PUMP_UNTIL(box.gone);
	CHECK(box.s[0].err.stage == MSG_STAGE_PROTOCOL && box.s[0].err.errnum == EPROTO);
	CHECK_STR(slurp(fd, false), "");
	CHECK(is_broken_end(box_wait()));
}

TEST(garbage)
{
	static const char *const bad[] = {"GET / HTTP/1.0\r\n\r\n", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd = open_stubborn();

		CHECK(fd_write_all(box.link.fd, bad[i], strlen(bad[i])) == 0);
		check_protocol_error(fd);
	}
}

TEST(frames_that_are_not_legal)
{
	uint8_t h[FRAME_HEADER + 8] = {0};
	struct exec x = {.flags = EXEC_HAS_FDS, .cwd = "/", .argv = V("true")};
	int fd = open_stubborn(), fds[3];

	/* A stream that is in use. */
	exec_with(1, 0, V("true"), NULL);
	check_protocol_error(fd);
	/* A guest's own frame. */
	fd = open_stubborn();
	send_number(1, FRAME_STARTED, 5);
	check_protocol_error(fd);
	/* Descriptors with a frame that takes none. */
	fd = open_stubborn();
	frame_put_header(h, 0, FRAME_PING, 0, 8);
	CHECK(fd_send(box.link.fd, h, sizeof(h), &fd, 1) == 0);
	check_protocol_error(fd);
	/* An EXEC that says it has descriptors, and has two. */
	fd = open_stubborn();
	for (int i = 0; i < 3; i++)
		fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	CHECK(exec_send(&box.link, 2, &x, fds) == 0);
	(void)close(fds[2]);
	box.link.out_fds[0].n = 2;
	check_protocol_error(fd);
}

TEST(a_host_that_does_not_read)
{
	static const char ping[] = "12345678";
	int fd = open_stubborn();
	int r = 0;

	for (int i = 0; i < 1000000 && r == 0; i++) {
		uint8_t h[FRAME_HEADER + 8];

		frame_put_header(h, 0, FRAME_PING, 0, 8);
		memcpy(h + FRAME_HEADER, ping, 8);
		r = fd_send(box.link.fd, h, sizeof(h), NULL, 0);
	}
	CHECK(r == -EPIPE || r == -ECONNRESET);
	CHECK_STR(slurp(fd, false), "");
	CHECK(is_broken_end(box_wait()));
}

/* A listener on the loopback, which this guest shares with the test; *ret_port is any free one. */
static int listener(int family, int backlog, uint16_t *ret_port)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sockaddr *a = family == AF_INET6 ? (struct sockaddr *)&a6 : (struct sockaddr *)&a4;
	socklen_t n = family == AF_INET6 ? sizeof(a6) : sizeof(a4);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, a, n) < 0 || listen(fd, backlog) < 0 || getsockname(fd, a, &n) < 0)
		return close_fd(fd);
	*ret_port = ntohs(family == AF_INET6 ? a6.sin6_port : a4.sin_port);
	return fd;
}

static void dial(uint32_t stream, uint16_t port)
{
	uint8_t p[2];

	frame_put16(p, port);
	CHECK(link_send(&box.link, stream, FRAME_DIAL, 0, p, sizeof(p), NULL, 0) == 0);
}

static void dials(int family)
{
	uint16_t port = 0;
	int l = listener(family, 16, &port);
	int fd;
	char c = 'a';

	if (l < 0) {
		printf("# no address family %d here\n", family);
		return;
	}
	dial(1, port);
	PUMP_UNTIL(box.s[1].over);
	CHECK(box.s[1].err.stage == 0 && box.s[1].master >= 0);
	fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	CHECK(fd >= 0 && write(box.s[1].master, "x", 1) == 1 && read(fd, &c, 1) == 1 && c == 'x');
	CHECK(fcntl(box.s[1].master, F_GETFL) & O_NONBLOCK);
	(void)close(fd);
	(void)close(l);
	box.s[1].master = close_fd(box.s[1].master);
	box.s[1] = (struct stream){.master = -1};
	/* The number is free again, and nobody is there. */
	dial(1, port);
	CHECK(end_of(1) == -ECONNREFUSED && box.s[1].err.stage == MSG_STAGE_DIAL);
	box.s[1] = (struct stream){.master = -1};
}

TEST(dials)
{
	box_open();
	dials(AF_INET);
	dials(AF_INET6);
	exec_with(2, 0, SH("exit 3"), NULL);
	CHECK(end_of(2) == 3);
}

/* Only a machine's guest has a socket for the SSH agent. */
TEST(accept_without_a_socket)
{
	box_open();
	/* A bridge's host has no ACCEPT of its own (bridgeaccept.c). */
	if (box_between)
		return;
	CHECK(link_send(&box.link, 1, FRAME_ACCEPT, 0, NULL, 0, NULL, 0) == 0);
	CHECK(end_of(1) == -EOPNOTSUPP && box.s[1].err.stage == MSG_STAGE_DIAL);
	exec_with(2, 0, SH("exit 3"), NULL);
	CHECK(end_of(2) == 3);
}

/* A server that does not accept: what waits is bounded, and nothing else waits for it. */
TEST(dials_that_wait)
{
	uint16_t port = 0;
	int l = listener(AF_INET, 0, &port);
	int refused = 0;

	CHECK(l >= 0);
	box_open();
	for (uint32_t s = 1; s <= 80; s++)
		dial(s, port);
	exec_with(100, 0, SH("exit 4"), NULL);
	CHECK(end_of(100) == 4);
	for (uint32_t s = 1; s <= 80; s++)
		refused += box.s[s].err.stage == MSG_STAGE_DIAL && box.s[s].err.errnum == EAGAIN;
	CHECK(refused > 0 && refused <= 80 - 64);
	/* They end with the box. */
	send_number(0, FRAME_SHUTDOWN, 1000);
	PUMP_UNTIL(box.gone);
	CHECK(box_wait() == 0);
	(void)close(l);
}

TEST(dials_that_are_wrong)
{
	box_open();
	dial(1, 0);
	while (!box.gone)
		pump(100);
	CHECK(is_broken_end(box_wait()));
}

TEST(only_as_init)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
		(void)syscall(SYS_execveat, guest_memfd(), "", V("igloo-guest", "0"), V("A=b"), AT_EMPTY_PATH);
		_exit(99);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 125);
}

TEST(end)
{
	box_kill();
	bridges_wait();
	CHECK(waitpid(-1, NULL, 0) < 0 && errno == ECHILD);
}

#define main run_tests
int run_tests(void);
TEST_MAIN()
#undef main

int main(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWUSER | CLONE_NEWPID, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	if (pid < 0) {
		printf("1..0 # SKIP new user namespaces: %s\n", strerror(errno));
		return 0;
	}
	(void)waitpid(pid, NULL, 0);
	(void)alarm(120);
	return run_tests();
}
