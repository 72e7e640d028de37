/* Load for the network row: a server that sinks, sends and answers, and the client that measures it.
 *
 *     load server PORT                       prints "ready" when it listens
 *     load client HOST PORT up|down N SECS   N streams: bytes per second, after WARM_S
 *     load client HOST PORT rate N SECS      N threads: new connections per second, each with one byte there and back
 *     load client HOST PORT idle N           one connection, "base", IDLE_S, N more, "ready", then waits to be killed
 *
 * The first byte of a connection says what is wanted (the words above). Bytes count where they arrive, at the server
 * for `up`: what lies in a relay is not counted. With HTTPS_PROXY in the environment the client goes through that proxy
 * by CONNECT. Statically linked it runs in any box. */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 128 << 10, STACK = 64 << 10, WORKERS = 2, EVENTS = 64, SAMPLES_MAX = 1 << 20, TALK_MAX = 2048 };
enum { SINK = 'U', SOURCE = 'D', ECHO = 'E', STAY = 'I', ASK = 'Q' };
#define WARM_S 0.4
#define IDLE_S 1.5

struct answer {
	uint64_t ns, sunk;
};

static atomic_ullong sunk;
static const char zeros[BUFFER];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void pause_s(double s)
{
	const struct timespec t = {.tv_sec = (time_t)s, .tv_nsec = (long)((s - (double)(time_t)s) * 1e9)};

	nanosleep(&t, NULL);
}

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void thread(void *(*run)(void *), void *arg)
{
	pthread_attr_t a;
	pthread_t id;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, STACK);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	errno = pthread_create(&id, &a, run, arg);
	if (errno)
		die("pthread_create");
}

static void no_delay(int fd)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* --- server ------------------------------------------------------------------------------------------------ */

static void *sink(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char *buffer = malloc(BUFFER);
	ssize_t n;

	while ((n = recv(fd, buffer, BUFFER, 0)) > 0)
		atomic_fetch_add_explicit(&sunk, (unsigned long long)n, memory_order_relaxed);
	free(buffer);
	close(fd);
	return NULL;
}

static void *source(void *arg)
{
	int fd = (int)(intptr_t)arg;

	while (send(fd, zeros, BUFFER, MSG_NOSIGNAL) > 0)
		;
	close(fd);
	return NULL;
}

static void serve_byte(int epoll, int fd)
{
	char what;
	struct answer a;
	ssize_t n = recv(fd, &what, 1, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == 1 && what == STAY && send(fd, "I", 1, MSG_NOSIGNAL) == 1)
		return;
	if (n == 1 && what == ASK) {
		a = (struct answer){.ns = now_ns(), .sunk = atomic_load(&sunk)};
		if (send(fd, &a, sizeof(a), MSG_NOSIGNAL) == sizeof(a))
			return;
	}
	if (n == 1 && (what == SINK || what == SOURCE)) {
		epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
		thread(what == SINK ? sink : source, (void *)(intptr_t)fd);
		return;
	}
	if (n == 1 && what == ECHO)
		(void)send(fd, "E", 1, MSG_NOSIGNAL);
	close(fd);
}

struct worker {
	int epoll, listener;
};

static void *serve(void *arg)
{
	const struct worker *w = arg;
	struct epoll_event events[EVENTS];

	for (;;) {
		int n = epoll_wait(w->epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd != w->listener) {
				serve_byte(w->epoll, fd);
				continue;
			}
			fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
			if (fd < 0)
				continue;
			no_delay(fd);
			epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
		}
	}
	return NULL;
}

static int server(int port)
{
	const int on = 1;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct worker workers[WORKERS];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 4096) < 0)
		die("listen");
	for (int i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){.epoll = epoll_create1(EPOLL_CLOEXEC), .listener = listener};
		epoll_ctl(workers[i].epoll, EPOLL_CTL_ADD, listener,
			  &(struct epoll_event){.events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listener});
	}
	puts("ready");
	fflush(stdout);
	for (int i = 1; i < WORKERS; i++)
		thread(serve, &workers[i]);
	serve(&workers[0]);
	return 0;
}

/* --- client ------------------------------------------------------------------------------------------------ */

