#include "net/broker_impl.h"
#include "net/tlslib.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 128, HANDOFFS_MAX = 32, LOOK_MS = 2000 };

/* --- the engine --------------------------------------------------------------------------------------------------- */

/* False when the engine is gone. */
static bool flush_ends(struct broker *b)
{
	size_t at = 0;
	int r = 0;

	while (at < b->ends.len && r == 0) {
		struct handoff_end end;

		memcpy(&end, b->ends.p + at, sizeof(end));
		r = handoff_send_end(b->channel, &end);
		at += r == 0 ? sizeof(end) : 0;
	}
	if (at == b->ends.len) {
		str_release(&b->ends);
	} else if (at > 0) {
		memmove(b->ends.p, b->ends.p + at, b->ends.len - at);
		b->ends.len -= at;
	}
	return r == 0 || r == -EAGAIN;
}

void broker_tell(struct broker *b, const struct handoff_end *end)
{
	/* In their order: at most one for each connection that the engine has. */
	str_add(&b->ends, end, sizeof(*end));
	if (b->ends.len == sizeof(*end))
		(void)flush_ends(b);
}

/* A bounded number of them: *ret_more says whether to come again. */
static bool take_handoffs(struct broker *b, bool *ret_more)
{
	*ret_more = false;
	for (int i = 0; i < HANDOFFS_MAX; i++) {
		struct handoff h;
		size_t n = 0;
		int box_fd = -1;
		int host_fd = -1;
		int r = handoff_receive(b->channel, &h, b->buffer, &n, &box_fd, &host_fd);

		if (r <= 0)
			return r == 0;
		conn_new(b, &h, b->buffer, n, box_fd, host_fd);
	}
	*ret_more = true;
	return true;
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static void run_runnable(struct broker *b)
{
	struct conn *c = b->runnable;

	b->runnable = NULL;
	while (c) {
		struct conn *next = c->next_runnable;

		c->runnable = false;
		conn_run(c);
		c = next;
	}
}

static void bury(struct broker *b)
{
	struct conn **keep = &b->runnable;

	while (b->dead && *keep) {
		if ((*keep)->phase == CONN_DEAD)
			*keep = (*keep)->next_runnable;
		else
			keep = &(*keep)->next_runnable;
	}
	while (b->dead) {
		struct conn *c = b->dead;

		b->dead = c->next;
		free(c);
	}
}

static uint32_t seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint32_t)t.tv_sec;
}

static void look_at_all(struct broker *b, uint32_t *last)
{
	if (b->now - *last < LOOK_MS / 1000)
		return;
	*last = b->now;
	for (struct conn *c = b->first; c;) {
		struct conn *next = c->next;

		conn_timeout(c);
		c = next;
	}
}

void broker_serve(struct broker *b)
{
	struct epoll_event events[EVENTS_MAX];
	uint32_t looked = seconds();
	bool more = false;

	for (;;) {
		int ms = b->runnable || more ? 0 : b->first ? LOOK_MS : -1;
		int n = epoll_wait(b->epoll_fd, events, EVENTS_MAX, ms);

		b->now = seconds();
		if (n < 0 && errno != EINTR)
			return;
		for (int i = 0; i < n; i++) {
			void *what = events[i].data.ptr;

			if (what == &b->control)
				return; /* nothing is ever said there but its end */
			if (what != &b->channel)
				conn_event(what, events[i].events);
			else
				more = true;
		}
		if (more && (!flush_ends(b) || !take_handoffs(b, &more)))
			return;
		run_runnable(b);
		look_at_all(b, &looked);
		bury(b);
	}
}
