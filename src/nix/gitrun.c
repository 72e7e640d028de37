#include "nix/gitrun.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { TIME_LIMIT_MS = 60000, STDERR_MAX = 4096, CHUNK = 65536 };

static const char *const fixed_args[] = {
	"git",
	"--no-pager",
	"--no-replace-objects",
	"-c",
	"core.fsmonitor=false",
	"-c",
	"core.hooksPath=/dev/null",
	"-c",
	"core.untrackedCache=false",
	"-c",
	"core.sshCommand=false",
	"-c",
	"core.askPass=",
	"-c",
	"protocol.allow=never",
	"-c",
	"safe.directory=*",
	"-C",
};

static const char *const fixed_env[] = {
	"PATH=/usr/bin:/bin:/run/current-system/sw/bin",
	"HOME=/nonexistent", /* git refuses an include below ~ when there is none */
	"LC_ALL=C",
	"GIT_CONFIG_NOSYSTEM=1",
	"GIT_CONFIG_SYSTEM=/dev/null",
	"GIT_CONFIG_GLOBAL=/dev/null",
	"GIT_ATTR_NOSYSTEM=1",
	"GIT_OPTIONAL_LOCKS=0",
	"GIT_TERMINAL_PROMPT=0",
	"GIT_ASKPASS=false",
	"GIT_SSH_COMMAND=false",
	"GIT_PAGER=cat",
	"GIT_EDITOR=false",
	"GIT_NO_REPLACE_OBJECTS=1",
	"GIT_NO_LAZY_FETCH=1",
	"GIT_ALLOW_PROTOCOL=none",
	"GIT_LITERAL_PATHSPECS=1",
};

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* The absolute path of git by PATH, leaving out relative folders and whatever lies in the work tree. */
static char *find_git(const char *work_dir)
{
	_cleanup_strv_ struct strv dirs = STRV_INIT;
	const char *path = getenv("PATH");

	if (str_has(path))
		strv_split(&dirs, path, ':');
	strv_add(&dirs, "/usr/bin");
	strv_add(&dirs, "/run/current-system/sw/bin");
	for (size_t i = 0; i < dirs.n; i++) {
		_cleanup_free_ char *file = NULL;
		_cleanup_free_ char *real = NULL;

		if (dirs.v[i][0] != '/')
			continue;
		file = xasprintf("%s/git", dirs.v[i]);
		if (access(file, X_OK) < 0)
			continue;
		real = realpath(file, NULL);
		if (real && !is_below(real, work_dir) && !is_below(file, work_dir))
			return take_ptr(file);
	}
	return NULL;
}

static int spawn_git(const char *file, char *const *argv, char *const *envp, int out, int errfd, pid_t *ret)
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
	r = posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&fa, out, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(&fa, errfd, 2);
	if (r == 0)
		r = posix_spawn(ret, file, &fa, &attr, argv, envp);
	(void)posix_spawnattr_destroy(&attr);
	(void)posix_spawn_file_actions_destroy(&fa);
	return -r;
}

static long long now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Reads what is there; what goes beyond `max` is dropped when `drop`, else -EFBIG. 0 at the end. */
static ssize_t take_some(int fd, size_t max, bool drop, struct str *to)
{
	char *room = str_room(to, CHUNK);
	ssize_t n = read(fd, room, CHUNK);

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	if (to->len + (size_t)n > max) {
		if (!drop)
			return -EFBIG;
		return n;
	}
	str_grew(to, (size_t)n);
	return n;
}

static int collect(int out_fd, int err_fd, size_t max, struct str *out, struct str *errors)
{
	struct pollfd p[2] = {{.fd = out_fd, .events = POLLIN}, {.fd = err_fd, .events = POLLIN}};
	long long end = now_ms() + TIME_LIMIT_MS;

	while (p[0].fd >= 0 || p[1].fd >= 0) {
		long long left = end - now_ms();
		int r = left > 0 ? poll(p, 2, (int)left) : 0;

		if (r == 0)
			return -ETIMEDOUT;
		if (r < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < 2 && r > 0; i++) {
			ssize_t n;

			if (p[i].fd < 0 || p[i].revents == 0)
				continue;
			n = i == 0 ? take_some(out_fd, max, false, out) : take_some(err_fd, STDERR_MAX, true, errors);
			if (n < 0)
				return (int)n;
			if (n == 0)
				p[i].fd = -1;
		}
	}
	return 0;
}

static int failed(int r, int status, const char *work_dir, const char *command, const struct str *errors,
		  struct err **e)
{
	_cleanup_str_ struct str dir = STR_INIT;
	_cleanup_str_ struct str words = STR_INIT;

	str_add_printable(&dir, work_dir, strlen(work_dir), false);
	str_add_printable(&words, str_text(errors), errors->len, true);
	if (r < 0)
		return err_errno(e, -r, "git %s in '%s'", command, str_text(&dir));
	if (WIFSIGNALED(status))
		(void)err_set(e, EIO, "git %s in '%s' was killed by signal %d", command, str_text(&dir),
			      WTERMSIG(status));
	else
		(void)err_set(e, EIO, "git %s in '%s' failed with exit code %d", command, str_text(&dir),
			      WEXITSTATUS(status));
	if (words.len > 0)
		(void)err_detail(e, str_text(&words));
	return -EIO;
}

static void add_all(struct strv *to, const char *const *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		strv_add(to, v[i]);
}

int gitrun(const struct gitrepo *repo, const char *const *args, size_t max, int *ret_status, struct str *out,
	   struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv envp = STRV_INIT;
	_cleanup_free_ char *file = find_git(repo->work_dir);
	_cleanup_str_ struct str errors = STR_INIT;
	_cleanup_close_ int out_r = -1;
	_cleanup_close_ int err_r = -1;
	int fds[4] = {-1, -1, -1, -1};
	int status = 0;
	pid_t pid;
	int r;

	if (!file) {
		(void)err_set(e, ENOENT, "git is needed to read the repository and is not on the PATH");
		(void)err_hint(e, "install git");
		return -ENOENT;
	}
	add_all(&argv, fixed_args, ARRAY_SIZE(fixed_args));
	strv_add(&argv, repo->work_dir);
	for (size_t i = 0; args[i]; i++)
		strv_add(&argv, args[i]);
	add_all(&envp, fixed_env, ARRAY_SIZE(fixed_env));
	strv_addf(&envp, "GIT_DIR=%s", repo->git_dir);
	strv_addf(&envp, "GIT_WORK_TREE=%s", repo->work_dir);

	if (pipe2(fds, O_CLOEXEC) < 0 || pipe2(fds + 2, O_CLOEXEC) < 0)
		r = -errno;
	else
		r = spawn_git(file, argv.v, envp.v, fds[1], fds[3], &pid);
	out_r = fds[0];
	err_r = fds[2];
	(void)close_fd(fds[1]);
	(void)close_fd(fds[3]);
	if (r < 0)
		return failed(r, 0, repo->work_dir, args[0], &errors, e);
	r = collect(out_r, err_r, max, out, &errors);
	if (r < 0)
		(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1)
		return failed(r, status, repo->work_dir, args[0], &errors, e);
	*ret_status = WEXITSTATUS(status);
	if (*ret_status == 0 && (str_starts(str_text(&errors), "error:") || strstr(str_text(&errors), "\nerror:")))
		*ret_status = GITRUN_COMPLAINED;
	return 0;
}
