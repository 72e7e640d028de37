/* The two ends of a bridge and its loop; wire/bridge.h has the theory of operation. */
#include "wire/bridge_impl.h"

#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FDS_OTHERS = 64, FDS_OF_STREAM = 6, READS_AT_ONCE = 16, COMPACT = 64 * 1024 };

int64_t bridge_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

/* A descriptor that comes when no more may be open is lost, and with it the connection. */
static size_t streams_max(void)
{
	struct rlimit limit = {1024, 1024};
	rlim_t n;

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	n = limit.rlim_cur > FDS_OTHERS + FDS_OF_STREAM ? (limit.rlim_cur - FDS_OTHERS) / FDS_OF_STREAM : 1;
	return n < BRIDGE_STREAMS_MAX ? (size_t)n : BRIDGE_STREAMS_MAX;
}

struct bridge *bridge_new(enum bridge_end end, int local, int remote, const struct bridge_ops *ops)
{
	struct bridge *b = xcalloc(1, sizeof(*b));

	b->end = end;
	if (ops)
		b->ops = *ops;
	link_init(&b->local, local, LOCAL_BOUND);
	b->remote = remote;
	(void)fd_set_nonblock(remote, true);
	b->max = streams_max();
	b->streams = xcalloc(b->max, sizeof(struct stream *));
	return b;
}

void bridge_free(struct bridge *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n; i++)
		stream_release(b->streams[i]);
	free(b->streams);
	link_release(&b->local);
	(void)close_fd(b->remote);
	if (b->out.p)
		explicit_bzero(b->out.p, b->out.cap);
	str_release(&b->out);
	free(b->polls);
	free(b->polled);
	free(b);
}

bool bridge_local_ended(const struct bridge *b)
{
	return b->local_ended;
}

bool bridge_remote_ended(const struct bridge *b)
{
	return b->remote_ended;
}

bool bridge_greeted(const struct bridge *b)
{
	return b->greeted;
}

void bridge_accept(struct bridge *b)
{
	b->accepts = SIZE_MAX;
}

bool bridge_idle(const struct bridge *b)
{
	if ((!b->local_ended && link_pending(&b->local)) || (!b->remote_ended && bridge_pending(b) > 0))
		return false;
	for (size_t i = 0; i < b->n; i++) {
		if (b->streams[i]->ended)
			return false;
		for (int k = 0; k < FRAME_CHANNELS; k++)
			if (b->streams[i]->channels[k].q.len > 0)
				return false;
	}
	return true;
}

void bridge_may_replace(struct bridge *b)
{
	b->replaceable = true;
}

bool bridge_remote_lost(const struct bridge *b)
{
	return b->remote < 0;
}

void bridge_replace(struct bridge *b, int remote)
{
	(void)close_fd(b->remote);
	b->remote = remote;
	b->replaceable = false;
	b->in.begin = b->in.end = 0;
	(void)fd_set_nonblock(remote, true);
}

bool bridge_lose(struct bridge *b)
{
	if (!b->replaceable || b->greeted)
		return false;
	b->remote = close_fd(b->remote);
	return true;
}

