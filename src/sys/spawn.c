#include "sys/spawn.h"

#include "base/clock.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

enum { CHUNK = 65536, P_OUT = 0, P_ERR, P_EXIT, P_CANCEL, P_COUNT };

/* A file, not a pipe: nothing to feed while the program runs, and no SIGPIPE when it does not read. */
static int input_file(const void *bytes, size_t n)
{
	_cleanup_close_ int fd = memfd_create("igloo-stdin", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, bytes, n);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	return take_fd(&fd);
}

static int add_actions(posix_spawn_file_actions_t *fa, const struct spawn *s, int in, int out, int errors)
{
	int r = in >= 0 ? posix_spawn_file_actions_adddup2(fa, in, 0)
			: posix_spawn_file_actions_addopen(fa, 0, "/dev/null", O_RDONLY, 0);

	if (r == 0)
		r = posix_spawn_file_actions_adddup2(fa, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(fa, errors, 2);
	if (r == 0 && s->dir)
		r = posix_spawn_file_actions_addchdir_np(fa, s->dir);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
	/* Ours are all CLOEXEC; this is for those that igloo inherited. */
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(fa, 3);
#endif
	return -r;
}

static int start(const struct spawn *s, int in, int out, int errors, pid_t *ret)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none;
	sigset_t all;
	int r;

	if (posix_spawn_file_actions_init(&fa) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attr) != 0) {
		(void)posix_spawn_file_actions_destroy(&fa);
		return -ENOMEM;
	}
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	(void)posix_spawnattr_setpgroup(&attr, 0);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	r = add_actions(&fa, s, in, out, errors);
	if (r == 0)
		r = -posix_spawn(ret, s->file, &fa, &attr, s->argv, s->envp ? s->envp : environ);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&fa);
	return r;
}

/* Reads what is there into `to` (NULL: dropped). 0 at the end, -EFBIG beyond max_output. */
static ssize_t take_output(int fd, size_t max, struct str *to)
{
	char dropped[4096];
	char *room = to ? str_room(to, CHUNK) : dropped;
	ssize_t n = read(fd, room, to ? CHUNK : sizeof(dropped));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	if (to) {
		if ((size_t)n > max || to->len > max - (size_t)n)
			return -EFBIG;
		str_grew(to, (size_t)n);
	}
	return n;
}

static ssize_t take_errors(int fd, struct str *to)
{
	ssize_t n = take_output(fd, SIZE_MAX, to);

	if (n > 0 && to && to->len > (size_t)4 * SPAWN_STDERR_MAX) {
		memmove(to->p, to->p + to->len - SPAWN_STDERR_MAX, SPAWN_STDERR_MAX + 1);
		to->len = SPAWN_STDERR_MAX;
	}
	return n;
}

struct taking {
	struct pollfd p[P_COUNT];
	size_t max; /* of `out`, with what was in it before */
	struct str *out;
	struct str *errors;
};

static int take_ready(struct taking *t)
{
	for (int i = P_OUT; i <= P_ERR; i++) {
		ssize_t n;

		if (t->p[i].fd < 0 || t->p[i].revents == 0)
			continue;
		n = i == P_OUT ? take_output(t->p[i].fd, t->max, t->out) : take_errors(t->p[i].fd, t->errors);
		if (n < 0)
			return (int)n;
		if (n == 0)
			t->p[i].fd = -1;
	}
	return 0;
}

/* The program has exited: takes what is still in the pipes, and no more. */
static int take_rest(struct taking *t)
{
	int r;

	do {
		r = poll(t->p, P_EXIT, 0);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r > 0 && take_ready(t) < 0)
			return -EFBIG;
	} while (r != 0 && (t->p[P_OUT].fd >= 0 || t->p[P_ERR].fd >= 0));
	return 0;
}

static int collect(struct taking *t, unsigned time_limit_ms)
{
	long long end = time_limit_ms ? clock_ms(CLOCK_MONOTONIC) + time_limit_ms : 0;

	/* Without a pidfd (Linux before 5.3) the end of both pipes is the program's end. */
	while (t->p[P_EXIT].fd >= 0 || t->p[P_OUT].fd >= 0 || t->p[P_ERR].fd >= 0) {
		long long left = end ? end - clock_ms(CLOCK_MONOTONIC) : -1;
		int r;

		if (end && left <= 0)
			return -ETIMEDOUT;
		r = poll(t->p, P_COUNT, left > INT_MAX ? INT_MAX : (int)left);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		if (t->p[P_CANCEL].revents)
			return -ECANCELED;
		if (t->p[P_EXIT].revents)
			return take_rest(t);
		r = take_ready(t);
		if (r < 0)
			return r;
	}
	return 0;
}

static void keep_tail(struct str *errors)
{
	if (!errors || errors->len <= SPAWN_STDERR_MAX)
		return;
	memmove(errors->p, errors->p + errors->len - SPAWN_STDERR_MAX, SPAWN_STDERR_MAX + 1);
	errors->len = SPAWN_STDERR_MAX;
}

