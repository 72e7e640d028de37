/* Servers for engineload.c, in one process: on 80, 443 and PORT_ECHO they send back what comes. */
#ifndef IGLOO_TESTS_LOADSERVER_H
#define IGLOO_TESTS_LOADSERVER_H

#include "enginenet.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

enum {
	CONNS = 65536,
	PORT_ECHO = 7000,
	PORT_SOURCE, /* sends as much as is taken */
	PORT_RESET,  /* resets with the first byte that comes */
	PORT_STALL,  /* takes nothing */
	PORT_FLAP,   /* as PORT_ECHO, for a name that is not always allowed */
};

static uint16_t port_of[CONNS]; /* by descriptor; 0: a listener */

static void watch(int ep, int op, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	(void)epoll_ctl(ep, op, fd, &ev);
}

static void accept_one(int ep, int l)
{
	const struct linger now = {.l_onoff = 1};
	struct sockaddr_in a;
	socklen_t n = sizeof(a);
	int fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	(void)getsockname(fd, (struct sockaddr *)&a, &n);
	port_of[fd] = ntohs(a.sin_port);
	if (port_of[fd] == PORT_RESET)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	watch(ep, EPOLL_CTL_ADD, fd, port_of[fd] == PORT_SOURCE ? EPOLLOUT : port_of[fd] == PORT_STALL ? 0 : EPOLLIN);
}

/* What is peeked at and cannot be sent back stays in the socket: no buffer. False at its end. */
static bool echo_some(int ep, int fd)
{
	static char buf[65536];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_PEEK);
	ssize_t k;

	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	k = send(fd, buf, (size_t)n, MSG_NOSIGNAL);
	if (k < 0 && errno != EAGAIN)
		return false;
	if (k > 0)
		(void)recv(fd, buf, (size_t)k, 0);
	watch(ep, EPOLL_CTL_MOD, fd, k < n ? EPOLLOUT : EPOLLIN);
	return true;
}

static void serve(int ep)
{
	static const char zeros[65536];
	struct epoll_event ev[64];

	for (;;) {
		int n = epoll_wait(ep, ev, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = ev[i].data.fd;
			bool stays = true;

			if (port_of[fd] == 0)
				accept_one(ep, fd);
			else if (port_of[fd] == PORT_SOURCE)
				stays = send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL) > 0 || errno == EAGAIN;
			else
				stays = port_of[fd] != PORT_RESET && !(ev[i].events & (EPOLLHUP | EPOLLERR)) &&
					echo_some(ep, fd);
			if (!stays)
				(void)close(fd);
		}
	}
}

/* The process. */
static pid_t start_servers(void)
{
	static const uint16_t ports[] = {80, 443, PORT_ECHO, PORT_SOURCE, PORT_RESET, PORT_STALL, PORT_FLAP};
	int listeners[sizeof(ports) / sizeof(*ports)];
	pid_t pid;
	int ep;

	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		listeners[i] = bound(SOCK_STREAM, INADDR_LOOPBACK + 8, ports[i]);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		ep = epoll_create1(EPOLL_CLOEXEC);
		for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
			watch(ep, EPOLL_CTL_ADD, listeners[i], EPOLLIN);
		serve(ep);
	}
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		(void)close(listeners[i]);
	return pid;
}

#endif