static struct {
	struct sockaddr_storage at;
	socklen_t len;
	char talk[TALK_MAX]; /* the CONNECT request, or "" */
} target;

static void base64(const char *in, char *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(in);

	for (size_t i = 0; i < n; i += 3) {
		unsigned v = (unsigned)(unsigned char)in[i] << 16;

		v |= i + 1 < n ? (unsigned)(unsigned char)in[i + 1] << 8 : 0;
		v |= i + 2 < n ? (unsigned)(unsigned char)in[i + 2] : 0;
		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
		*out++ = i + 2 < n ? digits[v & 63] : '=';
	}
	*out = 0;
}

static void resolve(const char *host, const char *port)
{
	const struct addrinfo want = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int r = getaddrinfo(host, port, &want, &found);

	if (r != 0) {
		fprintf(stderr, "load: %s: %s\n", host, gai_strerror(r));
		exit(1);
	}
	memcpy(&target.at, found->ai_addr, found->ai_addrlen);
	target.len = found->ai_addrlen;
	freeaddrinfo(found);
}

static void aim(const char *host, const char *port)
{
	const char *proxy = getenv("HTTPS_PROXY") ? getenv("HTTPS_PROXY") : getenv("https_proxy");
	char at[512], coded[1024] = "", *who = NULL, *p;

	if (!proxy || !*proxy) {
		resolve(host, port);
		return;
	}
	snprintf(at, sizeof(at), "%s", strstr(proxy, "://") ? strstr(proxy, "://") + 3 : proxy);
	at[strcspn(at, "/")] = 0;
	p = strrchr(at, '@');
	if (p) {
		*p = 0;
		who = at;
		base64(who, coded);
	}
	p = p ? p + 1 : at;
	who = strrchr(p, ':');
	if (!who) {
		fprintf(stderr, "load: cannot read the proxy %s\n", proxy);
		exit(1);
	}
	*who = 0;
	resolve(p, who + 1);
	snprintf(target.talk, sizeof(target.talk), "CONNECT %s:%s HTTP/1.1\r\nHost: %s:%s\r\n%s%s%s\r\n", host, port,
		 host, port, *coded ? "Proxy-Authorization: Basic " : "", coded, *coded ? "\r\n" : "");
}

/* A byte at a time: what follows the answer is not the proxy's. */
static bool talk(int fd)
{
	char got[TALK_MAX];
	size_t n = 0;

	if (send(fd, target.talk, strlen(target.talk), MSG_NOSIGNAL) < 0)
		return false;
	while (n < sizeof(got) - 1 && recv(fd, got + n, 1, 0) == 1) {
		got[++n] = 0;
		if (n >= 4 && memcmp(got + n - 4, "\r\n\r\n", 4) == 0)
			break;
	}
	got[n] = 0;
	if (n > 12 && memcmp(got + 9, "200", 3) == 0)
		return true;
	fprintf(stderr, "load: the proxy says: %.*s\n", (int)strcspn(got, "\r\n"), got);
	errno = ECONNREFUSED;
	return false;
}

