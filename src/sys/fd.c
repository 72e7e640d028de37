#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int fd_read_all(int fd, size_t max, struct str *to, struct err **e)
{
	size_t start = to->len;

	for (;;) {
		char *room = str_room(to, 16384);
		ssize_t n = read(fd, room, 16384);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "read");
		str_grew(to, (size_t)n);
		if (n == 0)
			return 0;
		if (to->len - start > max)
			return err_set(e, EFBIG, "larger than %zu bytes", max);
	}
}

int fd_write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

enum { FDS_MAX = 16 };

int fd_send(int sock, const void *bytes, size_t n, const int *fds, size_t nfds)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control;
	const char *p = bytes;

	if (nfds > FDS_MAX)
		return -E2BIG;
	while (n > 0) {
		struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t k;

		if (nfds > 0) {
			struct cmsghdr *c;

			memset(&control, 0, sizeof(control));
			msg.msg_control = control.buf;
			msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
			c = &control.align; /* CMSG_FIRSTHDR(), never NULL */
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
			memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
		}
		k = sendmsg(sock, &msg, MSG_NOSIGNAL);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		nfds = 0;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

ssize_t fd_recv(int sock, void *bytes, size_t n, int *fds, size_t *nfds, int flags)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = bytes, .iov_len = n};
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf)};
	size_t room = nfds ? *nfds : 0;
	ssize_t k;

	if (nfds)
		*nfds = 0;
	do
		k = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (nfds && *nfds < room)
				fds[(*nfds)++] = fd;
			else
				(void)close_fd(fd);
		}
	}
	return k;
}

void fd_close_from(int from)
{
	if (syscall(SYS_close_range, (unsigned)from, ~0U, 0) == 0)
		return;
	/* Before Linux 5.9. */
	for (long fd = from, max = sysconf(_SC_OPEN_MAX); fd < max; fd++)
		(void)close((int)fd);
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}
