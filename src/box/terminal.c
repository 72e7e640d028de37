#include "box/terminal.h"

#include "sys/fd.h"
#include "wire/frame.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

enum { SHOWN_CHUNK = 65536, TYPED_CHUNK = 4096, LAST_MAX = 1 << 20 };

void terminal_begin(struct terminal *t, int master, const struct tty_saved *saved)
{
	(void)fd_set_nonblock(master, true);
	t->master = master;
	if (saved->fd >= 0)
		(void)tty_raw(saved);
}

int terminal_resize(const struct terminal *t, uint8_t ret_size[4])
{
	uint16_t rows;
	uint16_t cols;

	if (t->master < 0)
		return 0;
	tty_size(STDOUT_FILENO, &rows, &cols);
	frame_put16(ret_size, rows);
	frame_put16(ret_size + 2, cols);
	return tty_set_size(t->master, rows, cols) == -ENOTTY;
}

static void clear(struct str *s, size_t *at)
{
	str_clear(s);
	*at = 0;
}

static void lose(struct terminal *t)
{
	t->lost = true;
	clear(&t->shown, &t->shown_at);
	clear(&t->typed, &t->typed_at);
}

static bool is_later(ssize_t n)
{
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Returns whether something came. A pty whose last user closed it says EIO. */
static bool read_master(struct terminal *t)
{
	ssize_t n = read(t->master, str_room(&t->shown, SHOWN_CHUNK), SHOWN_CHUNK);

	if (n > 0 && !t->lost)
		str_grew(&t->shown, (size_t)n);
	if (n <= 0 && !is_later(n))
		t->master = close_fd(t->master);
	return n > 0;
}

static void write_master(struct terminal *t)
{
	ssize_t n = write(t->master, t->typed.p + t->typed_at, t->typed.len - t->typed_at);

	t->typed_at += n > 0 ? (size_t)n : 0;
	if (t->typed_at == t->typed.len || (n < 0 && !is_later(n)))
		clear(&t->typed, &t->typed_at);
}

static void read_user(struct terminal *t)
{
	ssize_t n = read(STDIN_FILENO, str_room(&t->typed, TYPED_CHUNK), TYPED_CHUNK);

	if (n > 0)
		str_grew(&t->typed, (size_t)n);
	else if (!is_later(n)) /* a raw terminal has no other end than its loss */
		lose(t);
}

static void write_user(struct terminal *t)
{
	size_t left = t->shown.len - t->shown_at;
	ssize_t n = write(STDOUT_FILENO, t->shown.p + t->shown_at, left > PIPE_BUF ? PIPE_BUF : left);

	if (n < 0 && !is_later(n)) {
		lose(t);
		return;
	}
	t->shown_at += n > 0 ? (size_t)n : 0;
	if (t->shown_at == t->shown.len)
		clear(&t->shown, &t->shown_at);
}

void terminal_poll(const struct terminal *t, struct pollfd fds[TERMINAL_POLLS])
{
	bool typed = t->typed.len > 0;
	bool shown = t->shown.len > 0;
	bool on = t->master >= 0 && !t->lost;

	fds[0] = (struct pollfd){.fd = shown && !typed ? -1 : t->master,
				 .events = (short)((shown ? 0 : POLLIN) | (typed ? POLLOUT : 0))};
	fds[1] = (struct pollfd){.fd = on && !typed ? STDIN_FILENO : -1, .events = POLLIN};
	fds[2] = (struct pollfd){.fd = on || (shown && !t->lost) ? STDOUT_FILENO : -1, .events = shown ? POLLOUT : 0};
}

void terminal_work(struct terminal *t, const struct pollfd fds[TERMINAL_POLLS])
{
	if (fds[2].revents & POLLOUT)
		write_user(t);
	else if (fds[2].revents)
		lose(t);
	if (t->master >= 0 && t->typed.len > 0 && fds[0].revents)
		write_master(t);
	if (t->master >= 0 && t->shown.len == 0 && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)))
		(void)read_master(t);
	if (!t->lost && fds[1].revents)
		read_user(t);
}

static void write_rest(struct terminal *t)
{
	if (t->shown.len > t->shown_at &&
	    fd_write_all(STDOUT_FILENO, t->shown.p + t->shown_at, t->shown.len - t->shown_at) < 0)
		t->lost = true;
	clear(&t->shown, &t->shown_at);
}

void terminal_end(struct terminal *t)
{
	write_rest(t);
	for (size_t n = 0; t->master >= 0 && !t->lost && n < LAST_MAX;) {
		struct pollfd p = {.fd = t->master, .events = POLLIN};

		if (poll(&p, 1, 0) <= 0 || !read_master(t))
			break;
		n += t->shown.len;
		write_rest(t);
	}
	t->master = close_fd(t->master);
	str_release(&t->typed);
	str_release(&t->shown);
}
