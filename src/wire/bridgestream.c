/* Commands and connections, from the frame that asks for one to the last one about it. */
#include "wire/bridge_impl.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream *stream_find(struct bridge *b, uint32_t id)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->streams[i]->id == id && !b->streams[i]->over)
			return b->streams[i];
	return NULL;
}

struct stream *stream_find_local(struct bridge *b, uint32_t local)
{
	for (size_t i = 0; i < b->n; i++) {
		struct stream *s = b->streams[i];

		if (s->local == local && !s->over && !(s->kind == STREAM_DIAL && s->started))
			return s;
	}
	return NULL;
}

static uint32_t next_id(struct bridge *b)
{
	do
		b->last_id++;
	while (b->last_id == 0 || stream_find(b, b->last_id));
	return b->last_id;
}

struct stream *stream_new(struct bridge *b, uint32_t local, enum stream_kind kind)
{
	struct stream *s;
	uint32_t id = b->end == BRIDGE_HOST ? next_id(b) : local;

	if (b->n == b->max)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	*s = (struct stream){.id = id, .local = local, .kind = kind};
	for (int i = 0; i < FRAME_CHANNELS; i++)
		s->channels[i].fd = -1;
	b->streams[b->n++] = s;
	return s;
}

void stream_release(struct stream *s)
{
	for (int i = 0; i < FRAME_CHANNELS; i++) {
		(void)close_fd(s->channels[i].fd);
		str_release(&s->channels[i].q);
	}
	free(s);
}

void stream_cut(struct stream *s)
{
	for (int i = 0; i < FRAME_CHANNELS; i++) {
		struct channel *c = &s->channels[i];

		if (c->source || (!c->eof && c->there && sink_on_eof(c) < 0))
			c->fd = close_fd(c->fd);
	}
}

static void put_err(uint8_t out[MSG_ERR_BYTES], int errnum, enum msg_stage stage)
{
	const struct msg_err m = {.errnum = (uint32_t)errnum, .stage = stage};

	msg_put_err(out, &m);
}

/* The answer to what cannot be begun, to whoever asked. */
static int refuse(struct bridge *b, uint32_t id, enum msg_stage stage)
{
	uint8_t payload[MSG_ERR_BYTES];

	put_err(payload, EAGAIN, stage);
	if (b->end == BRIDGE_HOST)
		return bridge_send_local(b, id, FRAME_ERR, payload, sizeof(payload), -1);
	return bridge_send(b, id, FRAME_ERR, 0, payload, sizeof(payload));
}

/* --- EXEC --------------------------------------------------------------------------------------------------------- */

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fds[i] = close_fd(fds[i]);
}

/* Three pipes; the command's ends into ret_fds. They are its user's, as if that one had made them: /dev/stdout can be
 * opened again. */
static int make_pipes(struct stream *s, const struct frame *f, int ret_fds[EXEC_FDS])
{
	uid_t uid = frame_get32(f->payload + 4);
	gid_t gid = frame_get32(f->payload + 8);

	for (int i = 0; i < EXEC_FDS; i++) {
		bool source = i != FRAME_IN;
		int p[2];

		if (pipe2(p, O_CLOEXEC) < 0) {
			close_all(ret_fds, (size_t)i);
			return -errno;
		}
		ret_fds[i] = p[source];
		(void)!fchown(p[source], uid, gid);
		channel_begin(&s->channels[i], source, p[!source], true);
	}
	return 0;
}

/* The first piece of an EXEC. `fds`: as they came (host), or as they are to be passed on (guest). */
static int exec_begin(struct bridge *b, const struct frame *f, int fds[EXEC_FDS], size_t *ret_nfds)
{
	uint32_t flags = f->len >= EXEC_HEADER ? frame_get32(f->payload) : EXEC_HAS_FDS | EXEC_PTY;
	bool has_fds = flags & EXEC_HAS_FDS;
	struct stream *s;

	if ((has_fds && (flags & EXEC_PTY)) || stream_find_local(b, f->stream))
		return -EPROTO;
	*ret_nfds = 0;
	if (b->end == BRIDGE_HOST && has_fds && link_take_fds(&b->local, fds, EXEC_FDS) < 0)
		return -EPROTO;
	s = stream_new(b, f->stream, STREAM_COMMAND);
	b->exec_refused = !s;
	if (s) {
		s->pty = flags & EXEC_PTY;
		s->main = flags & EXEC_MAIN;
	}
	if (b->end == BRIDGE_GUEST && s && has_fds && make_pipes(s, f, fds) < 0) {
		s->over = true;
		b->exec_refused = true;
	} else if (b->end == BRIDGE_GUEST && s && has_fds) {
		*ret_nfds = EXEC_FDS;
	} else if (b->end == BRIDGE_HOST && has_fds) {
		for (int i = 0; s && i < EXEC_FDS; i++)
			channel_begin(&s->channels[i], i == FRAME_IN, fds[i], false);
		if (!s)
			close_all(fds, EXEC_FDS);
	}
	return 0;
}

