/* The gateway engine between two network namespaces: sockets of the one, served from the other, whose servers echo. */
#include "enginenet.h"

#include "net/handoff.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t engine = -1;
static int control = -1;
static int broker = -1; /* our end: this test is the broker */

/* One process for each connection: sends back what comes until its end. */
static void echo_server(uint32_t address, uint16_t port)
{
	int l = bound(SOCK_STREAM, address, port);

	if (fork() != 0) {
		(void)close(l);
		return;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGCHLD, SIG_IGN);
	for (;;) {
		static char buf[65536];
		int fd = accept(l, NULL, NULL);
		ssize_t n;

		if (fork() == 0) {
			while ((n = read(fd, buf, sizeof(buf))) > 0)
				(void)fd_write_all(fd, buf, (size_t)n);
			_exit(0);
		}
		(void)close(fd);
	}
}

static int set_up(void)
{
	int r = enginenet_set_up("127.0.0.9 good.test other.test held.test\n127.0.0.10 loop.test\n");

	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN);
	echo_server(INADDR_LOOPBACK + 8, 80);
	echo_server(INADDR_LOOPBACK + 8, 443);
	echo_server(INADDR_LOOPBACK + 8, 7000);
	return 0;
}

static void entries(struct strv *policy, const char *extra)
{
	strv_add(policy, "good.test");
	strv_add(policy, "good.test:7000");
	strv_add(policy, "good.test:7001");
	strv_add(policy, "held.test:7000");
	strv_add(policy, "loop.test");
	strv_add(policy, "loop.test:7000");
	strv_add(policy, "127.0.0.9:80");
	strv_add(policy, "127.0.0.9:443");
	strv_add(policy, "127.0.0.9:7000");
	strv_add(policy, "127.0.0.9:7001");
	if (extra)
		strv_add(policy, extra);
}

static int start_engine(void)
{
	_cleanup_strv_ struct strv policy = STRV_INIT;
	_cleanup_strv_ struct strv held = STRV_INIT;
	struct engine_config config = {.sockets = ENGINE_SOCKETS_INIT, .base = BASE, .policy = &policy, .bound = &held};
	struct err *e = NULL;
	int pair[2];
	int r = handoff_pair(pair);

	if (r < 0)
		return r;
	/* Little room, so that connections have to wait for it. */
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &(int){8192}, sizeof(int));
	config.broker = pair[0];
	broker = pair[1];
	strv_add(&held, "held.test:7000");
	entries(&policy, NULL);
	config.sockets = enginenet_sockets(8);
	r = engine_start(&config, &engine, &control, &e);
	if (r < 0)
		printf("# %s\n", err_message(e));
	err_free(e);
	return r;
}

static int dial(uint32_t address, uint16_t port, int type)
{
	struct sockaddr_in a = at(address, port);
	struct timeval limit = {.tv_sec = 3};
	int fd;

	(void)setns(gateway_ns, CLONE_NEWNET);
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	(void)setns(host_ns, CLONE_NEWNET);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return close_fd(fd);
	return fd;
}

/* The address the engine's DNS gives for a name; 0: none. */
static uint32_t ask(const char *name)
{
	uint8_t q[300];
	uint8_t a[1500];
	_cleanup_close_ int fd = dial(INADDR_LOOPBACK, DNS_PORT, SOCK_DGRAM);
	size_t n = dns_question(name, q);
	ssize_t got;
	uint32_t v;

	if (send(fd, q, n, 0) < 0 || (got = recv(fd, a, sizeof(a), 0)) < 16 || a[7] == 0)
		return 0;
	memcpy(&v, a + got - 4, 4);
	return ntohl(v);
}

static bool event_is(enum engine_reason reason, const char *host)
{
	struct pollfd p = {.fd = control, .events = POLLIN};
	struct engine_event ev;

	if (poll(&p, 1, 3000) <= 0 || engine_event(control, &ev) != 1)
		return false;
	printf("# event: %s %s:%u %s\n", engine_reason_name(ev.reason), ev.host, ev.port, ev.detail);
	return ev.reason == (uint32_t)reason && strcmp(ev.host, host) == 0;
}

