/* The engine under load: floods, resets half-way, slow readers, large transfers, garbage, and a policy that changes all
 * the time; then it must still work, hold nothing, and end.
 *
 * In a build with sanitizers meson.build puts __wrap_confine_close() and __wrap_engine_serve() in the place of the real
 * ones, in this program alone: what is shut in can neither write a report nor look for leaks. Other builds load the
 * real one. */
#include "loadserver.h"

#include "base/mem.h"
#include "net/pipes.h"
#include "test.h"

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

enum { CLIENTS = 6, SPARE = 16, KEPT = 2 * (PIPES_KEPT_MAX + PIPES_LARGE_MAX) };

static char reports[] = "/tmp/engineload-XXXXXX";
static pid_t engine = -1;
static int control = -1;
static pid_t servers = -1;
static uint64_t *begun; /* connections, of all clients; which share it */

#ifdef WRAPPED
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

struct engine;
struct confine;
void __real_engine_serve(struct engine *g);
void __wrap_engine_serve(struct engine *g);
int __wrap_confine_close(const struct confine *c, struct err **e);

int __wrap_confine_close(const struct confine *c ATTR_UNUSED, struct err **e ATTR_UNUSED)
{
	char path[sizeof(reports) + 16];

	(void)snprintf(path, sizeof(path), "%s/report", reports);
	__sanitizer_set_report_path(path);
	return 0;
}

/* The engine and what it holds are still there: only what nobody refers to is a leak. */
void __wrap_engine_serve(struct engine *g)
{
	char path[sizeof(reports) + 16];

	__real_engine_serve(g);
	(void)snprintf(path, sizeof(path), "%s/served", reports);
	(void)write_file(path, "");
	if (__lsan_do_recoverable_leak_check() != 0)
		_exit(99);
}
#endif

/* -- clients ----------------------------------------------------------------------------------------- */

static uint32_t target; /* the address of good.test */
static uint32_t flap;   /* of flap.test, which comes and goes */
static uint64_t random_state;

static uint32_t pick(uint32_t below)
{
	random_state = random_state * 6364136223846793005U + 1442695040888963407U;
	return (uint32_t)(random_state >> 33) % below;
}

static int dial(uint32_t address, uint16_t port, int type)
{
	struct sockaddr_in a = at(address, port);
	struct timeval limit = {.tv_sec = 20};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	(void)__atomic_fetch_add(begun, 1, __ATOMIC_RELAXED);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return close_fd(fd);
	return fd;
}

static void end(int fd, bool with_reset)
{
	const struct linger now = {.l_onoff = 1};

	if (fd >= 0 && with_reset)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	(void)close_fd(fd);
}

/* The address that the engine's DNS gives; 0: none. */
static uint32_t ask(const char *name)
{
	uint8_t q[300];
	uint8_t a[1500];
	_cleanup_close_ int fd = dial(INADDR_LOOPBACK, DNS_PORT, SOCK_DGRAM);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t got = -1;
	uint32_t v;

	/* Again, as resolvers do: beside a flood a datagram gets lost. */
	for (int i = 0; i < 30 && got < 0; i++)
		if (send(fd, q, dns_question(name, q), 0) > 0 && poll(&p, 1, 1000) > 0)
			got = recv(fd, a, sizeof(a), 0);
	if (got < 16 || a[7] == 0)
		return 0;
	memcpy(&v, a + got - 4, 4);
	return ntohl(v);
}

/* Sends n bytes, comes back with them. False where they are others or fewer. */
static bool echoes(int fd, const uint8_t *bytes, size_t n, bool in_crumbs)
{
	uint8_t back[4096];
	size_t have = 0;

	for (size_t sent = 0; sent < n; sent += in_crumbs ? 1 : n)
		if (send(fd, bytes + sent, in_crumbs ? 1 : n, MSG_NOSIGNAL) <= 0)
			return false;
	while (have < n) {
		ssize_t k = recv(fd, back + have, n - have, 0);

		if (k <= 0)
			return false;
		have += (size_t)k;
	}
	return memcmp(bytes, back, n) == 0;
}