static int on_exec(struct bridge *b, const struct frame *f)
{
	int fds[EXEC_FDS] = {-1, -1, -1};
	size_t nfds = 0;
	int r;

	if (b->exec_stream != 0 && b->exec_stream != f->stream)
		return -EPROTO;
	r = b->exec_stream == 0 ? exec_begin(b, f, fds, &nfds) : 0;
	if (r < 0)
		return r;
	b->exec_stream = f->flags & FRAME_MORE ? f->stream : 0;
	if (b->exec_refused)
		return b->exec_stream ? 0 : refuse(b, f->stream, MSG_STAGE_START);
	if (b->end == BRIDGE_HOST) {
		const struct stream *s = stream_find_local(b, f->stream);

		return s ? bridge_send(b, s->id, FRAME_EXEC, f->flags, f->payload, f->len) : -EPROTO;
	}
	if (b->local_ended) {
		close_all(fds, nfds);
		return 0;
	}
	return link_send(&b->local, f->stream, FRAME_EXEC, f->flags, f->payload, f->len, fds, nfds);
}

/* --- STARTED, DIAL, DIALED ---------------------------------------------------------------------------------------- */

/* The host's side of a terminal or a connection: two sockets in place of it, one to be handed on. */
static int make_pair(struct stream *s, int *ret_fd)
{
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	/* As the guest's own are. */
	if (s->kind == STREAM_DIAL)
		(void)fd_set_nonblock(pair[1], true);
	r = channel_begin_both(s, BRIDGE_HOST, pair[0]);
	if (r < 0)
		close_all(pair, 2);
	else
		*ret_fd = pair[1];
	return r;
}

/* What somebody in the machine asked for, on this side: a connection to where it leads, or to nothing, which ends. */
static int on_asked(struct bridge *b, struct stream *s)
{
	int fd = b->ops.on_accept ? b->ops.on_accept(b->ops.user) : -1;
	int r;

	s->started = true;
	b->asking = false;
	r = fd < 0 ? make_pair(s, &fd) : channel_begin_both(s, BRIDGE_HOST, fd);
	/* The other end of the pair, or what could not be kept. */
	if (r < 0 || s->channels[FRAME_IN].fd != fd)
		(void)close_fd(fd);
	return r;
}

int stream_ask(struct bridge *b)
{
	struct stream *s;

	if (b->n >= b->accepts || b->asking || !b->greeted || b->local_ended || b->remote_ended)
		return 0;
	s = stream_new(b, 0, STREAM_DIAL);
	/* Then when there are fewer. */
	if (!s)
		return 0;
	s->asked = b->asking = true;
	return bridge_send(b, s->id, FRAME_ACCEPT, 0, NULL, 0);
}

static int on_accept(struct bridge *b, const struct frame *f)
{
	struct stream *s;

	if (b->end == BRIDGE_HOST || stream_find_local(b, f->stream))
		return -EPROTO;
	s = stream_new(b, f->stream, STREAM_DIAL);
	return s ? bridge_send_local(b, s->local, FRAME_ACCEPT, NULL, 0, -1) : refuse(b, f->stream, MSG_STAGE_DIAL);
}

static int on_started(struct bridge *b, struct stream *s, const struct frame *f)
{
	bool both = s->pty || s->kind == STREAM_DIAL;
	int fd = -1;
	int r = 0;

	if (s->asked)
		return on_asked(b, s);
	s->started = true;
	if (both && b->end == BRIDGE_HOST) {
		r = make_pair(s, &fd);
	} else if (both) {
		r = link_take_fds(&b->local, &fd, 1);
		if (r == 0) {
			r = channel_begin_both(s, BRIDGE_GUEST, fd);
			if (r < 0)
				(void)close_fd(fd);
		}
	}
	if (r < 0)
		return r;
	if (b->end == BRIDGE_HOST)
		return bridge_send_local(b, s->local, f->type, f->payload, f->len, fd);
	return bridge_send(b, s->id, f->type, 0, f->payload, f->len);
}