/* A connection whose first byte is `what`; -1 with errno. */
static int dial(char what)
{
	int fd = socket(target.at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	no_delay(fd);
	if (connect(fd, (struct sockaddr *)&target.at, target.len) == 0 && (!*target.talk || talk(fd)) &&
	    send(fd, &what, 1, MSG_NOSIGNAL) == 1)
		return fd;
	close(fd);
	return -1;
}

static int dial_or_die(char what)
{
	int fd = dial(what);

	if (fd < 0)
		die("connect");
	return fd;
}

static atomic_ullong received;

static void *stream_up(void *arg)
{
	source(arg);
	return NULL;
}

static void *stream_down(void *arg)
{
	char *buffer = malloc(BUFFER);
	ssize_t n;

	while ((n = recv((int)(intptr_t)arg, buffer, BUFFER, 0)) > 0)
		atomic_fetch_add_explicit(&received, (unsigned long long)n, memory_order_relaxed);
	free(buffer);
	return NULL;
}

static struct answer ask(int fd, bool first)
{
	struct answer a;

	if ((!first && send(fd, "Q", 1, MSG_NOSIGNAL) != 1) || recv(fd, &a, sizeof(a), MSG_WAITALL) != sizeof(a))
		die("no answer of the server");
	return a;
}

static int streams(bool up, int n, double seconds)
{
	int fd = dial_or_die(ASK);
	struct answer a = ask(fd, true), b = a;
	uint64_t got = 0, began = 0;

	for (int i = 0; i < n; i++)
		thread(up ? stream_up : stream_down, (void *)(intptr_t)dial_or_die(up ? SINK : SOURCE));
	pause_s(WARM_S);
	if (up) {
		a = ask(fd, false);
		pause_s(seconds);
		b = ask(fd, false);
	} else {
		began = now_ns();
		got = atomic_load(&received);
		pause_s(seconds);
		b = (struct answer){.ns = now_ns(), .sunk = atomic_load(&received)};
		a = (struct answer){.ns = began, .sunk = got};
	}
	printf("{\"bytes_s\": %.0f}\n", (double)(b.sunk - a.sunk) / ((double)(b.ns - a.ns) / 1e9));
	fflush(stdout);
	_exit(0);
}

static uint64_t deadline;
static atomic_ulong made, failed;
static uint32_t samples[SAMPLES_MAX];

static void *rate_one(void *arg)
{
	while (now_ns() < deadline) {
		uint64_t began = now_ns();
		int fd = dial(ECHO);
		char byte;

		if (fd >= 0 && recv(fd, &byte, 1, 0) == 1) {
			unsigned long i = atomic_fetch_add(&made, 1);

			samples[i % SAMPLES_MAX] = (uint32_t)((now_ns() - began) / 1000);
			/* The server closes first, so that the client's ports are free again. */
			(void)recv(fd, &byte, 1, 0);
		} else {
			atomic_fetch_add(&failed, 1);
		}
		if (fd >= 0)
			close(fd);
	}
	return arg;
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int rate(int n, double seconds)
{
	pthread_t ids[256];
	uint64_t began;
	unsigned long count;
	double took;

	close(dial_or_die(ECHO));
	began = now_ns();
	deadline = began + (uint64_t)(seconds * 1e9);
	n = n > 256 ? 256 : n;
	for (int i = 0; i < n; i++)
		if (pthread_create(&ids[i], NULL, rate_one, NULL) != 0)
			die("pthread_create");
	for (int i = 0; i < n; i++)
		pthread_join(ids[i], NULL);
	took = (double)(now_ns() - began) / 1e9;
	count = atomic_load(&made);
	if (count == 0)
		die("no connection was made");
	count = count > SAMPLES_MAX ? SAMPLES_MAX : count;
	qsort(samples, count, sizeof(*samples), by_size);
	printf("{\"conn_s\": %.0f, \"us\": %u, \"us_p99\": %u, \"failed\": %lu}\n", (double)atomic_load(&made) / took,
	       samples[count / 2], samples[count * 99 / 100], atomic_load(&failed));
	return 0;
}

static void stay(int n)
{
	char byte;

	for (int i = 0; i < n; i++) {
		int fd = dial_or_die(STAY);

		if (recv(fd, &byte, 1, 0) != 1)
			die("no answer of the server");
	}
}

static _Noreturn void idle(int n)
{
	stay(1);
	puts("base");
	fflush(stdout);
	pause_s(IDLE_S);
	stay(n);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

static void more_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 4 ? argv[4] : "";
	int n = argc > 5 ? atoi(argv[5]) : 0;
	double seconds = argc > 6 ? atof(argv[6]) : 1;

	more_files();
	if (argc == 3 && strcmp(argv[1], "server") == 0)
		return server(atoi(argv[2]));
	if (argc < 6 || strcmp(argv[1], "client") != 0 || n < 1) {
		fputs("usage: load server PORT | load client HOST PORT up|down|rate|idle N [SECONDS]\n", stderr);
		return 2;
	}
	aim(argv[2], argv[3]);
	if (strcmp(what, "up") == 0 || strcmp(what, "down") == 0)
		return streams(*what == 'u', n, seconds);
	if (strcmp(what, "rate") == 0)
		return rate(n, seconds);
	idle(n);
}
