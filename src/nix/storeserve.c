#include "nix/storeserve.h"

#include "base/clock.h"
#include "nix/storeserve_impl.h"
#include "nix_store_program.h" /* made by seccomp/filter_gen.c: store_program[] */
#include "sys/confined.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

enum {
	ALONE_MS = 20000,   /* without a connection, until it ends */
	IDLE_MS = 1000,     /* without a request, while others wait */
	MEMORY = 512 << 20, /* of names, for the most part: see storeindex.h */
};

/* --- the loop ---------------------------------------------------------------------------------------------------- */

static void drop(struct storeserve *s, size_t at)
{
	storeconn_free(s->conns[at]);
	s->conns[at] = s->conns[--s->n];
}

/* The connection that has been idle for longest; s->n when each is at work. *ret_since may be NULL. */
static size_t find_idle(const struct storeserve *s, int64_t *ret_since)
{
	size_t best = s->n;
	int64_t since = INT64_MAX;

	for (size_t i = 0; i < s->n; i++) {
		int64_t k = storeconn_idle_since(s->conns[i]);

		if (k >= 0 && k < since) {
			since = k;
			best = i;
		}
	}
	if (ret_since)
		*ret_since = since;
	return best;
}

/* When there is room for another connection: one that nobody uses makes room, but not before its first request had a
 * chance to come. */
static int64_t room_at(const struct storeserve *s)
{
	int64_t since;

	if (s->n < STORESERVE_CONNECTIONS)
		return 0;
	return find_idle(s, &since) < s->n ? since + IDLE_MS : INT64_MAX;
}

static void take(struct storeserve *s, int64_t now_ms)
{
	int fd;

	if (room_at(s) > now_ms)
		return;
	if (s->n == STORESERVE_CONNECTIONS)
		drop(s, find_idle(s, NULL));
	fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		s->conns[s->n++] = storeconn_new(s, fd, now_ms);
}

static int fill(const struct storeserve *s, struct pollfd *fds, int64_t now_ms, int64_t alone_ms)
{
	bool room = room_at(s) <= now_ms;
	int64_t until = s->n == 0 ? alone_ms : room ? INT64_MAX : room_at(s);

	fds[0] = (struct pollfd){.fd = room ? s->listener : -1, .events = POLLIN};
	for (size_t i = 0; i < s->n; i++) {
		short events = storeconn_events(s->conns[i]);

		fds[i + 1] = (struct pollfd){.fd = storeconn_fd(s->conns[i]), .events = events};
		until = events == 0 ? now_ms : until;
		if (storeconn_deadline(s->conns[i]) < until)
			until = storeconn_deadline(s->conns[i]);
	}
	return until > now_ms ? (int)(until - now_ms) : 0;
}

static void serve(void *arg)
{
	struct storeserve *s = arg;
	struct pollfd fds[1 + STORESERVE_CONNECTIONS];
	int64_t now = clock_ms(CLOCK_MONOTONIC);
	int64_t alone = now + ALONE_MS;

	while (s->n > 0 || now < alone) {
		size_t n = s->n;
		int r = poll(fds, (nfds_t)n + 1, fill(s, fds, now, alone));

		now = clock_ms(CLOCK_MONOTONIC);
		if (r < 0 && errno != EINTR)
			return;
		for (size_t i = n; r >= 0 && i-- > 0;)
			if (!storeconn_work(s->conns[i], fds[i + 1].revents, now))
				drop(s, i);
		if (r > 0 && fds[0].revents)
			take(s, now);
		if (s->n > 0)
			alone = now + ALONE_MS;
	}
}

/* --- the process ------------------------------------------------------------------------------------------------- */

const struct confine storeserve_walls = {
	.who = "the store server",
	.root = STOREPATH_DIR,
	.filter = store_program,
	.n_filter = ARRAY_SIZE(store_program),
	.memory = MEMORY,
};

/* Loads libcrypto, and has it do all that it does once. */
static int warm_up(struct err **e)
{
	uint8_t sha256[DIGEST_SHA256_BYTES];
	_cleanup_digest_ struct digest *d = NULL;
	int r = digest_open(&d, e);

	if (r < 0)
		return r;
	digest_add(d, "", 1);
	return digest_finish(d, sha256, e);
}

static int prepare(void *arg, int control, struct err **e)
{
	struct storeserve *s = arg;
	/* It starts while this process gets ready. */
	int r = storeask_start(s->host, &s->ask, e);

	(void)control;
	return r < 0 ? r : warm_up(e);
}

static int arrive(void *arg, struct err **e)
{
	struct storeserve *s = arg;

	s->dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return err_errno(e, errno, "the store server cannot open " STOREPATH_DIR);
	s->index = storeindex_new(s->dir);
	return 0;
}

int storeserve_start(const struct hoststore *hs, int listener, pid_t *ret_pid, int *ret_alive, struct err **e)
{
	const struct confined what = {.name = "igloo-store",
				      .what = "the store server",
				      .fds = &listener,
				      .nfds = 1,
				      .prepare = prepare,
				      .walls = &storeserve_walls,
				      .arrive = arrive,
				      .serve = serve};
	_cleanup_free_ struct storeserve *s = xcalloc(1, sizeof(*s));

	s->host = hs;
	s->listener = listener;
	s->dir = -1;
	return confined_start(&what, s, ret_pid, ret_alive, e);
}