static const char *spawn_name(const struct spawn *s)
{
	return s->name ? s->name : s->argv[0];
}

static int report(const struct spawn *s, int r, struct err **e)
{
	switch (-r) {
	case EFBIG:
		return err_set(e, EFBIG, "%s: printed more than %zu bytes", spawn_name(s), s->max_output);
	case ETIMEDOUT:
		return err_set(e, ETIMEDOUT, "%s: not finished after %u seconds", spawn_name(s),
			       s->time_limit_ms / 1000);
	case ECANCELED:
		return err_set(e, ECANCELED, "%s: interrupted", spawn_name(s));
	default:
		return err_errno(e, -r, "cannot run %s ('%s')", spawn_name(s), s->file);
	}
}

/* pipe2() whose ends are above 2, so that no file action overwrites one that is still needed. */
static int make_pipe(int ret[2])
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		ret[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
		(void)close_fd(fds[i]);
	}
	return ret[0] < 0 || ret[1] < 0 ? -EMFILE : 0;
}

int spawn_run(const struct spawn *s, struct str *out, struct str *errors, int *ret_status, struct err **e)
{
	_cleanup_close_ int in = -1;
	_cleanup_close_ int pidfd = -1;
	int out_pipe[2] = {-1, -1};
	int err_pipe[2] = {-1, -1};
	struct taking t = {.out = out, .errors = errors};
	int status = 0;
	pid_t pid = -1;
	int r = 0;

	if (s->input) {
		in = input_file(s->input, s->input_bytes);
		r = in < 0 ? in : 0;
	} else if (s->input_fd > 0) {
		in = fcntl(s->input_fd, F_DUPFD_CLOEXEC, 3);
		r = in < 0 ? -errno : 0;
	}
	if (r == 0)
		r = make_pipe(out_pipe);
	if (r == 0)
		r = make_pipe(err_pipe);
	if (r == 0)
		r = start(s, in, out_pipe[1], err_pipe[1], &pid);
	(void)close_fd(out_pipe[1]);
	(void)close_fd(err_pipe[1]);
	if (r == 0) {
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		t.max = s->max_output + (out ? out->len : 0);
		t.p[P_OUT] = (struct pollfd){.fd = out_pipe[0], .events = POLLIN};
		t.p[P_ERR] = (struct pollfd){.fd = err_pipe[0], .events = POLLIN};
		t.p[P_EXIT] = (struct pollfd){.fd = pidfd, .events = POLLIN};
		t.p[P_CANCEL] = (struct pollfd){.fd = s->cancel_fd > 0 ? s->cancel_fd : -1, .events = POLLIN};
		r = collect(&t, s->time_limit_ms);
		if (r < 0)
			(void)kill(-pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	(void)close_fd(out_pipe[0]);
	(void)close_fd(err_pipe[0]);
	keep_tail(errors);
	if (r < 0)
		return report(s, r, e);
	*ret_status = status;
	return 0;
}

int spawn_failed(const char *name, int status, const struct str *errors, struct err **e)
{
	_cleanup_str_ struct str words = STR_INIT;

	if (WIFSIGNALED(status))
		(void)err_set(e, EIO, "%s was killed by signal %d", name, WTERMSIG(status));
	else
		(void)err_set(e, EIO, "%s failed with exit code %d", name, WEXITSTATUS(status));
	if (errors && errors->len > 0) {
		str_add_printable(&words, errors->p, errors->len, true);
		(void)err_detail(e, str_text(&words));
	}
	return -EIO;
}

int spawn_check(const struct spawn *s, struct str *out, struct err **e)
{
	_cleanup_str_ struct str errors = STR_INIT;
	int status = 0;
	int r = spawn_run(s, out, &errors, &status, e);

	if (r < 0)
		return r;
	return status == 0 ? 0 : spawn_failed(spawn_name(s), status, &errors, e);
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

char *spawn_find(const char *name, const char *const *more, const char *not_below)
{
	_cleanup_strv_ struct strv dirs = STRV_INIT;
	const char *path = getenv("PATH");

	if (str_has(path))
		strv_split(&dirs, path, ':');
	for (size_t i = 0; more && more[i]; i++)
		strv_add(&dirs, more[i]);
	for (size_t i = 0; i < dirs.n; i++) {
		_cleanup_free_ char *file = NULL;
		_cleanup_free_ char *real = NULL;
		struct stat st;

		if (dirs.v[i][0] != '/')
			continue;
		file = xasprintf("%s/%s", dirs.v[i], name);
		if (stat(file, &st) < 0 || !S_ISREG(st.st_mode) || access(file, X_OK) < 0)
			continue;
		real = not_below ? realpath(file, NULL) : NULL;
		if (!not_below || (real && !is_below(real, not_below) && !is_below(file, not_below)))
			return take_ptr(file);
	}
	return NULL;
}
