/* Theory of operation
 *
 * One poll() loop. Either direction holds one chunk: nothing more is read until it was written, so a slow side slows
 * the other one down instead of filling memory. The user's stdin and stdout stay blocking, since their file
 * descriptions are shared with whoever started igloo; so they are touched only when poll() says so, and stdout is given
 * no more than PIPE_BUF at a time, which a pipe that is ready takes without blocking. */
#include "cmd/pump.h"

#include "cmd/client.h"
#include "sys/fd.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { CHUNK = 65536, INPUT_CHUNK = 4096, DRAIN_MAX = 1 << 20 };

void pump_init(struct pump *r, const struct pump_ops *ops, struct link *l, int signals)
{
	*r = (struct pump){.ops = ops, .link = l, .signals = signals, .stream = -1, .in = -1};
	tty_save(&r->tty);
}

void pump_set_stream(struct pump *r, int fd)
{
	(void)fd_set_nonblock(fd, true);
	r->stream = fd;
}

void pump_raw(struct pump *r)
{
	if (isatty(STDIN_FILENO) && r->tty.fd == STDIN_FILENO && tty_raw(&r->tty) == 0)
		r->raw = true;
}

static void lose(struct pump *r)
{
	if (r->lost)
		return;
	r->lost = true;
	r->in = -1;
	str_clear(&r->output);
	r->output_at = 0;
	if (r->ops->on_lost)
		r->ops->on_lost(r);
}

static int on_link(struct pump *r, struct err **e)
{
	struct frame f;
	int k = link_receive(r->link);

	if (k == -EAGAIN || k == -EINTR)
		return 0;
	while (k > 0 && !r->done) {
		int n = link_next(r->link, false, &f);

		if (n == 0)
			return 0;
		if (n < 0)
			return err_set(e, EPROTO, "the box's supervisor sent what is no frame");
		n = r->ops->on_frame ? r->ops->on_frame(r, &f, e) : 0;
		if (n < 0)
			return n;
	}
	if (k <= 0)
		r->link_ended = true;
	return 0;
}

