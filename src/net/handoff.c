#include "net/handoff.h"

#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

struct message {
	struct handoff head;
	uint8_t bytes[HANDOFF_BYTES_MAX];
};

int handoff_pair(int ret[2])
{
	const int room = 1 << 20; /* as much of it as the kernel gives */

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0)
		return -errno;
	(void)setsockopt(ret[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return 0;
}

int handoff_send(int sock, const struct handoff *h, const uint8_t *bytes, size_t n, int box_fd, int host_fd)
{
	const int fds[2] = {box_fd, host_fd};
	struct message m;

	if (n > sizeof(m.bytes))
		return -EMSGSIZE;
	m.head = *h;
	memcpy(m.bytes, bytes, n);
	return fd_send(sock, &m, sizeof(m.head) + n, fds, 2);
}

int handoff_receive(int sock, struct handoff *ret, uint8_t *buffer, size_t *ret_n, int *ret_box_fd, int *ret_host_fd)
{
	for (;;) {
		struct message m;
		int fds[2] = {-1, -1};
		size_t nfds = 2;
		ssize_t n = fd_recv(sock, &m, sizeof(m), fds, &nfds, MSG_DONTWAIT);

		if (n == -EAGAIN || n == -EINTR)
			return 0;
		if (n <= 0)
			return -EPIPE;
		if ((size_t)n < sizeof(m.head) || nfds != 2 || !memchr(m.head.host, '\0', sizeof(m.head.host))) {
			(void)close_fd(nfds > 0 ? fds[0] : -1);
			(void)close_fd(nfds > 1 ? fds[1] : -1);
			continue;
		}
		*ret = m.head;
		*ret_n = (size_t)n - sizeof(m.head);
		memcpy(buffer, m.bytes, *ret_n);
		*ret_box_fd = fds[0];
		*ret_host_fd = fds[1];
		return 1;
	}
}

int handoff_send_end(int sock, const struct handoff_end *end)
{
	return fd_send(sock, end, sizeof(*end), NULL, 0);
}

int handoff_receive_end(int sock, struct handoff_end *ret)
{
	for (;;) {
		struct handoff_end end;
		ssize_t n = recv(sock, &end, sizeof(end), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -EPIPE;
		if (n != (ssize_t)sizeof(end))
			continue;
		end.detail[HOSTNAME_MAX] = '\0';
		*ret = end;
		return 1;
	}
}
