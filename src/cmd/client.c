#include "cmd/client.h"

#include "box/box.h"
#include "sys/file.h"
#include "wire/msg.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	OUT_MAX = 32 << 20,
	/* The supervisor ends 10 s after the grace whatever the guest does (box/supervise.c). */
	SUPERVISOR_MS = 12000,
	LOCK_MS = 5000,     /* from the end of its connections to the end of the supervisor */
	STARTING_MS = 3000, /* a box being started has its lock before its socket */
};

int64_t client_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct link *new_link(int fd)
{
	struct link *l = xcalloc(1, sizeof(*l));

	link_init(l, fd, OUT_MAX);
	return l;
}

int client_open(const char *name, struct link **ret, struct err **e)
{
	int fd = box_connect(name, e);

	if (fd < 0)
		return fd;
	*ret = new_link(fd);
	return 0;
}

void client_close(struct link *l)
{
	if (!l)
		return;
	link_release(l);
	free(l);
}

int client_send_number(struct link *l, uint32_t stream, enum frame_type type, uint32_t value)
{
	uint8_t payload[MSG_NUMBER_BYTES];

	msg_put_number(payload, value);
	return link_send(l, stream, type, 0, payload, sizeof(payload), NULL, 0);
}

int client_send_size(struct link *l, uint32_t stream, uint16_t rows, uint16_t cols)
{
	uint8_t payload[4];

	frame_put16(payload, rows);
	frame_put16(payload + 2, cols);
	return link_send(l, stream, FRAME_RESIZE, 0, payload, sizeof(payload), NULL, 0);
}

int client_answer(struct link *l, enum frame_type type, int timeout_ms, struct frame *ret)
{
	int64_t end = client_now_ms() + timeout_ms;

	for (;;) {
		struct pollfd p = {.fd = l->fd, .events = POLLIN};
		int64_t left = end - client_now_ms();
		int r;

		if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR))
			return -ETIMEDOUT;
		if (!p.revents)
			continue;
		r = link_receive(l);
		if (r == -EAGAIN || r == -EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? r : -EPIPE;
		while ((r = link_next(l, false, ret)) > 0)
			if (ret->type == type && ret->stream == 0)
				return 0;
		if (r < 0)
			return r;
	}
}

int client_result(const struct frame *f, struct err **e)
{
	_cleanup_free_ char *text = f->len > 4 ? xstrndup((const char *)f->payload + 4, f->len - 4) : NULL;
	size_t n = text ? strlen(text) : 0;
	uint32_t errnum;

	if (!text)
		return err_set(e, EPROTO, "the box's supervisor answers with what is no answer");
	errnum = frame_get32(f->payload);
	if (errnum == 0)
		return 0;
	(void)err_set(e, errnum < 4096 ? (int)errnum : EIO, "%s", text);
	if (n + 1 < f->len - 4) {
		_cleanup_free_ char *hint = xstrndup((const char *)f->payload + 4 + n + 1, f->len - 4 - n - 1);

		if (*hint)
			(void)err_hint(e, "%s", hint);
	}
	return -err_number(*e);
}

bool client_ends(struct link *l, int timeout_ms)
{
	int64_t end = client_now_ms() + timeout_ms;

	for (;;) {
		struct pollfd p = {.fd = l->fd, .events = (short)(POLLIN | (link_pending(l) ? POLLOUT : 0))};
		int64_t left = end - client_now_ms();
		uint8_t dropped[4096];

		if (poll(&p, 1, left > 0 ? (int)left : 0) < 0 && errno != EINTR)
			return false;
		if (link_pending(l) && (p.revents & POLLOUT) && link_flush(l) < 0)
			return true;
		if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
			ssize_t n = recv(l->fd, dropped, sizeof(dropped), MSG_DONTWAIT);

			if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
				return true;
		}
		if (left <= 0)
			return false;
	}
}

static bool runs(const char *name, pid_t *ret_supervisor)
{
	struct box_info info = {0};
	bool running = box_look(name, &info, NULL) == 0 && info.running;

	if (ret_supervisor)
		*ret_supervisor = info.supervisor;
	box_info_release(&info);
	return running;
}

bool client_box_ends(const char *name, int timeout_ms)
{
	int64_t end = client_now_ms() + timeout_ms;

	/* flock(2) can be waited for, but not with a limit. */
	for (int ms = 1; runs(name, NULL); ms = ms < 20 ? ms * 2 : ms) {
		const struct timespec t = {.tv_nsec = (long)ms * 1000000};

		if (client_now_ms() >= end)
			return false;
		(void)nanosleep(&t, NULL);
	}
	return true;
}

