#include "cmd/copying.h"

#include "box/execenv.h"
#include "box/spec.h"
#include "cmd/client.h"
#include "sys/fd.h"
#include "wire/copystream.h"
#include "wire/exec.h"
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { STREAM = 1, TICK_MS = 200, PIPE_BYTES = 1 << 20 };

/* --- the start ---------------------------------------------------------------------------------------------------- */

static int make_pipe(int ends[2], struct err **e)
{
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	/* Fewer turns; where it is not allowed, it goes without. */
	(void)fcntl(ends[0], F_SETPIPE_SZ, PIPE_BYTES);
	return 0;
}

/* The command's descriptors, and this side's ends in c. */
static int make_pipes(struct copying *c, bool input, int fds[EXEC_FDS], struct err **e)
{
	int ends[2];
	int r = 0;

	if (input && (r = make_pipe(ends, e)) == 0) {
		fds[0] = ends[0];
		c->to = ends[1];
	}
	if (r == 0 && (r = make_pipe(ends, e)) == 0) {
		fds[1] = ends[1];
		c->from = ends[0];
	}
	for (int i = 0; i < EXEC_FDS && r == 0; i++)
		if (fds[i] < 0 && (fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
			r = err_errno(e, errno, "cannot open /dev/null");
	if (r == 0 && ((c->to >= 0 && fd_set_nonblock(c->to, true) < 0) || fd_set_nonblock(c->from, true) < 0))
		r = err_errno(e, errno, "cannot set up a pipe");
	return r;
}

static int send_exec(struct copying *c, const char *how, const char *path, int fds[EXEC_FDS], struct err **e)
{
	_cleanup_execenv_ struct execenv box = {.cwd = NULL};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	char *const none[] = {NULL};
	struct exec x = {.flags = EXEC_HAS_FDS, .uid = BOX_UID, .gid = BOX_GID, .cwd = "/", .env = none};
	int r = *path == '/' ? 0 : execenv_read(c->box, &box, e);

	if (r < 0)
		return r;
	strv_add(&argv, COPY_PROGRAM);
	strv_add(&argv, how);
	strv_add(&argv, path);
	x.argv = argv.v;
	if (box.cwd)
		x.cwd = box.cwd;
	r = exec_send(c->link, STREAM, &x, fds);
	for (int i = 0; i < EXEC_FDS; i++)
		fds[i] = -1; /* the link's now */
	return r < 0 ? err_errno(e, -r, "cannot pass the path to the box") : 0;
}

int copying_start(struct copying *c, const char *box, const char *how, const char *path, bool input, struct err **e)
{
	int fds[EXEC_FDS] = {-1, -1, -1};
	int r;

	c->box = box;
	r = client_open(box, &c->link, e);
	if (r == 0)
		r = c->signals = client_signals(e);
	if (r >= 0)
		r = make_pipes(c, input, fds, e);
	if (r == 0)
		r = send_exec(c, how, path, fds, e);
	for (int i = 0; i < EXEC_FDS; i++)
		(void)close_fd(fds[i]);
	return r;
}

/* --- meanwhile ---------------------------------------------------------------------------------------------------- */

static void on_frame(struct copying *c, const struct frame *f)
{
	struct msg_err m;

	if (f->stream != STREAM)
		return;
	if (f->type == FRAME_EXIT)
		c->exited = true;
	if (f->type != FRAME_ERR || msg_get_err(f, &m) < 0 || c->failed)
		return;
	if (m.stage == MSG_STAGE_START && m.errnum == ESHUTDOWN)
		(void)err_set(&c->failed, ESHUTDOWN, "box '%s' is ending", c->box);
	else
		(void)err_errno(&c->failed, (int)m.errnum, "cannot copy in box '%s' (%s)", c->box,
				msg_stage_name(m.stage));
}

static void on_link(struct copying *c)
{
	int r = link_receive(c->link);
	struct frame f;

	if (r == -EAGAIN || r == -EINTR)
		return;
	c->link_ended = r <= 0;
	while (r > 0 && (r = link_next(c->link, false, &f)) > 0)
		on_frame(c, &f);
	c->link_ended = c->link_ended || r < 0;
}

static void on_signal(struct copying *c)
{
	struct signalfd_siginfo info;

	if (read(c->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM || info.ssi_signo == SIGHUP ||
	    info.ssi_signo == SIGQUIT)
		c->signo = (int)info.ssi_signo;
}

int copying_wait(struct copying *c, int fd, short events)
{
	for (;;) {
		struct pollfd p[3] = {{.fd = fd, .events = events},
				      {.fd = c->signals, .events = POLLIN},
				      {.fd = c->link_ended ? -1 : c->link->fd,
				       .events = (short)(POLLIN | (link_pending(c->link) ? POLLOUT : 0))}};

		if (poll(p, 3, TICK_MS) < 0 && errno != EINTR)
			return -errno;
		if (c->tick)
			c->tick(c->user);
		if (p[1].revents)
			on_signal(c);
		if (c->signo)
			return -EINTR;
		if (p[2].revents & POLLOUT)
			c->link_ended = link_flush(c->link) < 0;
		if (p[2].revents & (POLLIN | POLLHUP | POLLERR))
			on_link(c);
		if (p[0].revents)
			return 0;
		if (c->failed)
			return -ECANCELED;
		if (c->link_ended)
			return -ECONNRESET;
	}
}

int copying_write(struct copying *c, const void *bytes, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t k = write(c->to, (const char *)bytes + at, n - at);
		int r = 0;

		if (k > 0)
			at += (size_t)k;
		else if (errno == EAGAIN)
			r = copying_wait(c, c->to, POLLOUT);
		else if (errno != EINTR)
			r = -errno;
		if (r < 0)
			return r;
	}
	return 0;
}

void copying_close(struct copying *c)
{
	c->to = close_fd(c->to);
}

ssize_t copying_read(struct copying *c, void *bytes, size_t n)
{
	for (;;) {
		ssize_t k;
		int r = copying_wait(c, c->from, POLLIN);

		if (r < 0)
			return r;
		k = read(c->from, bytes, n);
		if (k == 0 && c->failed)
			return -ECANCELED;
		if (k >= 0)
			return k;
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

int copying_error(struct copying *c, int r, struct err **e)
{
	if (c->failed) {
		if (e)
			*e = take_ptr(c->failed);
		return -ECANCELED;
	}
	if (r == -EINTR)
		return err_set(e, EINTR, "interrupted");
	if (r == -EPROTO)
		return err_set(e, EPROTO, "box '%s' sent what is no copy of files", c->box);
	if (r == -ECONNRESET || r == -EPIPE || r == 0) {
		/* The command was killed, or all of the box. */
		(void)client_ends(c->link, 300);
		return err_set(e, EPIPE, "box '%s' ended, or its part of the copy was killed", c->box);
	}
	return err_errno(e, -r, "cannot copy from or to box '%s'", c->box);
}

void copying_release(struct copying *c)
{
	if (c->link && !c->exited && !c->link_ended)
		(void)client_send_number(c->link, STREAM, FRAME_SIGNAL, SIGKILL);
	if (c->link)
		(void)link_flush(c->link);
	(void)close_fd(c->to);
	(void)close_fd(c->from);
	(void)close_fd(c->signals);
	client_close(c->link);
	err_free(c->failed);
	*c = (struct copying)COPYING_INIT;
}