static void on_signals(struct pump *r)
{
	struct signalfd_siginfo info;

	while (read(r->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (r->ops->on_signal)
			r->ops->on_signal(r, (int)info.ssi_signo);
}

static void stream_end(struct pump *r)
{
	r->stream = close_fd(r->stream);
	if (r->ops->on_stream_end)
		r->ops->on_stream_end(r);
}

/* Returns whether something came. A pty whose last user closed it says EIO; a socket whose other end was closed with
 * something unread, ECONNRESET. */
static bool read_stream(struct pump *r)
{
	char *room = str_room(&r->output, CHUNK);
	ssize_t n = read(r->stream, room, CHUNK);

	if (n > 0) {
		if (!r->lost)
			str_grew(&r->output, (size_t)n);
		return true;
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		stream_end(r);
	return false;
}

static void drop_input(struct pump *r)
{
	str_clear(&r->input);
	r->input_at = 0;
}

static void write_stream(struct pump *r)
{
	ssize_t n = r->input_at < r->input.len ? write(r->stream, r->input.p + r->input_at, r->input.len - r->input_at)
					       : 0;

	if (n > 0)
		r->input_at += (size_t)n;
	if (r->input_at == r->input.len || (n < 0 && errno != EAGAIN && errno != EINTR))
		drop_input(r);
}

static void read_input(struct pump *r)
{
	char bytes[INPUT_CHUNK];
	ssize_t n = read(r->in, bytes, sizeof(bytes));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0 && r->ops->on_input) {
		r->ops->on_input(r, bytes, (size_t)n);
	} else if (n > 0) {
		str_add(&r->input, bytes, (size_t)n);
	} else {
		r->in = -1;
		if (r->raw) /* a raw terminal has no other end than its loss */
			lose(r);
		else if (r->ops->on_input_end)
			r->ops->on_input_end(r);
	}
}

static void write_output(struct pump *r)
{
	size_t left = r->output.len - r->output_at;
	ssize_t n = write(STDOUT_FILENO, r->output.p + r->output_at, left > PIPE_BUF ? PIPE_BUF : left);

	if (n < 0 && errno != EINTR && errno != EAGAIN) {
		lose(r);
		return;
	}
	r->output_at += n > 0 ? (size_t)n : 0;
	if (r->output_at == r->output.len) {
		str_clear(&r->output);
		r->output_at = 0;
	}
}

enum { LINK, SIGNALS, STREAM, IN, OUT, POLLS };

static void fill_polls(const struct pump *r, struct pollfd *p)
{
	bool input = r->input_at < r->input.len;
	bool output = r->output_at < r->output.len;

	p[LINK] = (struct pollfd){.fd = r->link_ended ? -1 : r->link->fd,
				  .events = (short)(POLLIN | (link_pending(r->link) ? POLLOUT : 0))};
	p[SIGNALS] = (struct pollfd){.fd = r->signals, .events = POLLIN};
	p[STREAM] = (struct pollfd){.fd = output && !input ? -1 : r->stream,
				    .events = (short)((output ? 0 : POLLIN) | (input ? POLLOUT : 0))};
	p[IN] = (struct pollfd){.fd = input || r->stream < 0 ? -1 : r->in, .events = POLLIN};
	/* Without events it is there for the news that nobody reads any more. */
	p[OUT] = (struct pollfd){.fd = r->stream < 0 || r->lost ? -1 : STDOUT_FILENO, .events = output ? POLLOUT : 0};
}

static int step(struct pump *r, struct err **e)
{
	int64_t left = r->deadline ? r->deadline - client_now_ms() : -1;
	struct pollfd p[POLLS];

	if (r->deadline && left <= 0) {
		r->done = true;
		return 0;
	}
	fill_polls(r, p);
	if (poll(p, POLLS, (int)left) < 0)
		return errno == EINTR ? 0 : err_errno(e, errno, "poll");
	if (p[SIGNALS].revents)
		on_signals(r);
	if (p[OUT].revents & POLLOUT)
		write_output(r);
	else if (p[OUT].revents & (POLLERR | POLLHUP | POLLNVAL))
		lose(r);
	if (r->stream >= 0 && (p[STREAM].revents & POLLOUT))
		write_stream(r);
	else if (p[STREAM].revents & (POLLHUP | POLLERR))
		drop_input(r);
	if (r->stream >= 0 && r->output.len == 0 && (p[STREAM].revents & (POLLIN | POLLHUP | POLLERR)))
		(void)read_stream(r);
	if (r->in >= 0 && p[IN].revents)
		read_input(r);
	if (link_pending(r->link) && !r->link_ended && link_flush(r->link) < 0)
		r->link_ended = true;
	return p[LINK].revents & (POLLIN | POLLHUP | POLLERR) ? on_link(r, e) : 0;
}

int pump_run(struct pump *r, bool until_stream_ends, struct err **e)
{
	int k = 0;

	while (k == 0 && !r->done && !(r->link_ended && (r->stream < 0 || !until_stream_ends)))
		k = step(r, e);
	return k;
}

static void write_rest(struct pump *r)
{
	if (!r->lost && r->output_at < r->output.len &&
	    fd_write_all(STDOUT_FILENO, r->output.p + r->output_at, r->output.len - r->output_at) < 0)
		r->lost = true;
	str_clear(&r->output);
	r->output_at = 0;
}

void pump_drain(struct pump *r)
{
	size_t total = 0;

	write_rest(r);
	/* poll() hands on what the kernel has not moved from the slave's side to the master's yet; read() alone would
	 * not, on old kernels. A process left behind may write for ever, so there is a bound: more than a pty holds. */
	while (r->stream >= 0 && !r->lost && total < DRAIN_MAX) {
		struct pollfd p = {.fd = r->stream, .events = POLLIN};

		if (poll(&p, 1, 0) <= 0 || !read_stream(r))
			break;
		total += r->output.len;
		write_rest(r);
	}
}

void pump_release(struct pump *r)
{
	if (r->raw)
		tty_restore(&r->tty);
	r->raw = false;
	str_release(&r->input);
	str_release(&r->output);
	r->stream = close_fd(r->stream);
	r->signals = close_fd(r->signals);
}