static bool do_echo(void)
{
	int fd = dial(target, PORT_ECHO, SOCK_STREAM);
	bool good = echoes(fd, (const uint8_t *)"some bytes", 10, pick(4) == 0);

	end(fd, pick(2));
	return good;
}

/* Up to 8 MB there and back at once, whose order is checked. */
static bool do_large(void)
{
	enum { WORDS = 8192 };
	static uint32_t out[WORDS];
	static uint32_t in[WORDS];
	const uint32_t total = WORDS * (1 + pick(256));
	int fd = dial(target, PORT_ECHO, SOCK_STREAM);
	pid_t writer = fork();
	uint32_t got = 0;
	int status;

	if (writer == 0) {
		for (uint32_t i = 0; i < total; i += WORDS) {
			for (uint32_t k = 0; k < WORDS; k++)
				out[k] = (i + k) * 2654435761U;
			if (fd_write_all(fd, out, sizeof(out)) < 0)
				_exit(1);
		}
		(void)shutdown(fd, SHUT_WR);
		_exit(0);
	}
	for (; got < total; got += WORDS) {
		bool good = recv(fd, in, sizeof(in), MSG_WAITALL) == (ssize_t)sizeof(in);

		for (uint32_t k = 0; good && k < WORDS; k++)
			good = in[k] == (got + k) * 2654435761U;
		if (!good)
			break;
	}
	end(fd, false);
	return waitpid(writer, &status, 0) == writer && status == 0 && got == total;
}

static bool do_slow_reader(void)
{
	int fd = dial(target, PORT_SOURCE, SOCK_STREAM);
	char some[1000];
	bool good = true;

	for (int i = 0; good && i < 5; i++) {
		good = recv(fd, some, sizeof(some), 0) > 0;
		(void)poll(NULL, 0, 20);
	}
	end(fd, pick(2));
	return good;
}

/* A server that takes nothing: the sender is held back. */
static bool do_stalled(void)
{
	static const char zeros[65536];
	int fd = dial(target, PORT_STALL, SOCK_STREAM);
	size_t sent = 0;
	ssize_t k;

	(void)fd_set_nonblock(fd, true);
	for (int i = 0; i < 100; i++) {
		k = send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL);
		sent += k > 0 ? (size_t)k : 0;
	}
	(void)poll(NULL, 0, 50);
	end(fd, pick(2));
	return fd >= 0 && sent > 0;
}

static bool do_reset(void)
{
	static const uint16_t ports[] = {80, 443, PORT_ECHO, PORT_SOURCE, PORT_RESET, PORT_STALL};

	for (int i = 0; i < 30; i++) {
		int fd = dial(target, ports[pick(6)], SOCK_STREAM);

		if (pick(2))
			(void)send(fd, "\x16\x03\x01\x02\0\1\0\1\xfc\3\3", 1 + pick(10), MSG_NOSIGNAL);
		if (pick(4) == 0)
			(void)shutdown(fd, SHUT_WR);
		end(fd, pick(4) != 0);
	}
	return true;
}

static bool do_tls(void)
{
	static const char *const names[] = {"good.test", "bad.test", "GOOD.test", "x.good.test"};
	uint8_t hello[256];
	uint32_t which = pick(4);
	size_t n = client_hello(names[which], hello);
	int fd = dial(target, pick(2) ? 443 : PORT_ECHO, SOCK_STREAM);
	uint32_t damaged = pick(4) == 0 ? pick((uint32_t)n) : 0;
	bool back;

	hello[damaged] ^= damaged ? (uint8_t)(1 + pick(255)) : 0;
	if (pick(3) == 0)
		n = 1 + pick((uint32_t)n - 1), which = 99; /* a part of it */
	if (which == 99) {
		(void)send(fd, hello, n, MSG_NOSIGNAL);
		back = true;
	} else {
		back = echoes(fd, hello, n, pick(2)) == (which % 2 == 0) || damaged;
	}
	end(fd, pick(2));
	return back;
}

