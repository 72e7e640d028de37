#include "net/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Theory of operation
 *
 * Small messages are read and written (two calls, no pipe); a direction whose reads fill the buffer goes over to
 * splice(2) until it calms down. Epoll is edge-triggered: `readable` and `writable` stay true until a call says EAGAIN
 * or reads less than there was room for. A step does one bounded thing; a relay gets STEPS_MAX of them in a turn. */
enum { STEPS_MAX = 16, CALM_BYTES = 16 * 1024 };

enum step { STEP_NOTHING, STEP_DONE, STEP_BROKEN };

void flow_keep(struct flow *f, const uint8_t *bytes, size_t n)
{
	uint32_t have = f->chunk_len - f->chunk_at;

	if (n == 0)
		return;
	if (f->chunk && f->chunk_at > 0)
		memmove(f->chunk, f->chunk + f->chunk_at, have);
	f->chunk = xrealloc_array(f->chunk, have + n, 1);
	memcpy(f->chunk + have, bytes, n);
	f->chunk_at = 0;
	f->chunk_len = have + (uint32_t)n;
}

/* Bytes written; 0: the socket takes none now; -errno. */
static ssize_t put(struct relay *c, enum side to, const uint8_t *bytes, size_t n)
{
	ssize_t k;

	do
		k = send(c->fd[to], bytes, n, MSG_NOSIGNAL);
	while (k < 0 && errno == EINTR);
	if (k < 0 && errno != EAGAIN)
		return -errno;
	if (k < (ssize_t)n)
		c->flow[to].writable = false;
	return k < 0 ? 0 : k;
}

static enum step flush_chunk(struct relay *c, enum side from)
{
	struct flow *f = &c->flow[from];
	ssize_t k = put(c, !from, f->chunk + f->chunk_at, f->chunk_len - f->chunk_at);

	if (k < 0)
		return STEP_BROKEN;
	f->chunk_at += (uint32_t)k;
	if (f->chunk_at == f->chunk_len) {
		free(f->chunk);
		f->chunk = NULL;
		f->chunk_at = f->chunk_len = 0;
	}
	return k > 0 ? STEP_DONE : STEP_NOTHING;
}

static enum step flush_pipe(struct relay *c, enum side from)
{
	struct flow *f = &c->flow[from];
	ssize_t k = splice(f->pipe->fd[0], NULL, c->fd[!from], NULL, f->pipe->pending,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (k < 0 && errno == EINTR)
		return STEP_DONE;
	if (k < 0 && errno != EAGAIN)
		return STEP_BROKEN;
	if (k <= 0) {
		c->flow[!from].writable = false;
		return STEP_NOTHING;
	}
	f->pipe->pending -= (size_t)k;
	return STEP_DONE;
}

static enum step read_pipe(struct relay *c, enum side from)
{
	struct flow *f = &c->flow[from];
	bool empty = f->pipe->pending == 0;
	ssize_t k = splice(c->fd[from], NULL, f->pipe->fd[1], NULL, f->pipe->size - f->pipe->pending,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (k < 0 && errno == EINTR)
		return STEP_DONE;
	if (k < 0 && errno != EAGAIN)
		return STEP_BROKEN;
	if (k < 0) {
		/* With bytes in it the pipe may be what is full: then the socket is asked again when it has drained. */
		if (empty)
			f->readable = f->large = false;
		return STEP_NOTHING;
	}
	if (k == 0)
		f->ended = true;
	if (empty && k < CALM_BYTES)
		f->large = false;
	f->pipe->pending += (size_t)k;
	return STEP_DONE;
}

static enum step read_buffer(struct relay *c, enum side from)
{
	struct engine *g = c->g;
	struct flow *f = &c->flow[from];
	ssize_t n = recv(c->fd[from], g->buffer, sizeof(g->buffer), 0);
	ssize_t k = 0;

