/* Descriptors that are read and written for the other side. */
#include "wire/bridge_impl.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEEP = 64 * 1024 };

/* --- without blocking ------------------------------------------------------------------------------------------- */

static bool is_ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) == 1;
}

/* A pipe that others have, too: an open file of our own, which may be O_NONBLOCK. Where /proc does not give it, what
 * there is stays as it is. */
static int reopen(int fd, bool reads)
{
	char path[32];
	int own;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, (reads ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return fd;
	(void)close(fd);
	return own;
}

static enum channel_mode look(int *fd, bool reads, bool own)
{
	struct stat st;
	int flags = fcntl(*fd, F_GETFL);

	if (fstat(*fd, &st) < 0 || flags < 0)
		return CHANNEL_SHY;
	if (S_ISSOCK(st.st_mode))
		return CHANNEL_SOCKET;
	if ((flags & O_NONBLOCK) || S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return CHANNEL_PLAIN;
	if (own)
		return fd_set_nonblock(*fd, true) < 0 ? CHANNEL_SHY : CHANNEL_PLAIN;
	/* Opening anew is not to give more than what was handed in. */
	if (!S_ISFIFO(st.st_mode) || (flags & O_ACCMODE) == (reads ? O_WRONLY : O_RDONLY))
		return CHANNEL_SHY;
	*fd = reopen(*fd, reads);
	flags = fcntl(*fd, F_GETFL);
	return flags >= 0 && (flags & O_NONBLOCK) ? CHANNEL_PLAIN : CHANNEL_SHY;
}

static ssize_t read_some(const struct channel *c, void *to, size_t n)
{
	ssize_t k;

	if (c->mode == CHANNEL_SHY && !is_ready(c->fd, POLLIN))
		return -EAGAIN;
	k = c->mode == CHANNEL_SOCKET ? recv(c->fd, to, n, MSG_DONTWAIT) : read(c->fd, to, n);
	return k < 0 ? -errno : k;
}

static ssize_t write_some(const struct channel *c, const void *from, size_t n)
{
	ssize_t k;

	if (c->mode == CHANNEL_SHY && !is_ready(c->fd, POLLOUT))
		return -EAGAIN;
	if (c->mode == CHANNEL_SHY && n > PIPE_BUF)
		n = PIPE_BUF;
	k = c->mode == CHANNEL_SOCKET ? send(c->fd, from, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(c->fd, from, n);
	return k < 0 ? -errno : k;
}

static bool is_later(ssize_t r)
{
	return r == -EAGAIN || r == -EINTR;
}

/* --- channels ----------------------------------------------------------------------------------------------------- */

void channel_begin(struct channel *c, bool source, int fd, bool own)
{
	*c = (struct channel){.fd = fd, .there = true, .source = source, .credit = FRAME_WINDOW};
	c->mode = look(&c->fd, source, own);
}

int channel_begin_both(struct stream *s, enum bridge_end end, int fd)
{
	int again = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (again < 0)
		return -errno;
	channel_begin(&s->channels[FRAME_IN], end == BRIDGE_HOST, fd, true);
	channel_begin(&s->channels[FRAME_OUT], end == BRIDGE_GUEST, again, true);
	s->channels[FRAME_IN].both = s->channels[FRAME_OUT].both = true;
	return 0;
}

static int say(struct bridge *b, struct stream *s, struct channel *c, enum frame_type type)
{
	return bridge_send(b, s->id, type, channel_number(s, c), NULL, 0);
}

static struct channel *other_direction(struct stream *s, struct channel *c)
{
	return &s->channels[c == &s->channels[FRAME_IN] ? FRAME_OUT : FRAME_IN];
}

/* --- sources ------------------------------------------------------------------------------------------------------ */

int source_end(struct bridge *b, struct stream *s, struct channel *c)
{
	c->fd = close_fd(c->fd);
	if (c->eof)
		return 0;
	c->eof = true;
	return say(b, s, c, FRAME_EOF);
}

/* At the end of a socket pair, `hangup` says that the other one was closed rather than half closed: then nobody reads
 * what this side would still write, either. */
static int at_end(struct bridge *b, struct stream *s, struct channel *c, bool hangup)
{
	struct channel *other = other_direction(s, c);
	int r = source_end(b, s, c);

	if (r == 0 && c->both && hangup && b->end == BRIDGE_HOST && other->fd >= 0)
		r = sink_close(b, s, other);
	return r;
}

int source_read(struct bridge *b, struct stream *s, struct channel *c, bool hangup)
{
	size_t want = c->credit < FRAME_PAYLOAD_MAX ? c->credit : FRAME_PAYLOAD_MAX;
	uint8_t *to = (uint8_t *)str_room(&b->out, FRAME_HEADER + FRAME_PAYLOAD_MAX);
	ssize_t n = read_some(c, to + FRAME_HEADER, want);

	if (is_later(n))
		return 0;
	/* A pty whose last user closed it says EIO. */
	if (n <= 0)
		return at_end(b, s, c, hangup);
	frame_put_header(to, s->id, FRAME_DATA, channel_number(s, c), (uint32_t)n);
	str_grew(&b->out, FRAME_HEADER + (size_t)n);
	c->credit -= (uint32_t)n;
	c->due -= c->due < (size_t)n ? c->due : (size_t)n;
	return 0;
}

int source_on_credit(struct channel *c, const struct frame *f)
{
	uint32_t n = frame_get32(f->payload);

	if (!c->there || !c->source || c->closed || n == 0 || n > FRAME_WINDOW - c->credit)
		return -EPROTO;
	c->credit += n;
	return 0;
}

int source_on_close(struct bridge *b, struct stream *s, struct channel *c)
{
	if (!c->there || !c->source || c->closed)
		return -EPROTO;
	c->closed = true;
	if (c->both && c->mode == CHANNEL_SOCKET && c->fd >= 0)
		(void)shutdown(c->fd, SHUT_RD);
	return source_end(b, s, c);
}

/* --- sinks -------------------------------------------------------------------------------------------------------- */

static void drop(struct channel *c)
{
	str_release(&c->q);
	c->q_at = 0;
}

/* All is written. */
static void sink_finish(struct channel *c)
{
	if (c->both && c->mode == CHANNEL_SOCKET)
		(void)shutdown(c->fd, SHUT_WR);
	c->fd = close_fd(c->fd);
	drop(c);
}

int sink_close(struct bridge *b, struct stream *s, struct channel *c)
{
	c->fd = close_fd(c->fd);
	drop(c);
	if (c->eof || c->closed)
		return 0;
	c->closed = true;
	return say(b, s, c, FRAME_CLOSE);
}

static int grant(struct bridge *b, struct stream *s, struct channel *c, size_t n)
{
	uint8_t payload[MSG_NUMBER_BYTES];

	c->written += (uint32_t)n;
	if (c->eof || c->written < GRANT)
		return 0;
	msg_put_number(payload, c->written);
	c->credit += c->written;
	c->written = 0;
	return bridge_send(b, s->id, FRAME_CREDIT, channel_number(s, c), payload, sizeof(payload));
}

int sink_on_data(struct bridge *b, struct stream *s, struct channel *c, const struct frame *f)
{
	ssize_t n = 0;

	if (!c->there || c->source || c->eof || f->len > c->credit)
		return -EPROTO;
	c->credit -= f->len;
	if (c->fd < 0)
		return 0; /* CLOSE is on its way */
	if (c->q.len == 0)
		n = write_some(c, f->payload, f->len);
	if (n < 0 && !is_later(n))
		return sink_close(b, s, c);
	n = n < 0 ? 0 : n;
	if ((size_t)n < f->len)
		str_add(&c->q, f->payload + n, f->len - (size_t)n);
	return grant(b, s, c, (size_t)n);
}

int sink_on_eof(struct channel *c)
{
	if (!c->there || c->source || c->eof)
		return -EPROTO;
	c->eof = true;
	if (c->fd >= 0 && c->q.len == 0)
		sink_finish(c);
	return 0;
}

int sink_flush(struct bridge *b, struct stream *s, struct channel *c)
{
	size_t begin = c->q_at;
	ssize_t n = 0;

	do {
		c->q_at += (size_t)n;
		n = write_some(c, c->q.p + c->q_at, c->q.len - c->q_at);
	} while (n > 0 && c->q_at + (size_t)n < c->q.len);
	if (n < 0 && !is_later(n))
		return sink_close(b, s, c);
	c->q_at += n > 0 ? (size_t)n : 0;
	n = (ssize_t)(c->q_at - begin);
	if (c->q_at == c->q.len) {
		drop(c);
		if (c->eof)
			sink_finish(c);
	} else if (c->q_at >= KEEP) {
		memmove(c->q.p, c->q.p + c->q_at, c->q.len - c->q_at);
		c->q.len -= c->q_at;
		str_grew(&c->q, 0);
		c->q_at = 0;
	}
	return grant(b, s, c, (size_t)n);
}
