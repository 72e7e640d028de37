/* The engine as a relay of connections that are there already: both ends of each are in this test. */
#include "net/engine.h"

#include "sys/fd.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t engine = -1;
static int control = -1;

static void start(void)
{
	const struct strv nothing = STRV_INIT;
	const struct engine_config config = {.sockets = ENGINE_SOCKETS_INIT, .policy = &nothing};
	struct err *e = NULL;

	if (engine_start(&config, &engine, &control, &e) < 0)
		printf("# %s\n", err_message(e));
	CHECK(!e);
}

static void end(void)
{
	int status;

	control = close_fd(control);
	/* Not its exit code: a sanitizer asks for more than a shut-in engine may before _exit(). */
	CHECK(waitpid(engine, &status, 0) == engine && WIFEXITED(status));
}

/* Two ends of a TCP connection; the second is non-blocking, as an engine's must be. */
static void connection(int ret[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(a);
	_cleanup_close_ int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(l >= 0 && bind(l, (struct sockaddr *)&a, n) == 0 && listen(l, 1) == 0);
	CHECK(getsockname(l, (struct sockaddr *)&a, &n) == 0);
	ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(ret[0] >= 0 && connect(ret[0], (struct sockaddr *)&a, n) == 0);
	ret[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	CHECK(ret[1] >= 0);
}

static void forward(int *ret_client, int *ret_server)
{
	int host[2];
	int box[2];

	connection(host);
	connection(box);
	CHECK(engine_forward(control, host[1], box[1]) == 0);
	*ret_client = host[0];
	*ret_server = box[0];
}

static bool get(int fd, const char *wanted)
{
	char bytes[64];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n = poll(&p, 1, 5000) == 1 ? read(fd, bytes, sizeof(bytes)) : -1;

	return n == (ssize_t)strlen(wanted) && memcmp(bytes, wanted, (size_t)n) == 0;
}

TEST(both_ways_and_half_close)
{
	int client;
	int server;

	start();
	forward(&client, &server);
	CHECK(fd_write_all(client, "request", 7) == 0 && get(server, "request"));
	CHECK(shutdown(client, SHUT_WR) == 0 && get(server, ""));
	CHECK(fd_write_all(server, "answer", 6) == 0 && get(client, "answer"));
	(void)close(server);
	CHECK(get(client, ""));
	(void)close(client);
	end();
}

TEST(many)
{
	enum { N = 300 };
	static int clients[N];
	static int servers[N];

	start();
	for (int i = 0; i < N; i++)
		forward(&clients[i], &servers[i]);
	for (int i = 0; i < N; i++)
		CHECK(fd_write_all(servers[i], "hello", 5) == 0);
	for (int i = 0; i < N; i++) {
		CHECK(get(clients[i], "hello"));
		(void)close(clients[i]);
		CHECK(get(servers[i], ""));
		(void)close(servers[i]);
	}
	end();
}

/* A server that has gone, with more on its way than sockets hold. */
TEST(the_end_waits_for_what_was_sent)
{
	static char bytes[1 << 20];
	int client;
	int server;
	size_t sent = 0;
	size_t got = 0;
	ssize_t n;
	pid_t pid;
	int status;

	start();
	forward(&client, &server);
	CHECK(fd_set_nonblock(server, true) == 0);
	while ((n = write(server, bytes, sizeof(bytes))) > 0 || poll(&(struct pollfd){server, POLLOUT, 0}, 1, 200) > 0)
		sent += n > 0 ? (size_t)n : 0;
	(void)close(server);
	pid = fork();
	if (pid == 0) {
		(void)poll(NULL, 0, 300);
		while ((n = read(client, bytes, sizeof(bytes))) > 0)
			got += (size_t)n;
		_exit(n == 0 && got == sent ? 0 : 1);
	}
	(void)close(client);
	engine_finish(control, 10000);
	end();
	CHECK(sent > sizeof(bytes));
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

TEST(the_end_does_not_wait_for_ever)
{
	int client;
	int server;

	start();
	forward(&client, &server);
	CHECK(fd_write_all(server, "x", 1) == 0 && get(client, "x"));
	engine_finish(control, 200);
	end();
	CHECK(get(client, "") && get(server, ""));
	(void)close(client);
	(void)close(server);
	start();
	engine_finish(control, 10000);
	end();
}

TEST_MAIN()
