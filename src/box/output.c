#include "box/output.h"

#include "box/redact.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/tty.h"
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 65536, REPLAY = 65536, TYPED = 4096 };

struct output {
	int dir;
	int log;
	size_t log_size;
	struct redact *redact;
	int source; /* the pty's master, or the read end of the command's pipe; -1 before or after */
	int input;  /* where attached people type: the master again, or the write end of stdin's pipe */
	bool pty;
	int attached[OUTPUT_ATTACHED_MAX];
	size_t n_attached;
	char typed[TYPED]; /* what attached people typed and `input` has not taken yet: typed[typed_at..typed_n) */
	size_t typed_at;
	size_t typed_n;
};

static void open_log(struct output *o)
{
	struct stat st;

	o->log = file_open_beneath(o->dir, "log", O_WRONLY | O_CREAT | O_APPEND, 0600);
	o->log_size = o->log >= 0 && fstat(o->log, &st) == 0 ? (size_t)st.st_size : 0;
}

int output_new(int box_dir, const struct secrets *secrets, struct exec *x, int ret_fds[EXEC_FDS], struct output **ret,
	       struct err **e)
{
	struct output *o = xcalloc(1, sizeof(*o));
	int out[2];
	int in[2];

	*o = (struct output){.dir = box_dir, .source = -1, .input = -1, .pty = x->flags & EXEC_PTY};
	open_log(o);
	o->redact = redact_new(secrets);
	if (o->log < 0) {
		redact_free(o->redact);
		free(o);
		return err_set(e, EIO, "cannot open the box's log");
	}
	if (!o->pty) {
		if (pipe2(out, O_CLOEXEC) < 0 || pipe2(in, O_CLOEXEC) < 0) {
			output_free(o);
			return err_errno(e, errno, "cannot make a pipe");
		}
		o->source = out[0];
		o->input = in[1];
		(void)fd_set_nonblock(o->source, true);
		(void)fd_set_nonblock(o->input, true);
		ret_fds[0] = in[0];
		ret_fds[1] = out[1];
		ret_fds[2] = fcntl(out[1], F_DUPFD_CLOEXEC, 3);
		x->flags |= EXEC_HAS_FDS;
	}
	*ret = o;
	return 0;
}

void output_set_master(struct output *o, int master)
{
	(void)fd_set_nonblock(master, true);
	o->source = master;
	o->input = fcntl(master, F_DUPFD_CLOEXEC, 3);
}

static void detach(struct output *o, size_t i)
{
	(void)close_fd(o->attached[i]);
	o->attached[i] = o->attached[--o->n_attached];
}

static void keep(struct output *o, const char *bytes, size_t n)
{
	if (o->log_size + n > OUTPUT_LOG_MAX) {
		(void)renameat(o->dir, "log", o->dir, "log.1");
		o->log = close_fd(o->log);
		open_log(o);
	}
	/* A full disk loses log, not the box. */
	if (o->log >= 0 && fd_write_all(o->log, bytes, n) == 0)
		o->log_size += n;
}