int client_signals(struct err **e)
{
	static const int taken[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE, SIGWINCH};
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		struct sigaction old;

		if (sigaction(taken[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			(void)sigaddset(&set, taken[i]);
	}
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_errno(e, errno, "cannot take signals") : fd;
}

/* --- stopping ----------------------------------------------------------------------------------------------------- */

/* True if the process has this file open: the lock, which is held, and into which the process wrote its number. */
static bool has_open(pid_t pid, const struct stat *file)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/fd", (int)pid);
	DIR *d = opendir(path);
	const struct dirent *ent;
	bool found = false;

	while (d && !found && (ent = readdir(d))) {
		struct stat st;

		found = fstatat(dirfd(d), ent->d_name, &st, 0) == 0 && st.st_dev == file->st_dev &&
			st.st_ino == file->st_ino;
	}
	if (d)
		(void)closedir(d);
	return found;
}

/* Signals who holds that lock of the box. The number in it may be another process's by now, so: first hold the process,
 * then see whether it is the one. */
static int signal_holder(const char *name, const char *file, pid_t pid, int signo, struct err **e)
{
	_cleanup_close_ int lock = box_open_file(name, file, O_PATH, e);
	_cleanup_close_ int pidfd = -1;
	struct stat st;
	int r;

	if (lock < 0)
		return lock;
	pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	if (pid <= 0 || fstat(lock, &st) < 0 || !has_open(pid, &st))
		return err_set(e, ESRCH, "process %d does not hold the box '%s'", (int)pid, name);
	r = pidfd >= 0 ? (int)syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) : kill(pid, signo);
	if (r < 0 && errno != ESRCH)
		return err_errno(e, errno, "cannot kill process %d, which holds the box '%s'", (int)pid, name);
	return 0;
}

static int kill_supervisor(const char *name, struct err **e)
{
	pid_t pid = 0;
	int r;

	if (!runs(name, &pid))
		return 0;
	r = signal_holder(name, "lock", pid, SIGKILL, e);
	if (r != -ESRCH)
		return r;
	err_clear(e);
	if (client_box_ends(name, 100))
		return 0;
	(void)err_set(e, ESRCH, "box '%s' does not stop, and process %d is not its supervisor", name, (int)pid);
	return err_hint(e, "fuser shows who holds the file 'lock' in the box's folder");
}

/* Whoever prepares the start of a box that stays is told to end, until nobody does: then the box runs or does not. */
static bool stop_starters(const char *name)
{
	int64_t begun = client_now_ms();
	bool found = false;

	for (;;) {
		const struct timespec t = {.tv_nsec = 20000000};
		int64_t waited = client_now_ms() - begun;
		struct box_info info = {0};
		bool starting = box_look(name, &info, NULL) == 0 && info.starting;

		if (starting && waited < LOCK_MS)
			(void)signal_holder(name, DEFINITION_START_LOCK, info.supervisor,
					    waited < LOCK_MS / 2 ? SIGTERM : SIGKILL, NULL);
		box_info_release(&info);
		if (!starting || waited >= LOCK_MS)
			return found;
		found = true;
		(void)nanosleep(&t, NULL);
	}
}

int client_stop_begin(struct client_stop *s, const char *name, uint32_t grace_ms, struct err **e)
{
	struct box_info info = {0};
	int64_t end = client_now_ms() + STARTING_MS;
	bool ended = stop_starters(name);
	int r = box_look(name, &info, e);
	bool running = info.running;

	*s = (struct client_stop){.name = name, .grace_ms = grace_ms, .how = CLIENT_NOT_RUNNING};
	box_info_release(&info);
	if (r == 0 && !running && ended)
		s->how = CLIENT_START_ENDED;
	if (r < 0 || !running)
		return r;
	s->how = CLIENT_STOPPED;
	while (!s->link && client_now_ms() < end && runs(name, NULL)) {
		const struct timespec t = {.tv_nsec = 20000000};
		int fd = box_connect(name, NULL);

		if (fd >= 0)
			s->link = new_link(fd);
		else
			(void)nanosleep(&t, NULL);
	}
	s->begun = client_now_ms();
	if (s->link) {
		(void)client_send_number(s->link, 0, FRAME_SHUTDOWN, grace_ms);
		(void)link_flush(s->link);
	}
	return 0;
}

/* A machine tells how it ended, before the connection does. */
static bool hear_end(struct client_stop *s)
{
	int64_t by = s->begun + s->grace_ms + SUPERVISOR_MS;
	int64_t left = by - client_now_ms();
	struct frame f;
	int r = client_answer(s->link, FRAME_STOPPED, left > 0 ? (int)left : 0, &f);

	s->machine = r == 0 && msg_get_stopped(&f, &s->ended) == 0;
	if (r == -EPIPE || r == -ECONNRESET)
		return true;
	left = by - client_now_ms();
	return client_ends(s->link, left > 0 ? (int)left : 0);
}

static int finish(struct client_stop *s, struct err **e)
{
	int r;

	if (s->link && hear_end(s) && client_box_ends(s->name, LOCK_MS)) {
		if (client_now_ms() - s->begun >= s->grace_ms)
			s->how = CLIENT_KILLED;
		return 0;
	}
	s->how = CLIENT_SUPERVISOR_KILLED;
	r = kill_supervisor(s->name, e);
	if (r < 0)
		return r;
	if (!client_box_ends(s->name, LOCK_MS))
		return err_set(e, ETIMEDOUT, "box '%s' does not end, though its supervisor was killed", s->name);
	return 0;
}

int client_stop_finish(struct client_stop *s, struct err **e)
{
	int r = s->how == CLIENT_NOT_RUNNING || s->how == CLIENT_START_ENDED ? 0 : finish(s, e);

	client_close(s->link);
	s->link = NULL;
	return r;
}

const char *client_stopped_name(enum client_stopped how)
{
	static const char *const names[] = {
		[CLIENT_NOT_RUNNING] = "not-running",
		[CLIENT_START_ENDED] = "start-ended",
		[CLIENT_STOPPED] = "stopped",
		[CLIENT_KILLED] = "killed",
		[CLIENT_SUPERVISOR_KILLED] = "supervisor-killed",
	};

	return names[how];
}
