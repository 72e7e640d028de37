/* The process between a box and an SSH agent: both ends of each of its connections are in this test. */
#include "net/agentproxy.h"

#include "sys/fd.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY "\0\0\0\x0bssh-ed25519\0\0\0\x04mine"
#define OTHER "\0\0\0\x0bssh-ed25519\0\0\0\x04not!"
#define SIGN(key) "\x0d\0\0\0\x17" key "\0\0\0\4data\0\0\0\0"
#define LIST "\x0b"
#define FAILURE "\x05"
#define SIGNED "\x0e\0\0\0\x03sig"
#define TEXT(s) (s), sizeof(s) - 1

static pid_t proxy = -1;
static int control = -1;

static void start(void)
{
	static const struct agentmsg_keys keys = {.v = {{(const uint8_t *)KEY, sizeof(KEY) - 1}}, .n = 1};
	struct err *e = NULL;

	if (agentproxy_start(&keys, &proxy, &control, &e) < 0)
		printf("# %s\n", err_message(e));
	CHECK(!e);
}

static void end(void)
{
	int status;

	control = close_fd(control);
	/* Not its exit code: a sanitizer asks for more than a shut-in process may before _exit(). */
	CHECK(waitpid(proxy, &status, 0) == proxy && WIFEXITED(status));
}

/* The box's end and the agent's. */
static void serve(int *ret_box, int *ret_agent)
{
	int box[2];
	int agent[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, box) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, agent) == 0);
	CHECK(fd_set_nonblock(box[1], true) == 0 && fd_set_nonblock(agent[1], true) == 0);
	CHECK(agentproxy_serve(control, box[1], agent[1]) == 0);
	*ret_box = box[0];
	*ret_agent = agent[0];
}

static void put(int fd, const char *bytes, size_t n)
{
	const uint8_t length[] = {0, 0, 0, (uint8_t)n};

	CHECK(send(fd, length, 4, MSG_NOSIGNAL) == 4 && send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n);
}

static ssize_t read_some(int fd, void *bytes, size_t n)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 5000) == 1 ? recv(fd, bytes, n, MSG_WAITALL) : -1;
}

static bool get(int fd, const char *bytes, size_t n)
{
	char got[256];

	return read_some(fd, got, n + 4) == (ssize_t)n + 4 && got[3] == (char)n && memcmp(got + 4, bytes, n) == 0;
}

static bool nothing(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 50) == 0;
}

TEST(what_passes_and_what_does_not)
{
	struct agentproxy_totals totals;
	char byte;
	int box;
	int agent;

	start();
	serve(&box, &agent);
	put(box, TEXT(LIST));
	CHECK(get(agent, TEXT(LIST)));
	put(agent, TEXT("\x0c\0\0\0\x02\0\0\0\x17" OTHER "\0\0\0\x01o\0\0\0\x17" KEY "\0\0\0\x01m"));
	CHECK(get(box, TEXT("\x0c\0\0\0\x01\0\0\0\x17" KEY "\0\0\0\x01m")));
	put(box, TEXT(SIGN(OTHER)));
	CHECK(get(box, TEXT(FAILURE)) && nothing(agent));
	put(box, TEXT("\x13"));
	CHECK(get(box, TEXT(FAILURE)) && nothing(agent));
	CHECK(agentproxy_totals(control, &totals) == 0);
	put(box, TEXT(SIGN(KEY)));
	CHECK(get(agent, TEXT(SIGN(KEY))));
	put(agent, TEXT(SIGNED));
	CHECK(get(box, TEXT(SIGNED)));
	put(box, TEXT(SIGN(KEY)));
	CHECK(get(agent, TEXT(SIGN(KEY))));
	put(agent, TEXT("\x06"));
	CHECK(get(box, TEXT(FAILURE)));
	agentproxy_finish(control, 5000);
	CHECK(agentproxy_totals(control, &totals) == 1 && totals.signatures[0] == 1 && totals.signatures[1] == 0);
	CHECK(read_some(box, &byte, 1) == 0 && read_some(agent, &byte, 1) == 0);
	(void)close(box);
	(void)close(agent);
	end();
}

TEST(an_agent_that_ends)
{
	int other_box;
	int other_agent;
	int box;
	int agent;

	start();
	serve(&box, &agent);
	serve(&other_box, &other_agent);
	put(box, TEXT(LIST));
	CHECK(get(agent, TEXT(LIST)));
	(void)close(agent);
	CHECK(get(box, TEXT(FAILURE)));
	put(box, TEXT(LIST));
	CHECK(get(box, TEXT(FAILURE)));
	put(other_box, TEXT(LIST));
	CHECK(get(other_agent, TEXT(LIST)));
	/* A lie about its length. */
	CHECK(send(other_agent, "\xff\xff\xff\xff", 4, 0) == 4);
	CHECK(get(other_box, TEXT(FAILURE)));
	(void)close(box);
	(void)close(other_box);
	(void)close(other_agent);
	end();
}

TEST(without_an_agent)
{
	int box[2];

	start();
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, box) == 0 && fd_set_nonblock(box[1], true) == 0);
	CHECK(agentproxy_serve(control, box[1], -1) == 0);
	put(box[0], TEXT(LIST));
	CHECK(get(box[0], TEXT(FAILURE)));
	(void)close(box[0]);
	end();
}

TEST(a_box_that_goes)
{
	char byte;
	int box;
	int agent;

	start();
	serve(&box, &agent);
	put(box, TEXT(SIGN(KEY)));
	CHECK(get(agent, TEXT(SIGN(KEY))));
	(void)close(box);
	CHECK(read_some(agent, &byte, 1) == 0);
	(void)close(agent);
	serve(&box, &agent);
	CHECK(send(box, "\0\4\0\1", 4, MSG_NOSIGNAL) == 4); /* a byte too long */
	CHECK(read_some(box, &byte, 1) == 0 && read_some(agent, &byte, 1) == 0);
	(void)close(box);
	(void)close(agent);
	end();
}

/* More than it takes: the others wait, and nothing is lost. */
TEST(too_many)
{
	enum { MORE = AGENTPROXY_CONNECTIONS_MAX + 64 };
	static int boxes[MORE];
	static int agents[MORE];
	size_t n = 0;
	int r = 0;

	start();
	for (; n < MORE; n++) {
		int box[2];
		int agent[2];
		struct pollfd p = {.fd = control, .events = POLLOUT};

		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, box) == 0);
		CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, agent) == 0);
		CHECK(fd_set_nonblock(box[1], true) == 0 && fd_set_nonblock(agent[1], true) == 0);
		while ((r = agentproxy_serve(control, box[1], agent[1])) == -EAGAIN && poll(&p, 1, 500) == 1)
			;
		boxes[n] = box[0];
		agents[n] = agent[0];
		if (r < 0) {
			(void)close(box[1]);
			(void)close(agent[1]);
			break;
		}
	}
	CHECK(r == -EAGAIN && n >= AGENTPROXY_CONNECTIONS_MAX && n < MORE);
	put(boxes[n - 1], TEXT(LIST));
	CHECK(nothing(agents[n - 1]));
	for (size_t i = 0; i < n - 1; i++)
		(void)close(boxes[i]);
	CHECK(get(agents[n - 1], TEXT(LIST)));
	for (size_t i = 0; i <= n; i++)
		(void)close(agents[i]);
	(void)close(boxes[n - 1]);
	(void)close(boxes[n]);
	end();
}

TEST_MAIN()