/* What comes back, or NULL. */
static const char *exchange(int fd, const void *bytes, size_t n)
{
	static char back[4096];
	size_t have = 0;

	if (fd_write_all(fd, bytes, n) < 0)
		return NULL;
	while (have < n) {
		ssize_t k = read(fd, back + have, sizeof(back) - 1 - have);

		if (k <= 0)
			return NULL;
		have += (size_t)k;
	}
	back[have] = '\0';
	return back;
}

TEST(starts)
{
	CHECK(set_up() == 0);
	CHECK(start_engine() == 0);
}

TEST(names)
{
	CHECK((ask("good.test") & 0xfffe0000) == BASE);
	CHECK(ask("bad.test") == 0);
	CHECK(event_is(ENGINE_DENIED_NAME, "bad.test"));
}

TEST(raw_and_half_close)
{
	_cleanup_close_ int fd = dial(ask("good.test"), 7000, SOCK_STREAM);
	char end;

	CHECK_STR(exchange(fd, "hello", 5), "hello");
	CHECK(shutdown(fd, SHUT_WR) == 0);
	CHECK(read(fd, &end, 1) == 0);
}

TEST(large)
{
	enum { TOTAL = 64 << 20 };
	_cleanup_close_ int fd = dial(ask("good.test"), 7000, SOCK_STREAM);
	static uint32_t block[16384];
	uint32_t next = 0;
	size_t got = 0;
	pid_t writer = fork();

	if (writer == 0) {
		for (uint32_t i = 0; i < TOTAL / 4; i += 16384) {
			for (uint32_t j = 0; j < 16384; j++)
				block[j] = (i + j) * 2654435761U;
			if (fd_write_all(fd, block, sizeof(block)) < 0)
				_exit(1);
		}
		(void)shutdown(fd, SHUT_WR);
		_exit(0);
	}
	for (;;) {
		ssize_t n = recv(fd, block, sizeof(block), MSG_WAITALL);

		if (n <= 0)
			break;
		got += (size_t)n;
		for (size_t j = 0; j < (size_t)n / 4; j++)
			CHECK(block[j] == next++ * 2654435761U);
	}
	CHECK(got == TOTAL);
	CHECK(waitpid(writer, NULL, 0) == writer);
}

TEST(tls)
{
	uint8_t hello[256];
	size_t n = client_hello("good.test", hello);
	_cleanup_close_ int good = dial(ask("good.test"), 443, SOCK_STREAM);
	_cleanup_close_ int bad = dial(ask("good.test"), 443, SOCK_STREAM);
	_cleanup_close_ int raw = dial(ask("good.test"), 7000, SOCK_STREAM);

	CHECK(exchange(good, hello, n));
	n = client_hello("other.test", hello);
	CHECK(!exchange(bad, hello, n));
	CHECK(event_is(ENGINE_DENIED_TLS_NAME, "good.test"));
	CHECK(!exchange(raw, hello, n));
	CHECK(event_is(ENGINE_DENIED_TLS_NAME, "good.test"));
}

TEST(http)
{
	static const char good[] = "GET / HTTP/1.1\r\nHost: good.test\r\n\r\n";
	static const char bad[] = "GET / HTTP/1.1\r\nHost: other.test\r\n\r\n";
	_cleanup_close_ int fd = dial(ask("good.test"), 80, SOCK_STREAM);

	CHECK_STR(exchange(fd, good, strlen(good)), good);
	CHECK_STR(exchange(fd, good, strlen(good)), good);
	CHECK(!exchange(fd, bad, strlen(bad)));
	CHECK(event_is(ENGINE_DENIED_HTTP_HOST, "good.test"));
}

TEST(denied)
{
	_cleanup_close_ int address = dial(ask("loop.test"), 7000, SOCK_STREAM);
	_cleanup_close_ int literal = -1;
	_cleanup_close_ int port = -1;
	_cleanup_close_ int refused = -1;

	CHECK(!exchange(address, "x", 1));
	CHECK(event_is(ENGINE_DENIED_ADDRESS, "loop.test"));
	literal = dial(0x7f000037, 7000, SOCK_STREAM);
	CHECK(literal < 0 || !exchange(literal, "x", 1));
	CHECK(event_is(ENGINE_DENIED_LITERAL, "127.0.0.55"));
	port = dial(ask("loop.test"), 7001, SOCK_STREAM);
	CHECK(port < 0 || !exchange(port, "x", 1));
	CHECK(event_is(ENGINE_DENIED_PORT, "loop.test"));
	refused = dial(ask("good.test"), 7001, SOCK_STREAM);
	CHECK(refused < 0 || !exchange(refused, "x", 1));
	CHECK(event_is(ENGINE_FAILED, "good.test"));
}