	if (n < 0 && errno == EINTR)
		return STEP_DONE;
	if (n < 0 && errno != EAGAIN)
		return STEP_BROKEN;
	if (n < 0) {
		f->readable = false;
		return STEP_NOTHING;
	}
	if (n == 0) {
		f->ended = true;
		return STEP_DONE;
	}
	f->large = n == (ssize_t)sizeof(g->buffer);
	if (!f->large && !f->hup)
		f->readable = false;
	if (from == BOX && c->gate != GATE_NONE) {
		if (!gate_feed(c, g->buffer, (size_t)n))
			return STEP_NOTHING; /* it is no more */
		if (!c->holding && c->wait == WAIT_GATE)
			relay_wait(c, WAIT_FRESH);
	}
	/* What was held goes first. */
	if (!(from == BOX && c->holding) && !f->chunk && c->flow[!from].writable)
		k = put(c, !from, g->buffer, (size_t)n);
	if (k < 0)
		return STEP_BROKEN;
	flow_keep(f, g->buffer + k, (size_t)(n - k));
	return STEP_DONE;
}

static enum step fill(struct relay *c, enum side from)
{
	struct flow *f = &c->flow[from];
	bool holding = from == BOX && c->holding;

	if (f->ended || !f->readable || (f->chunk && !holding))
		return STEP_NOTHING;
	if (f->large && !f->chunk && (from == HOST || c->gate == GATE_NONE)) {
		if (!f->pipe)
			f->pipe = pipes_take(&c->g->pipes);
		if (f->pipe)
			return f->pipe->pending < f->pipe->size ? read_pipe(c, from) : STEP_NOTHING;
	}
	return f->pipe && f->pipe->pending > 0 ? STEP_NOTHING : read_buffer(c, from);
}

/* One bounded thing in the direction from this side. */
static enum step step(struct relay *c, enum side from)
{
	struct flow *f = &c->flow[from];
	enum step done = fill(c, from);

	if (done == STEP_BROKEN || c->phase != PHASE_FLOW)
		return done;
	if (c->flow[!from].writable) {
		enum step out = STEP_NOTHING;

		if (f->chunk && !(from == BOX && c->holding))
			out = flush_chunk(c, from);
		else if (!f->chunk && f->pipe && f->pipe->pending > 0)
			out = flush_pipe(c, from);
		if (out != STEP_NOTHING)
			done = out;
	}
	if (f->pipe && f->pipe->pending == 0 && (!f->readable || f->ended || !f->large)) {
		pipes_give(&c->g->pipes, f->pipe);
		f->pipe = NULL;
	}
	return done;
}

/* Passes the end of this side on, when all before it was. False when the relay was ended. */
static bool finish(struct relay *c, enum side from)
{
	struct flow *f = &c->flow[from];

	if (!f->ended || f->closed || f->pipe)
		return true;
	if (from == BOX && c->holding) {
		gate_missing(c, "the connection ended before its first message did");
		return false;
	}
	if (f->chunk)
		return true;
	f->closed = true;
	if (c->flow[!from].closed) {
		relay_end(c, false);
		return false;
	}
	(void)shutdown(c->fd[!from], SHUT_WR);
	relay_wait(c, WAIT_HALF);
	return true;
}

void flow_run(struct relay *c)
{
	for (int i = 0; i < STEPS_MAX; i++) {
		enum step a = step(c, BOX);
		enum step b;

		if (c->phase != PHASE_FLOW)
			return;
		b = step(c, HOST);
		if (a == STEP_BROKEN || b == STEP_BROKEN) {
			relay_end(c, true);
			return;
		}
		if (!finish(c, BOX) || !finish(c, HOST))
			return;
		if (a == STEP_DONE || b == STEP_DONE)
			c->since = c->g->now;
		else
			return;
	}
	if (!c->runnable) {
		c->runnable = true;
		c->next_runnable = c->g->runnable;
		c->g->runnable = c;
	}
}