static bool do_http(void)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: good.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: bad.test\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: good.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: good.test\r\n\r\n",
		"CONNECT bad.test:443 HTTP/1.1\r\nHost: good.test\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: good.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"\0\1\2\3 no HTTP at all\r\n\r\n",
	};
	uint32_t which = pick(6);
	int fd = dial(target, 80, SOCK_STREAM);
	bool back = echoes(fd, (const uint8_t *)requests[which], strlen(requests[which]), pick(3) == 0);

	end(fd, pick(2));
	return back == (which % 2 == 0) || which == 5;
}

static bool do_flood(void)
{
	int fds[200];
	const uint16_t ports[] = {PORT_ECHO, 443, PORT_FLAP, 9};
	struct sockaddr_in a = at(pick(2) ? target : flap, ports[pick(4)]);

	for (int i = 0; i < 200; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (struct sockaddr *)&a, sizeof(a));
		(void)__atomic_fetch_add(begun, 1, __ATOMIC_RELAXED);
	}
	(void)poll(NULL, 0, (int)pick(60));
	for (int i = 0; i < 200; i++)
		end(fds[i], pick(2));
	return true;
}

static bool do_names(void)
{
	int fd = dial(INADDR_LOOPBACK, DNS_PORT, SOCK_DGRAM);
	int tcp = dial(INADDR_LOOPBACK, DNS_PORT, SOCK_STREAM);
	uint8_t q[300];
	uint8_t head[2];
	char name[64];
	size_t n;

	for (int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), pick(2) ? "n%u.wild.test" : "n%u.evil.test", pick(100000));
		n = dns_question(name, q);
		for (uint32_t k = pick(4) ? 0 : 1 + pick(5); k > 0; k--)
			q[pick((uint32_t)n)] = (uint8_t)pick(256);
		(void)send(fd, q, n - (pick(8) ? 0 : pick((uint32_t)n)), MSG_NOSIGNAL);
		while (recv(fd, q, sizeof(q), MSG_DONTWAIT) > 0)
			;
		head[0] = 0, head[1] = (uint8_t)n;
		if (i % 10 == 0) {
			(void)send(tcp, head, pick(8) ? 2 : 1, MSG_NOSIGNAL);
			(void)send(tcp, q, pick((uint32_t)n + 1), MSG_NOSIGNAL);
		}
	}
	end(fd, false);
	end(tcp, pick(2));
	return ask("good.test") == target;
}

static void client(uint64_t seed, time_t until)
{
	static const struct {
		const char *name;
		bool (*run)(void);
	} ways[] = {{"echo", do_echo},       {"large", do_large}, {"slow reader", do_slow_reader},
		    {"stalled", do_stalled}, {"reset", do_reset}, {"TLS", do_tls},
		    {"HTTP", do_http},       {"flood", do_flood}, {"names", do_names},
		    {"echo", do_echo},       {"TLS", do_tls},     {"HTTP", do_http}};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setns(gateway_ns, CLONE_NEWNET);
	random_state = seed;
	while (time(NULL) < until) {
		uint32_t i = pick(sizeof(ways) / sizeof(*ways));

		if (!ways[i].run()) {
			printf("# a client failed: %s\n", ways[i].name);
			(void)fflush(stdout);
			_exit(1);
		}
	}
	_exit(0);
}

/* -- the test ------------------------------------------------------------------------------------------ */

static void entries(struct strv *policy, bool with_flap, int wild)
{
	static const uint16_t ports[] = {PORT_ECHO, PORT_SOURCE, PORT_RESET, PORT_STALL};

	strv_add(policy, "good.test");
	strv_add(policy, "*.wild.test");
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		strv_addf(policy, "good.test:%u", ports[i]);
		strv_addf(policy, "127.0.0.9:%u", ports[i]);
	}
	strv_add(policy, "127.0.0.9:80");
	strv_add(policy, "127.0.0.9:443");
	if (with_flap) {
		strv_addf(policy, "flap.test:%u", PORT_FLAP);
		strv_addf(policy, "127.0.0.9:%u", PORT_FLAP);
	}
	for (int i = 0; i < wild; i++)
		strv_addf(policy, "*.some-name-%d.test", i);
}