static size_t memory_kib(void)
{
	_cleanup_str_ struct str text = STR_INIT;
	char path[64];
	_cleanup_close_ int fd = -1;
	const char *p;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)engine);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	(void)fd_read_all(fd, 65536, &text, NULL);
	p = strstr(str_text(&text), "VmRSS:");
	return p ? strtoul(p + 6, NULL, 10) : 0;
}

TEST(idle_memory)
{
	enum { MANY = 400 };
	int fds[MANY];
	uint32_t to = ask("good.test");
	size_t before = memory_kib();
	size_t after;

	for (int i = 0; i < MANY; i++) {
		fds[i] = dial(to, 7000, SOCK_STREAM);
		CHECK(fds[i] >= 0 && exchange(fds[i], "x", 1));
	}
	after = memory_kib();
	printf("# %d idle connections: %zu KiB, before %zu KiB\n", MANY, after, before);
	for (int i = 0; i < MANY; i++)
		(void)close(fds[i]);
	CHECK(after < before + 256);
}

/* Takes what the engine hands over, and answers nothing. */
static bool take_handoff(struct handoff *ret, int fds[2])
{
	static uint8_t bytes[HANDOFF_BYTES_MAX];
	const struct timeval limit = {.tv_sec = 3};
	struct pollfd p = {.fd = broker, .events = POLLIN};
	size_t n = 0;

	if (poll(&p, 1, 3000) != 1 || handoff_receive(broker, ret, bytes, &n, &fds[0], &fds[1]) != 1 || n < 40)
		return false;
	for (int i = 0; i < 2; i++) {
		(void)fd_set_nonblock(fds[i], false);
		(void)setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	}
	return bytes[0] == 0x16;
}

static bool has_ended(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 0 || errno == ECONNRESET;
}

static bool tell(const struct handoff_end *end)
{
	struct pollfd p = {.fd = broker, .events = POLLOUT};
	int r;

	while ((r = handoff_send_end(broker, end)) == -EAGAIN && poll(&p, 1, 3000) == 1)
		;
	return r == 0;
}

TEST(handed_over)
{
	enum { MANY = 300 };
	static const struct handoff_end nonsense = {.id = {.index = 1 << 30}, .reason = 99};
	uint32_t to = ask("held.test");
	struct handoff first = {.port = 0};
	int held[2], clients[MANY];
	uint8_t hello[256];
	size_t n = client_hello("held.test", hello);
	struct handoff_end end;

	/* More at once than there is room for. */
	for (int i = 0; i < MANY; i++) {
		clients[i] = dial(to, 7000, SOCK_STREAM);
		CHECK(clients[i] >= 0 && fd_write_all(clients[i], hello, n) == 0);
	}
	for (int i = 0; i < MANY; i++) {
		struct handoff h;
		int fds[2];

		CHECK(take_handoff(&h, fds) && h.port == 7000 && strcmp(h.host, "held.test") == 0);
		if (i > 0) {
			(void)close(fds[0]);
			(void)close(fds[1]);
			end = (struct handoff_end){.id = h.id};
			CHECK(tell(&end));
			continue;
		}
		first = h;
		memcpy(held, fds, sizeof(held));
	}
	/* What was handed over works between its holder and the server; the engine reads nothing of it. */
	CHECK_STR(exchange(held[1], "to the host", 11), "to the host");
	CHECK(tell(&nonsense));
	end = (struct handoff_end){.id = {.index = first.id.index, .serial = first.id.serial + 1000}};
	CHECK(tell(&end));
	CHECK_STR(exchange(held[1], "still", 5), "still");
	/* The end of it is told to the supervisor. */
	end = (struct handoff_end){
		.id = first.id, .reason = ENGINE_DENIED_CERTIFICATE, .detail = "no good certificate"};
	CHECK(tell(&end));
	CHECK(event_is(ENGINE_DENIED_CERTIFICATE, "held.test"));
	(void)close(held[0]);
	(void)close(held[1]);
	for (int i = 0; i < MANY; i++) {
		CHECK(has_ended(clients[i]));
		(void)close(clients[i]);
	}
}