static void take(struct output *o, const char *bytes, size_t n)
{
	if (o->redact) {
		_cleanup_str_ struct str clean = STR_INIT;

		redact_add(o->redact, bytes, n, false, &clean);
		keep(o, str_text(&clean), clean.len);
	} else {
		keep(o, bytes, n);
	}
	for (size_t i = o->n_attached; i-- > 0;)
		if (send(o->attached[i], bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n)
			detach(o, i);
}

/* Reads what is there. Returns false at the end. */
static bool pump(struct output *o)
{
	char bytes[CHUNK];
	ssize_t n = read(o->source, bytes, sizeof(bytes));

	if (n > 0) {
		take(o, bytes, (size_t)n);
		return true;
	}
	/* A pty whose last user closed it says EIO. */
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

int output_resize(struct output *o, const uint8_t size[4])
{
	uint16_t rows = frame_get16(size);
	uint16_t cols = frame_get16(size + 2);

	if (!o)
		return -EPROTO;
	if (o->pty && o->source >= 0 && rows > 0 && cols > 0)
		return tty_set_size(o->source, rows, cols) == -ENOTTY;
	return 0;
}

int output_attach(struct output *o, struct link *client, const struct frame *f)
{
	uint8_t payload[MSG_NUMBER_BYTES];
	_cleanup_free_ char *last = xmalloc(REPLAY);
	_cleanup_close_ int log = -1;
	int pair[2];
	const int size = 4 << 20;

	if (!o || o->n_attached == OUTPUT_ATTACHED_MAX)
		return -EPROTO;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	log = file_open_beneath(o->dir, "log", O_RDONLY, 0);
	if (log >= 0) {
		off_t from = o->log_size > REPLAY ? (off_t)(o->log_size - REPLAY) : 0;
		ssize_t n = pread(log, last, REPLAY, from);

		if (n > 0)
			(void)!send(pair[0], last, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	o->attached[o->n_attached++] = pair[0];
	msg_put_number(payload, o->pty ? 2 : 1);
	return link_send(client, f->stream, FRAME_STARTED, 0, payload, sizeof(payload), &pair[1], 1);
}

size_t output_poll(struct output *o, struct pollfd *fds)
{
	bool typed;

	if (!o)
		return 0;
	typed = o->typed_at < o->typed_n;
	fds[0] = (struct pollfd){.fd = o->source, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = typed ? o->input : -1, .events = POLLOUT};
	/* A command that does not read what was typed keeps those who typed waiting, as a terminal does. */
	for (size_t i = 0; i < o->n_attached; i++)
		fds[2 + i] = (struct pollfd){.fd = o->attached[i], .events = typed ? 0 : POLLIN};
	return 2 + o->n_attached;
}

static void pass_typed(struct output *o)
{
	ssize_t n = o->input < 0 ? 0 : write(o->input, o->typed + o->typed_at, o->typed_n - o->typed_at);

	if (n > 0)
		o->typed_at += (size_t)n;
	/* Nobody reads any more: what was typed is lost, as on a terminal. */
	if (o->input < 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		o->typed_at = o->typed_n;
}

/* Reads from everyone attached, as long as there is room. */
static void take_typed(struct output *o, const struct pollfd *fds)
{
	for (size_t i = o->n_attached; i-- > 0;) {
		bool full = o->typed_at < o->typed_n;
		ssize_t n;

		if (!fds[i].revents || (full && !(fds[i].revents & (POLLHUP | POLLERR))))
			continue;
		n = full ? 0 : recv(o->attached[i], o->typed, sizeof(o->typed), MSG_DONTWAIT);
		if (n > 0) {
			o->typed_at = 0;
			o->typed_n = (size_t)n;
			pass_typed(o);
		} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			detach(o, i);
		}
	}
}

void output_work(struct output *o, const struct pollfd *fds)
{
	if (!o)
		return;
	if (fds[1].revents)
		pass_typed(o);
	take_typed(o, fds + 2);
	if (fds[0].fd >= 0 && fds[0].revents && !pump(o)) {
		o->source = close_fd(o->source);
		if (o->pty)
			o->input = close_fd(o->input);
	}
}

void output_free(struct output *o)
{
	if (!o)
		return;
	for (int i = 0; o->source >= 0 && i < 1024; i++) {
		struct pollfd more = {.fd = o->source, .events = POLLIN};

		if (poll(&more, 1, 0) <= 0 || !(more.revents & POLLIN) || !pump(o))
			break;
	}
	if (o->redact) {
		_cleanup_str_ struct str last = STR_INIT;

		redact_add(o->redact, "", 0, true, &last);
		keep(o, str_text(&last), last.len);
		redact_free(o->redact);
	}
	while (o->n_attached > 0)
		detach(o, o->n_attached - 1);
	(void)close_fd(o->source);
	(void)close_fd(o->input);
	(void)close_fd(o->log);
	free(o);
}
