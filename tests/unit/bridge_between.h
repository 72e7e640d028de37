/* Two bridges, each a process, between a host and the guest of guest_box.h. */
#ifndef IGLOO_TESTS_BRIDGE_BETWEEN_H
#define IGLOO_TESTS_BRIDGE_BETWEEN_H

#include "guest_box.h"

#include "wire/bridge.h"

#include <sys/resource.h>

static pid_t bridge_pids[2];

static void run_bridge(enum bridge_end end, int local, int remote)
{
	struct rlimit files;
	struct bridge *b;
	int64_t idle = 0;
	int r = 0;
	int null;

	local = fcntl(local, F_DUPFD_CLOEXEC, 100);
	remote = fcntl(remote, F_DUPFD_CLOEXEC, 100);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(local, 3) < 0 || dup2(remote, 4) < 0)
		_exit(98);
	fd_close_from(5);
	(void)fcntl(3, F_SETFD, FD_CLOEXEC);
	(void)fcntl(4, F_SETFD, FD_CLOEXEC);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)signal(SIGPIPE, SIG_IGN);
	b = bridge_new(end, 3, 4, NULL);
	while (r == 0 && !bridge_local_ended(b) && !bridge_remote_ended(b))
		r = bridge_step(b, NULL, 0, -1);
	while (r == 0 && !bridge_idle(b) && idle++ < 200)
		r = bridge_step(b, NULL, 0, 10);
	if (r < 0 && end == BRIDGE_HOST)
		bridge_say_last(b, FRAME_ERR, "\107\0\0\0\1\0\0", MSG_ERR_BYTES, PATIENCE_MS); /* EPROTO, PROTOCOL */
	bridge_free(b);
	_exit(r < 0 ? 1 : 0);
}

static pid_t fork_bridge(enum bridge_end end, int local, int remote)
{
	pid_t pid = fork();

	if (pid == 0)
		run_bridge(end, local, remote);
	return pid;
}

static void bridges_wait(void)
{
	for (int i = 0; i < 2; i++) {
		if (bridge_pids[i] > 0)
			(void)waitpid(bridge_pids[i], NULL, 0);
		bridge_pids[i] = 0;
	}
}

static int bridge_between(int sock)
{
	int local[2];
	int remote[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, local) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, remote) < 0)
		abort();
	bridges_wait();
	bridge_pids[0] = fork_bridge(BRIDGE_HOST, sock, remote[0]);
	bridge_pids[1] = fork_bridge(BRIDGE_GUEST, local[0], remote[1]);
	(void)close(sock);
	(void)close(remote[0]);
	(void)close(remote[1]);
	(void)close(local[0]);
	return local[1];
}

#endif
