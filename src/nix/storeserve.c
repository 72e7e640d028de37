#include "nix/storeserve.h"

#include "nix/storeserve_impl.h"
#include "nix_store_program.h" /* made by seccomp/filter_gen.c: store_program[] */
#include "sys/childreport.h"
#include "sys/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ALONE_MS = 20000,   /* without a connection, until it ends */
	IDLE_MS = 1000,     /* without a request, while others wait */
	MEMORY = 512 << 20, /* of names, for the most part: see storeindex.h */
};

static int64_t clock_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

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

static void serve(struct storeserve *s)
{
	struct pollfd fds[1 + STORESERVE_CONNECTIONS];
	int64_t now = clock_ms();
	int64_t alone = now + ALONE_MS;

	while (s->n > 0 || now < alone) {
		size_t n = s->n;
		int r = poll(fds, (nfds_t)n + 1, fill(s, fds, now, alone));

		now = clock_ms();
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

static int only_these(struct storeserve *s, int alive, int report)
{
	int fds[] = {s->listener, alive, report, storeask_fd(s->ask)};
	struct rlimit limit;

	(void)prctl(PR_SET_NAME, "igloo-store");
	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A Ctrl-C is for the box, whose supervisor ends this. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	return confine_keep_only(fds, ARRAY_SIZE(fds));
}

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

static int prepare(struct storeserve *s, const struct hoststore *hs, int alive, int report, struct err **e)
{
	const struct confine walls = {
		.who = "the store server",
		.root = STOREPATH_DIR,
		.filter = store_program,
		.n_filter = ARRAY_SIZE(store_program),
		.memory = MEMORY,
	};
	/* It starts while this process gets ready. */
	int r = storeask_start(hs, &s->ask, e);

	if (r == 0 && (r = only_these(s, alive, report)) < 0)
		(void)err_errno(e, -r, "the store server cannot close its other descriptors");
	if (r == 0)
		r = warm_up(e);
	if (r == 0)
		r = confine_close(&walls, e);
	if (r < 0)
		return r;
	s->dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return err_errno(e, errno, "the store server cannot open " STOREPATH_DIR);
	s->index = storeindex_new(s->dir);
	return 0;
}

static void ATTR_NORETURN run(const struct hoststore *hs, int listener, int alive, int report, pid_t parent)
{
	struct storeserve *s = xcalloc(1, sizeof(*s));
	struct err *e = NULL;
	int r;

	s->listener = listener;
	s->dir = -1;
	r = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? err_errno(&e, errno, "prctl") : prepare(s, hs, alive, report, &e);
	/* It may have gone while the death signal was cleared by the change of user. */
	if (r == 0 && getppid() != parent)
		r = err_set(&e, ESRCH, "the store server's supervisor is gone");
	if (r < 0)
		childreport_fail(report, e);
	childreport_pid(report, getpid());
	(void)close(report);
	serve(s);
	_exit(0);
}

static void end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int storeserve_start(const struct hoststore *hs, int listener, pid_t *ret_pid, int *ret_alive, struct err **e)
{
	pid_t parent = getpid();
	pid_t told = 0;
	int alive[2];
	int report[2];
	pid_t pid;
	int r;

	if (pipe2(alive, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	if (pipe2(report, O_CLOEXEC) < 0) {
		(void)close(alive[0]);
		(void)close(alive[1]);
		return err_errno(e, errno, "cannot make a pipe");
	}
	pid = fork();
	if (pid == 0)
		run(hs, listener, alive[1], report[1], parent);
	(void)close(alive[1]);
	(void)close(report[1]);
	r = pid < 0 ? err_errno(e, errno, "cannot start the store server") : childreport_wait(report[0], &told, e);
	if (r == 0 && told != pid)
		r = err_set(e, EPIPE, "the store server ended before it served");
	(void)close(report[0]);
	if (r < 0) {
		if (pid > 0)
			end(pid);
		(void)close(alive[0]);
		return r;
	}
	*ret_pid = pid;
	*ret_alive = alive[0];
	return 0;
}