static void sweep(struct bridge *b)
{
	for (size_t i = b->n; i-- > 0;) {
		if (!b->streams[i]->over)
			continue;
		stream_release(b->streams[i]);
		b->streams[i] = b->streams[--b->n];
	}
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

int bridge_send(struct bridge *b, uint32_t stream, enum frame_type type, uint8_t flags, const void *payload, size_t n)
{
	uint8_t header[FRAME_HEADER];

	if (b->remote_ended)
		return 0;
	if (bridge_pending(b) > OUT_BOUND)
		return -ENOBUFS;
	frame_put_header(header, stream, type, flags, (uint32_t)n);
	str_add(&b->out, header, sizeof(header));
	if (n > 0)
		str_add(&b->out, payload, n);
	return 0;
}

int bridge_send_local(struct bridge *b, uint32_t stream, uint8_t type, const void *payload, size_t n, int fd)
{
	if (!b->local_ended)
		return link_send(&b->local, stream, (enum frame_type)type, 0, payload, n, &fd, fd >= 0);
	(void)close_fd(fd);
	return 0;
}

int bridge_tell(struct bridge *b, uint8_t type, const void *payload, size_t n)
{
	return bridge_send_local(b, 0, type, payload, n, -1);
}

void bridge_say_last(struct bridge *b, uint8_t type, const void *payload, size_t n, int timeout_ms)
{
	if (!b->local_ended && bridge_tell(b, type, payload, n) == 0)
		(void)link_drain(&b->local, timeout_ms);
}

int bridge_tell_remote(struct bridge *b, uint8_t type, const void *payload, size_t n)
{
	return bridge_send(b, 0, (enum frame_type)type, 0, payload, n);
}

int bridge_tell_remote_first(struct bridge *b, uint8_t type, const void *payload, size_t n)
{
	size_t waiting = b->out.len;
	uint8_t header[FRAME_HEADER];
	int r = bridge_send(b, 0, (enum frame_type)type, 0, payload, n);

	if (r < 0 || b->out.len == waiting)
		return r;
	frame_put_header(header, 0, (enum frame_type)type, 0, (uint32_t)n);
	memmove(b->out.p + sizeof(header) + n, b->out.p, waiting);
	memcpy(b->out.p, header, sizeof(header));
	memcpy(b->out.p + sizeof(header), payload, n);
	return 0;
}

static void cut_remote(struct bridge *b)
{
	b->remote_ended = true;
	for (size_t i = 0; i < b->n; i++)
		stream_cut(b->streams[i]);
}

/* Environments with secrets pass through here: what was sent is wiped out. */
static void flush_remote(struct bridge *b)
{
	while (bridge_pending(b) > 0 && !b->remote_ended && (b->greeted || b->end == BRIDGE_GUEST)) {
		ssize_t n = write(b->remote, b->out.p + b->out_at, bridge_pending(b));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			cut_remote(b);
		if (n <= 0)
			break;
		explicit_bzero(b->out.p + b->out_at, (size_t)n);
		b->out_at += (size_t)n;
	}
	if (bridge_pending(b) == 0) {
		str_clear(&b->out);
		b->out_at = 0;
	} else if (b->out_at >= COMPACT) {
		size_t left = bridge_pending(b);

		memmove(b->out.p, b->out.p + b->out_at, left);
		explicit_bzero(b->out.p + left, b->out.len - left);
		b->out.len = left;
		str_grew(&b->out, 0);
		b->out_at = 0;
	}
}

static void flush_local(struct bridge *b)
{
	if (!b->local_ended && link_flush(&b->local) < 0)
		b->local_ended = true;
}

/* --- frames --------------------------------------------------------------------------------------------------------
 */

static int on_local_frame(struct bridge *b, const struct frame *f)
{
	if (f->stream != 0)
		return stream_from_local(b, f);
	return b->end == BRIDGE_HOST ? bridge_on_host_word(b, f, false) : bridge_on_guest_word(b, f, false);
}

static int on_remote_frame(struct bridge *b, const struct frame *f)
{
	if (f->stream != 0)
		return stream_from_remote(b, f);
	return b->end == BRIDGE_HOST ? bridge_on_guest_word(b, f, true) : bridge_on_host_word(b, f, true);
}

/* --- receiving ---------------------------------------------------------------------------------------------------- */

/* Drops what comes before the first HELLO, or before words on why there will be none. */
static void synchronise(struct bridge *b)
{
	struct frame_decoder *d = &b->in;
	uint8_t hello[FRAME_HEADER + 4];
	uint8_t err[FRAME_HEADER - 4];

	frame_put_header(hello, 0, FRAME_HELLO, 0, MSG_HELLO_BYTES);
	frame_put32(hello + FRAME_HEADER, MSG_VERSION);
	memset(err, 0, sizeof(err));
	err[4] = FRAME_ERR;
	for (; d->end - d->begin >= FRAME_HEADER + MSG_ERR_BYTES; d->begin++) {
		const uint8_t *p = d->buf + d->begin;

		if (memcmp(p, hello, sizeof(hello)) == 0)
			return;
		if (memcmp(p + 4, err, sizeof(err)) == 0 && frame_get32(p + FRAME_HEADER + 4) == MSG_STAGE_MACHINE &&
		    frame_get32(p) >= MSG_ERR_BYTES && frame_get32(p) <= MSG_ERR_BYTES + FRAME_WORDS_MAX)
			return;
	}
}

static int remote_frames(struct bridge *b)
{
	struct frame f;
	int r = 1;

	while (r > 0 && b->local.out.len - b->local.out_at < LOCAL_PAUSE) {
		if (b->end == BRIDGE_HOST && !b->greeted) {
			synchronise(b);
			if (b->in.end - b->in.begin < FRAME_HEADER + MSG_ERR_BYTES)
				return 0;
		}
		r = frame_next(&b->in, &f);
		if (r > 0 && on_remote_frame(b, &f) < 0)
			return -EPROTO;
	}
	return r < 0 ? r : 0;
}

static int local_frames(struct bridge *b)
{
	struct frame f;
	int r = 1;

	while (r > 0 && bridge_pending(b) < OUT_PAUSE) {
		r = link_next(&b->local, false, &f);
		if (r > 0) {
			int k = on_local_frame(b, &f);

			if (k < 0)
				return k;
		}
	}
	return r < 0 ? r : 0;
}

static int receive_remote(struct bridge *b)
{
	for (int i = 0; i < READS_AT_ONCE; i++) {
		size_t room;
		uint8_t *to = frame_room(&b->in, &room);
		ssize_t n;
		int r;

		if (room == 0)
			return 0; /* frames wait until the local end takes some */
		n = read(b->remote, to, room);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0) {
			if (!bridge_lose(b))
				cut_remote(b);
			return 0;
		}
		frame_grew(&b->in, (size_t)n);
		r = remote_frames(b);
		if (r < 0 || b->remote < 0)
			return r;
	}
	return 0;
}