static int on_own_dial(struct bridge *b, const struct frame *f)
{
	int fd;

	if (stream_find_local(b, f->stream))
		return -EPROTO;
	fd = b->ops.on_own_dial(b->ops.user);
	if (fd < 0)
		return refuse(b, f->stream, MSG_STAGE_DIAL);
	return bridge_send_local(b, f->stream, FRAME_DIALED, f->payload, f->len, fd);
}

static int on_dial(struct bridge *b, const struct frame *f)
{
	struct stream *s;
	uint16_t port;

	if (b->end == BRIDGE_HOST && frame_get16(f->payload) == 0 && b->ops.on_own_dial)
		return on_own_dial(b, f);
	if (msg_get_port(f, &port) < 0 || stream_find_local(b, f->stream))
		return -EPROTO;
	s = stream_new(b, f->stream, STREAM_DIAL);
	if (!s)
		return refuse(b, f->stream, MSG_STAGE_DIAL);
	s->port = port;
	if (b->end == BRIDGE_HOST)
		return bridge_send(b, s->id, FRAME_DIAL, 0, f->payload, f->len);
	return bridge_send_local(b, s->local, FRAME_DIAL, f->payload, f->len, -1);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static int on_end_guest(struct bridge *b, struct stream *s)
{
	struct channel *in = &s->channels[FRAME_IN];

	s->give_up = bridge_now_ms() + BRIDGE_GRACE_MS;
	for (int i = FRAME_OUT; i < FRAME_CHANNELS; i++) {
		struct channel *c = &s->channels[i];
		int left = 0;

		if (c->fd >= 0 && ioctl(c->fd, FIONREAD, &left) == 0 && left > 0)
			c->due = (size_t)left;
	}
	return in->fd >= 0 ? sink_close(b, s, in) : 0;
}

static int on_end_host(struct stream *s)
{
	for (int i = FRAME_OUT; i < FRAME_CHANNELS; i++)
		if (s->channels[i].there && !s->channels[i].eof)
			return -EPROTO;
	s->channels[FRAME_IN].fd = close_fd(s->channels[FRAME_IN].fd);
	return 0;
}

static int on_end(struct bridge *b, struct stream *s, const struct frame *f)
{
	struct msg_exit m;

	if (!s->started || s->ended || msg_get_exit(f, &m) < 0)
		return -EPROTO;
	if (b->end == BRIDGE_GUEST && s->kind != STREAM_COMMAND)
		return -EPROTO;
	s->ended = true;
	memcpy(s->exit, f->payload, sizeof(s->exit));
	return b->end == BRIDGE_HOST ? on_end_host(s) : on_end_guest(b, s);
}

static int on_err(struct bridge *b, struct stream *s, const struct frame *f)
{
	struct msg_err m;

	if (s->started || msg_get_err(f, &m) < 0)
		return -EPROTO;
	s->over = true;
	/* It has no such socket, or is about to end; or it has too many streams, and some of them have to end first. */
	if (s->asked) {
		b->asking = false;
		b->accepts = m.errnum == EAGAIN ? b->n - 1 : 0;
		return 0;
	}
	if (b->end == BRIDGE_HOST)
		return bridge_send_local(b, s->local, FRAME_ERR, f->payload, MSG_ERR_BYTES, -1);
	return bridge_send(b, s->id, FRAME_ERR, 0, f->payload, MSG_ERR_BYTES);
}

static bool is_quiet(const struct stream *s)
{
	for (int i = 0; i < FRAME_CHANNELS; i++)
		if (s->channels[i].fd >= 0)
			return false;
	return true;
}

int stream_settle(struct bridge *b, struct stream *s, int64_t now)
{
	int r = 0;

	if (s->over || !s->started)
		return 0;
	if (b->end == BRIDGE_GUEST && s->kind == STREAM_DIAL)
		s->ended = is_quiet(s); /* the payload: code 0 */
	if (!s->ended)
		return 0;
	for (int i = FRAME_OUT; i < FRAME_CHANNELS && b->end == BRIDGE_GUEST && r == 0; i++) {
		struct channel *c = &s->channels[i];

		if (c->fd >= 0 && c->due == 0 && now >= s->give_up)
			r = source_end(b, s, c);
	}
	if (r < 0 || !is_quiet(s))
		return r;
	s->over = true;
	if (b->end == BRIDGE_HOST)
		return s->kind == STREAM_DIAL
			       ? 0
			       : bridge_send_local(b, s->local, FRAME_EXIT, s->exit, sizeof(s->exit), -1);
	if (s->main && b->ops.on_main_end)
		b->ops.on_main_end(b->ops.user);
	return bridge_send(b, s->id, FRAME_EXIT, 0, s->exit, sizeof(s->exit));
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

/* What the guest says, on its way through either bridge. */
static int from_guest(struct bridge *b, struct stream *s, const struct frame *f)
{
	if (!s || (s->kind == STREAM_COMMAND && b->exec_stream == s->local))
		return -EPROTO;
	switch (f->type) {
	case FRAME_STARTED:
		return s->kind == STREAM_COMMAND && !s->started ? on_started(b, s, f) : -EPROTO;
	case FRAME_DIALED:
		if (s->kind != STREAM_DIAL || s->started || frame_get16(f->payload) != s->port)
			return -EPROTO;
		return on_started(b, s, f);
	case FRAME_EXIT:
		return on_end(b, s, f);
	case FRAME_ERR:
		return on_err(b, s, f);
	default:
		return -EPROTO;
	}
}

static int from_host(struct bridge *b, struct stream *s, const struct frame *f)
{
	bool known = s && !s->ended && s->kind == STREAM_COMMAND;

	switch (f->type) {
	case FRAME_EXEC:
		return on_exec(b, f);
	case FRAME_DIAL:
		return on_dial(b, f);
	case FRAME_ACCEPT:
		return on_accept(b, f);
	case FRAME_SIGNAL:
		if (!known)
			return 0;
		return b->end == BRIDGE_HOST ? bridge_send(b, s->id, FRAME_SIGNAL, 0, f->payload, f->len)
					     : bridge_send_local(b, s->local, FRAME_SIGNAL, f->payload, f->len, -1);
	case FRAME_RESIZE:
		if (known && s->pty && b->end == BRIDGE_HOST)
			return bridge_send(b, s->id, FRAME_RESIZE, 0, f->payload, f->len);
		if (known && s->pty && s->channels[FRAME_OUT].fd >= 0) {
			const struct winsize size = {.ws_row = frame_get16(f->payload),
						     .ws_col = frame_get16(f->payload + 2)};

			(void)ioctl(s->channels[FRAME_OUT].fd, TIOCSWINSZ, &size);
		}
		return 0;
	default:
		return -EPROTO;
	}
}

int stream_from_local(struct bridge *b, const struct frame *f)
{
	struct stream *s = stream_find_local(b, f->stream);

	return b->end == BRIDGE_HOST ? from_host(b, s, f) : from_guest(b, s, f);
}

static bool is_of_channel(uint8_t type)
{
	return type == FRAME_DATA || type == FRAME_EOF || type == FRAME_CREDIT || type == FRAME_CLOSE;
}

static int on_channel(struct bridge *b, struct stream *s, const struct frame *f)
{
	struct channel *c = &s->channels[f->flags];

	if (f->flags >= FRAME_CHANNELS || (b->end == BRIDGE_HOST && s->ended))
		return -EPROTO;
	switch (f->type) {
	case FRAME_DATA:
		return sink_on_data(b, s, c, f);
	case FRAME_EOF:
		return sink_on_eof(c);
	case FRAME_CREDIT:
		return source_on_credit(c, f);
	default:
		return source_on_close(b, s, c);
	}
}

int stream_from_remote(struct bridge *b, const struct frame *f)
{
	struct stream *s = stream_find(b, f->stream);

	if (!is_of_channel(f->type))
		return b->end == BRIDGE_HOST ? from_guest(b, s, f) : from_host(b, s, f);
	if (s)
		return on_channel(b, s, f);
	/* To the guest's side it may have been sent before the host's saw the stream's end. */
	return b->end == BRIDGE_GUEST ? 0 : -EPROTO;
}