TEST(handed_over_needs_tls)
{
	_cleanup_close_ int fd = dial(ask("held.test"), 7000, SOCK_STREAM);

	CHECK(!exchange(fd, "hello", 5));
	CHECK(event_is(ENGINE_DENIED_TLS_NONE, "held.test"));
}

TEST(handed_over_and_denied)
{
	_cleanup_strv_ struct strv policy = STRV_INIT;
	_cleanup_strv_ struct strv without = STRV_INIT;
	uint8_t hello[256];
	size_t n = client_hello("held.test", hello);
	int held[2] = {-1, -1};
	struct handoff h;
	int fd = dial(ask("held.test"), 7000, SOCK_STREAM);

	entries(&policy, NULL);
	for (size_t i = 0; i < policy.n; i++)
		if (strcmp(policy.v[i], "held.test:7000") != 0)
			strv_add(&without, policy.v[i]);
	CHECK(fd_write_all(fd, hello, n) == 0 && take_handoff(&h, held));
	CHECK(engine_set_policy(control, &without, NULL) == 0);
	/* Whoever holds copies of them. */
	CHECK(has_ended(held[0]) && has_ended(held[1]) && has_ended(fd));
	(void)close(held[0]);
	(void)close(held[1]);
	(void)close(fd);
	CHECK(engine_set_policy(control, &policy, NULL) == 0);
}

TEST(the_broker_ends)
{
	uint8_t hello[256];
	size_t n = client_hello("held.test", hello);
	int held[2] = {-1, -1};
	struct handoff h;
	int fd = dial(ask("held.test"), 7000, SOCK_STREAM);
	_cleanup_close_ int other = -1;

	CHECK(fd_write_all(fd, hello, n) == 0 && take_handoff(&h, held));
	(void)close(broker);
	CHECK(has_ended(fd) && has_ended(held[1]));
	CHECK(event_is(ENGINE_FAILED, "held.test"));
	(void)close(held[0]);
	(void)close(held[1]);
	(void)close(fd);
	fd = dial(ask("held.test"), 7000, SOCK_STREAM);
	CHECK(!exchange(fd, hello, n));
	(void)close(fd);
	other = dial(ask("good.test"), 7000, SOCK_STREAM);
	CHECK_STR(exchange(other, "hello", 5), "hello");
}

TEST(policy_replaced)
{
	_cleanup_strv_ struct strv policy = STRV_INIT;
	_cleanup_close_ int fd = dial(ask("good.test"), 7000, SOCK_STREAM);
	char end;

	CHECK(exchange(fd, "x", 1));
	entries(&policy, "new.test");
	CHECK(engine_set_policy(control, &policy, NULL) == 0);
	CHECK(ask("new.test") != 0);
	CHECK(exchange(fd, "x", 1));
	strv_release(&policy);
	for (int i = 0; i < 4000; i++)
		strv_addf(&policy, "*.a-rather-long-name-so-that-it-takes-many-messages-%d.test", i);
	CHECK(engine_set_policy(control, &policy, NULL) == 0);
	CHECK(read(fd, &end, 1) < 0 && errno == ECONNRESET);
}

TEST(asked_after_its_end)
{
	_cleanup_strv_ struct strv policy = STRV_INIT;
	int pair[2];

	/* Whether the end came before the message or after it. */
	strv_add(&policy, "good.test");
	for (int told = 0; told < 2; told++) {
		pid_t pid;

		CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
		pid = fork();
		if (pid == 0) {
			struct pollfd p = {.fd = pair[1], .events = POLLIN};

			(void)close(pair[0]);
			_exit(told && poll(&p, 1, 5000) < 0);
		}
		CHECK(pid > 0);
		(void)close(pair[1]);
		CHECK(told || waitpid(pid, NULL, 0) == pid);
		CHECK(engine_set_policy(pair[0], &policy, NULL) == -ENETDOWN);
		CHECK(!told || waitpid(pid, NULL, 0) == pid);
		(void)close(pair[0]);
	}
}

TEST(ends_with_its_supervisor)
{
	control = close_fd(control);
	CHECK(waitpid(engine, NULL, 0) == engine);
}

TEST_MAIN()