static int receive_local(struct bridge *b)
{
	int r = link_receive(&b->local);

	if (r == 0 || (r < 0 && r != -EAGAIN && r != -EINTR))
		b->local_ended = true;
	return local_frames(b);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

enum { LOCAL, REMOTE, FIXED };

static short wanted(const struct bridge *b, const struct stream *s, const struct channel *c)
{
	if (c->fd < 0 || s->over)
		return 0;
	if (!c->source)
		return c->q.len > 0 ? POLLOUT : 0;
	if (c->credit == 0 || b->remote_ended || bridge_pending(b) >= OUT_PAUSE)
		return 0;
	/* What a command that does not come to be would not have read, stays. */
	return b->end == BRIDGE_GUEST || s->started ? POLLIN : 0;
}

static size_t fill_polls(struct bridge *b, const struct pollfd *extra, size_t n_extra)
{
	size_t n = FIXED + n_extra;
	size_t most = n + b->n * FRAME_CHANNELS;
	bool in = bridge_pending(b) < OUT_PAUSE;

	if (most > b->polls_cap) {
		b->polls_cap = most * 2;
		b->polls = xrealloc_array(b->polls, b->polls_cap, sizeof(*b->polls));
		b->polled = xrealloc_array(b->polled, b->polls_cap, sizeof(*b->polled));
	}
	b->polls[LOCAL] = (struct pollfd){.fd = b->local_ended ? -1 : b->local.fd, .events = in ? POLLIN : 0};
	if (link_pending(&b->local))
		b->polls[LOCAL].events |= POLLOUT;
	in = b->local.out.len - b->local.out_at < LOCAL_PAUSE;
	b->polls[REMOTE] = (struct pollfd){.fd = b->remote_ended ? -1 : b->remote, .events = in ? POLLIN : 0};
	if (bridge_pending(b) > 0 && (b->greeted || b->end == BRIDGE_GUEST))
		b->polls[REMOTE].events |= POLLOUT;
	if (n_extra > 0)
		memcpy(b->polls + FIXED, extra, n_extra * sizeof(*extra));
	for (size_t i = 0; i < b->n; i++) {
		struct stream *s = b->streams[(b->first + i) % b->n];

		for (int k = 0; k < FRAME_CHANNELS; k++) {
			short events = wanted(b, s, &s->channels[k]);

			if (!events)
				continue;
			b->polled[n] = (struct bridge_polled){s, &s->channels[k]};
			b->polls[n++] = (struct pollfd){.fd = s->channels[k].fd, .events = events};
		}
	}
	b->first = b->n > 0 ? (b->first + 1) % b->n : 0;
	return n;
}

static int work_channels(struct bridge *b, size_t from, size_t n)
{
	int r = 0;

	for (size_t i = from; i < n && r == 0; i++) {
		struct stream *s = b->polled[i].s;
		struct channel *c = b->polled[i].c;

		/* Frames that came meanwhile may have ended it, or written what there was. */
		if (!b->polls[i].revents || !wanted(b, s, c) || c->fd != b->polls[i].fd)
			continue;
		r = c->source ? source_read(b, s, c, b->polls[i].revents & POLLHUP) : sink_flush(b, s, c);
	}
	return r;
}

static int settle(struct bridge *b)
{
	int64_t now = b->n > 0 ? bridge_now_ms() : 0;
	int r = 0;

	for (size_t i = 0; i < b->n && r == 0; i++)
		r = stream_settle(b, b->streams[i], now);
	return r;
}

/* When an output is given up next, if that is before the caller's own time. */
static int timeout_of(const struct bridge *b, int timeout_ms)
{
	int64_t now = 0;

	for (size_t i = 0; i < b->n; i++) {
		const struct stream *s = b->streams[i];
		int64_t left;

		if (!s->ended || s->give_up == 0)
			continue;
		now = now ? now : bridge_now_ms();
		left = s->give_up - now;
		if (left > 0 && (timeout_ms < 0 || left < timeout_ms))
			timeout_ms = (int)left;
	}
	return timeout_ms;
}

/* What was left in the buffers when the other end had to be waited for. */
static int leftovers(struct bridge *b)
{
	int r = remote_frames(b);

	if (r == 0)
		r = local_frames(b);
	if (r == 0)
		r = settle(b);
	return r < 0 ? r : stream_ask(b);
}

int bridge_step(struct bridge *b, struct pollfd *extra, size_t n_extra, int timeout_ms)
{
	size_t n;
	int r = leftovers(b);

	if (r < 0)
		return r;
	flush_remote(b);
	flush_local(b);
	sweep(b);
	n = fill_polls(b, extra, n_extra);
	r = poll(b->polls, n, timeout_of(b, timeout_ms));
	if (r < 0 && errno != EINTR)
		return -errno;
	for (size_t i = 0; i < n_extra; i++) {
		extra[i].revents = b->polls[FIXED + i].revents;
		if (r < 0)
			extra[i].revents = 0;
	}
	if (r <= 0)
		return leftovers(b);
	if (b->polls[REMOTE].revents & (POLLIN | POLLHUP | POLLERR))
		r = receive_remote(b);
	else
		r = 0;
	if (r == 0 && b->polls[LOCAL].revents & (POLLIN | POLLHUP | POLLERR))
		r = receive_local(b);
	if (r == 0)
		r = work_channels(b, FIXED + n_extra, n);
	if (r == 0)
		r = settle(b);
	flush_remote(b);
	flush_local(b);
	return r;
}
