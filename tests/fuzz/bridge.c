/* Bytes as the host's bridge might receive them from a machine that was taken over. The first byte says how many
 * arrive at once. Before them the supervisor asked for command 1 with descriptors, command 2 with a terminal,
 * connection 3 to port 80, and a PONG; whatever comes, the supervisor's end sees whole frames only, and no more than 4
 * MiB. */
#include "fuzz.h"

#include "base/mem.h"
#include "sys/fd.h"
#include "wire/bridge.h"
#include "wire/exec.h"
#include "wire/link.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct link supervisor;
static struct bridge *bridge;

static void ask(int output)
{
	char *const argv[] = {(char[]){"x"}, NULL};
	char *const env[] = {NULL};
	struct exec x = {.flags = EXEC_HAS_FDS, .cwd = "/", .argv = argv, .env = env};
	const int fds[] = {open("/dev/null", O_RDONLY | O_CLOEXEC), output, fcntl(output, F_DUPFD_CLOEXEC, 3)};

	(void)exec_send(&supervisor, 1, &x, fds);
	x.flags = EXEC_PTY;
	(void)exec_send(&supervisor, 2, &x, NULL);
	(void)link_send(&supervisor, 3, FRAME_DIAL, 0, "\120", 2, NULL, 0);
	(void)link_send(&supervisor, 0, FRAME_PING, 0, "12345678", 8, NULL, 0);
	(void)link_flush(&supervisor);
}

/* Takes what the supervisor is sent, descriptors too, which are closed as a client's end would be. */
static void listen_to(void)
{
	struct frame f;
	int r, fd;

	while (link_receive(&supervisor) > 0) {
		while ((r = link_next(&supervisor, true, &f)) > 0)
			while (link_take_fds(&supervisor, &fd, 1) == 0)
				(void)close(fd);
		if (r < 0)
			abort();
	}
}

static int step(void)
{
	int r = bridge_step(bridge, NULL, 0, 0);

	listen_to();
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int local[2], remote[2], output[2];
	size_t at_once = size > 0 && data[0] ? data[0] : 4096;
	char drop[4096];
	int r = 0;

	(void)signal(SIGPIPE, SIG_IGN);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, local) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, remote) < 0 || pipe2(output, O_CLOEXEC | O_NONBLOCK) < 0)
		abort();
	bridge = bridge_new(BRIDGE_HOST, local[0], remote[0], NULL);
	link_init(&supervisor, local[1], 1 << 20);
	(void)fd_set_nonblock(remote[1], true);
	ask(output[1]);
	for (int i = 0; i < 3 && r == 0; i++)
		r = step();
	for (size_t at = 1; at < size && r == 0 && !bridge_remote_ended(bridge); at += at_once) {
		size_t n = size - at < at_once ? size - at : at_once;

		(void)!write(remote[1], data + at, n);
		r = step();
		(void)!read(remote[1], drop, sizeof(drop));
		(void)!read(output[0], drop, sizeof(drop));
	}
	(void)close(remote[1]);
	for (int i = 0; i < 4 && r == 0; i++)
		r = step();
	bridge_free(bridge);
	link_release(&supervisor);
	(void)close(output[0]);
	return 0;
}

FUZZ_MAIN()