static int start_engine(void)
{
	_cleanup_strv_ struct strv policy = STRV_INIT;
	struct engine_config config = {.base = BASE, .policy = &policy};
	struct err *e = NULL;
	int r;

	entries(&policy, true, 0);
	config.sockets = enginenet_sockets(SPARE);
	r = engine_start(&config, &engine, &control, &e);
	if (r < 0)
		printf("# %s\n", err_message(e));
	err_free(e);
	return r;
}

/* How many descriptors the engine has; 0: it is shut in, and nobody sees. */
static size_t descriptors(void)
{
	char path[64];
	size_t n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)engine);
	d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		(void)closedir(d);
	return n;
}

/* Changes the policy until all clients have ended; how many of them failed. */
static int run_clients(void)
{
	struct engine_event event;
	size_t denied = 0;
	size_t changes = 0;
	int failed = 0;
	int left = CLIENTS;

	for (uint64_t i = 0; i < CLIENTS; i++) {
		(void)fflush(stdout);
		if (fork() == 0)
			client(i * 77 + 1, time(NULL) + LOAD_SECONDS);
	}
	while (left > 0) {
		_cleanup_strv_ struct strv policy = STRV_INIT;
		int status;
		pid_t pid;

		entries(&policy, changes % 2, changes % 5 == 0 ? 3000 : (int)changes % 7);
		if (engine_set_policy(control, &policy, NULL) == 0)
			changes++;
		while (engine_event(control, &event) == 1)
			denied++;
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid == engine || pid == servers)
				return -1;
			left--;
			failed += status != 0;
		}
		(void)poll(NULL, 0, 20);
	}
	printf("# %llu connections, %zu policies, %zu denials\n", (unsigned long long)*begun, changes, denied);
	return failed;
}

TEST(load)
{
	size_t before;

	CHECK(mkdtemp(reports));
	begun = mmap(NULL, sizeof(*begun), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(begun != MAP_FAILED);
	CHECK(enginenet_set_up("127.0.0.9 good.test flap.test\n") == 0);
	(void)signal(SIGPIPE, SIG_IGN);
	servers = start_servers();
	CHECK(start_engine() == 0);
	(void)setns(gateway_ns, CLONE_NEWNET);
	target = ask("good.test");
	flap = ask("flap.test");
	CHECK(target && flap);
	CHECK(do_echo());
	before = descriptors();
	CHECK(run_clients() == 0);
	CHECK(do_echo());
	/* Servers that stall hold connections that boxes have ended. Its pool of pipes it may keep. */
	(void)kill(servers, SIGKILL);
	for (int i = 0; i < 600 && descriptors() > before + KEPT; i++)
		(void)poll(NULL, 0, 20);
	printf("# %zu descriptors before, %zu after\n", before, descriptors());
	CHECK(descriptors() <= before + KEPT);
}

TEST(end)
{
	int status = -1;

	CHECK(engine > 0);
	control = close_fd(control);
	CHECK(waitpid(engine, &status, 0) == engine);
	printf("# status %#x\n", status);
	CHECK(WIFEXITED(status));
#ifdef WRAPPED
	CHECK(WEXITSTATUS(status) == 0);
#endif
}

/* What the sanitizers said of it. */
TEST(reports)
{
	DIR *d = opendir(reports);
	struct dirent *f;
	int served = 0;
	int found = 0;

	CHECK(d);
	while ((f = readdir(d))) {
		_cleanup_str_ struct str text = STR_INIT;
		_cleanup_close_ int fd = openat(dirfd(d), f->d_name, O_RDONLY | O_CLOEXEC);

		served += strcmp(f->d_name, "served") == 0;
		if (strncmp(f->d_name, "report", 6) == 0 && fd_read_all(fd, 1 << 20, &text, NULL) == 0 &&
		    text.len > 0) {
			found++;
			printf("# %s\n", str_text(&text));
		}
		if (*f->d_name != '.')
			(void)unlinkat(dirfd(d), f->d_name, 0);
	}
	(void)closedir(d);
	(void)rmdir(reports);
	CHECK(found == 0);
#ifdef WRAPPED
	CHECK(served == 1);
#else
	CHECK(served == 0);
#endif
}

TEST_MAIN()
