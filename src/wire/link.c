#include "wire/link.h"

#include "base/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { COMPACT = 64 * 1024 };

void link_init(struct link *l, int fd, size_t out_max)
{
	memset(l, 0, offsetof(struct link, in));
	l->in.begin = l->in.end = 0;
	l->fd = fd;
	l->out_max = out_max;
}

static void close_fds(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)close_fd(fds[i]);
}

void link_release(struct link *l)
{
	l->fd = close_fd(l->fd);
	close_fds(l->in_fds, l->in_fds_n);
	l->in_fds_n = 0;
	for (size_t i = l->out_fds_at; i < l->out_fds_n; i++)
		close_fds(l->out_fds[i].fds, l->out_fds[i].n);
	free(l->out_fds);
	l->out_fds = NULL;
	l->out_fds_at = l->out_fds_n = l->out_fds_cap = 0;
	if (l->out.p)
		explicit_bzero(l->out.p, l->out.cap);
	explicit_bzero(&l->in, sizeof(l->in));
	str_release(&l->out);
	l->out_at = 0;
}

int link_receive(struct link *l)
{
	size_t room, nfds = LINK_FDS_MAX - l->in_fds_n;
	uint8_t *p = frame_room(&l->in, &room);
	ssize_t n = fd_recv(l->fd, p, room, l->in_fds + l->in_fds_n, &nfds, MSG_DONTWAIT);

	if (n < 0)
		return (int)n;
	l->in_fds_n += nfds;
	frame_grew(&l->in, (size_t)n);
	return n > 0;
}

int link_next(struct link *l, bool pending, struct frame *ret)
{
	int r = frame_next(&l->in, ret);

	if (r == 0 && !pending && l->in_fds_n > 0 && frame_decoder_empty(&l->in))
		return -EPROTO;
	return r;
}

int link_take_fds(struct link *l, int *ret_fds, size_t n)
{
	if (l->in_fds_n < n)
		return -EPROTO;
	memcpy(ret_fds, l->in_fds, n * sizeof(int));
	l->in_fds_n -= n;
	memmove(l->in_fds, l->in_fds + n, l->in_fds_n * sizeof(int));
	return 0;
}

static void queue_fds(struct link *l, const int *fds, size_t n)
{
	struct link_out_fds *q;

	if (l->out_fds_n == l->out_fds_cap) {
		l->out_fds_cap = l->out_fds_cap ? l->out_fds_cap * 2 : 8;
		l->out_fds = xrealloc_array(l->out_fds, l->out_fds_cap, sizeof(*l->out_fds));
	}
	q = &l->out_fds[l->out_fds_n++];
	q->at = l->out.len;
	q->n = n;
	memcpy(q->fds, fds, n * sizeof(int));
}

int link_send(struct link *l, uint32_t stream, enum frame_type type, uint8_t flags, const void *payload, size_t n,
	      const int *fds, size_t nfds)
{
	uint8_t header[FRAME_HEADER];

	if (n > FRAME_PAYLOAD_MAX || nfds > LINK_FRAME_FDS || l->out.len - l->out_at + FRAME_HEADER + n > l->out_max) {
		close_fds(fds, nfds);
		return -ENOBUFS;
	}
	if (nfds > 0)
		queue_fds(l, fds, nfds);
	frame_put_header(header, stream, type, flags, (uint32_t)n);
	str_add(&l->out, header, sizeof(header));
	if (n > 0)
		str_add(&l->out, payload, n);
	return 0;
}

/* One sendmsg(); it stops before the next frame that has descriptors of its own. */
static ssize_t send_some(struct link *l)
{
	union {
		char buf[CMSG_SPACE(sizeof(int) * LINK_FRAME_FDS)];
		struct cmsghdr align;
	} control = {.buf = {0}};
	struct iovec iov = {.iov_base = l->out.p + l->out_at, .iov_len = l->out.len - l->out_at};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	size_t next = l->out_fds_at;
	ssize_t n;

	if (next < l->out_fds_n && l->out_fds[next].at == l->out_at) {
		const struct link_out_fds *q = &l->out_fds[next++];
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * q->n);
		c = &control.align;
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * q->n);
		memcpy(CMSG_DATA(c), q->fds, sizeof(int) * q->n);
	}
	if (next < l->out_fds_n)
		iov.iov_len = l->out_fds[next].at - l->out_at;
	do
		n = sendmsg(l->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (next > l->out_fds_at) {
		close_fds(l->out_fds[l->out_fds_at].fds, l->out_fds[l->out_fds_at].n);
		l->out_fds_at = next;
	}
	return n;
}

/* Forgets the sent part of the queue, so that it does not grow while the peer reads slowly; and really so, for a
 * command's environment may have secrets in it. */
static void compact(struct link *l)
{
	if (l->out.len > 0)
		explicit_bzero(l->out.p, l->out.len);
	str_clear(&l->out);
	l->out_at = 0;
	l->out_fds_at = l->out_fds_n = 0;
}

static void compact_partly(struct link *l)
{
	memmove(l->out.p, l->out.p + l->out_at, l->out.len - l->out_at);
	explicit_bzero(l->out.p + l->out.len - l->out_at, l->out_at);
	l->out.len -= l->out_at;
	str_grew(&l->out, 0);
	l->out_fds_n -= l->out_fds_at;
	if (l->out_fds_n > 0)
		memmove(l->out_fds, l->out_fds + l->out_fds_at, l->out_fds_n * sizeof(*l->out_fds));
	for (size_t i = 0; i < l->out_fds_n; i++)
		l->out_fds[i].at -= l->out_at;
	l->out_fds_at = 0;
	l->out_at = 0;
}

int link_flush(struct link *l)
{
	while (link_pending(l)) {
		ssize_t n = send_some(l);

		if (n == -EAGAIN) {
			if (l->out_at >= COMPACT)
				compact_partly(l);
			return 0;
		}
		if (n < 0)
			return (int)n;
		l->out_at += (size_t)n;
	}
	compact(l);
	return 0;
}

int link_drain(struct link *l, int timeout_ms)
{
	int64_t end = clock_ms(CLOCK_MONOTONIC) + timeout_ms;

	for (;;) {
		struct pollfd p = {.fd = l->fd, .events = POLLOUT};
		int64_t left;
		int r = link_flush(l);

		if (r < 0 || !link_pending(l))
			return r;
		left = end - clock_ms(CLOCK_MONOTONIC);
		if (left <= 0)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return -errno;
	}
}
