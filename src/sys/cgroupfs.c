/* The files and folders of a cgroup file system, as both versions use them. */
#include "sys/cgroup_impl.h"

#include "base/clock.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>

/* A cgroup's file of processes: 8 bytes each for the four million that Linux can have. */
#define FILE_MAX (32 << 20)
#define DEPTH_MAX 32
/* How long one batch may hold up the next: a frozen or stuck process does not die at once. */
#define KILL_WAIT_MS 20
/* Processes killed at a time, so that their descriptors stay within the usual limit of open files. */
#define KILL_BATCH 256

int64_t cgroup_now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

bool cgroup_writable(int dir, const char *file)
{
	return faccessat(dir, file, W_OK, AT_EACCESS) == 0;
}

int cgroup_put(int dir, const char *file, const char *value, int fake)
{
	_cleanup_close_ int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | fake, 0600);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, value, strlen(value));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int cgroup_putu(int dir, const char *file, uint64_t value, int fake)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	return cgroup_put(dir, file, text, fake);
}

int cgroup_get(int dir, const char *file, struct str *to)
{
	_cleanup_close_ int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	return fd_read_all(fd, FILE_MAX, to, NULL);
}

int cgroup_get_key(int dir, const char *file, const char *key, uint64_t *ret)
{
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_strv_ struct strv lines = STRV_INIT;
	size_t n = strlen(key);
	int r = cgroup_get(dir, file, &text);

	if (r < 0)
		return r;
	*ret = 0;
	strv_split(&lines, str_text(&text), '\n');
	for (size_t i = 0; i < lines.n; i++)
		if (strncmp(lines.v[i], key, n) == 0 && lines.v[i][n] == ' ')
			*ret = strtoull(lines.v[i] + n + 1, NULL, 10);
	return 0;
}

bool cgroup_has_word(int dir, const char *file, const char *word)
{
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_strv_ struct strv words = STRV_INIT;

	if (cgroup_get(dir, file, &text) < 0)
		return false;
	if (text.len && text.p[text.len - 1] == '\n')
		text.p[--text.len] = '\0';
	strv_split(&words, str_text(&text), ' ');
	return strv_has(&words, word);
}

int cgroup_pids(int dir, pid_t **ret, size_t *ret_n)
{
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	size_t cap = 0;
	int r = cgroup_get(dir, "cgroup.procs", &text);

	if (r < 0)
		return r;
	for (const char *p = str_text(&text); *p;) {
		char *end;
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		if (n == cap) {
			cap = cap ? cap * 2 : 64;
			pids = xrealloc_array(pids, cap, sizeof(*pids));
		}
		pids[n++] = (pid_t)pid;
		p = end + strspn(end, "\n");
	}
	*ret = take_ptr(pids);
	*ret_n = n;
	return 0;
}

static int lock_dir(int fd, int how)
{
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int cgroup_make_parent(int base)
{
	if (mkdirat(base, CGROUP_PARENT, 0700) < 0 && errno != EEXIST)
		return -errno;
	return file_open_beneath(base, CGROUP_PARENT, O_RDONLY | O_DIRECTORY, 0);
}

/* The folder made new and locked. Under the parent's shared lock, which keeps a sweep from seeing it
 * between the two steps. */
static int make_locked(int parent, const char *folder)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (mkdirat(parent, folder, 0700) < 0)
		return -errno;
	fd = file_open_beneath(parent, folder, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0) {
		(void)unlinkat(parent, folder, AT_REMOVEDIR);
		return fd;
	}
	r = lock_dir(fd, LOCK_EX | LOCK_NB);
	return r < 0 ? r : take_fd(&fd);
}

/* Removes the folder if nobody holds its lock and no process is in it. 0 or -errno. */
static int remove_left(int parent, const char *folder)
{
	_cleanup_close_ int fd = file_open_beneath(parent, folder, O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (fd < 0)
		return fd;
	r = lock_dir(fd, LOCK_EX | LOCK_NB);
	return r < 0 ? r : cgroup_rmdir(parent, folder, 0);
}

int cgroup_make_box(int parent, const char *folder)
{
	int r = lock_dir(parent, LOCK_SH);

	if (r < 0)
		return r;
	r = make_locked(parent, folder);
	if (r == -EEXIST) {
		/* Alone, so that no other maker takes the folder between its removal and ours. */
		r = lock_dir(parent, LOCK_EX);
		if (r == 0 && remove_left(parent, folder) < 0)
			r = -EEXIST;
		if (r == 0)
			r = make_locked(parent, folder);
	}
	(void)flock(parent, LOCK_UN);
	return r;
}

static bool pids_has(const pid_t *pids, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* Kills `n` (at most KILL_BATCH) processes and waits a moment for the first to go. A number read from
 * cgroup.procs may be another process's by the time it is used: so it is opened first, and killed
 * through the descriptor only if the number is still listed after that. */
static int kill_batch(int dir, const pid_t *pids, size_t n)
{
	_cleanup_free_ pid_t *again = NULL;
	struct pollfd fds[KILL_BATCH];
	size_t n_again = 0;
	nfds_t killed = 0;
	int r;

	for (size_t i = 0; i < n; i++)
		fds[i].fd = pids[i] > 0 ? (int)syscall(SYS_pidfd_open, pids[i], 0) : -1;
	r = cgroup_pids(dir, &again, &n_again);
	for (size_t i = 0; i < n; i++) {
		int fd = fds[i].fd;

		if (r == 0 && fd >= 0 && pids_has(again, n_again, pids[i])) {
			(void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
			fds[killed++] = (struct pollfd){.fd = fd, .events = POLLIN};
		} else {
			(void)close_fd(fd);
		}
	}
	(void)poll(fds, killed, killed ? KILL_WAIT_MS : 1);
	for (nfds_t i = 0; i < killed; i++)
		(void)close_fd(fds[i].fd);
	return r;
}

/* Kills what is listed now. Returns how many that was. */
static int kill_round(int dir)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t n = 0;
	int r = cgroup_pids(dir, &pids, &n);

	for (size_t i = 0; r == 0 && i < n; i += KILL_BATCH)
		r = kill_batch(dir, pids + i, n - i < KILL_BATCH ? n - i : KILL_BATCH);
	return r < 0 ? r : (int)(n > INT32_MAX ? INT32_MAX : n);
}

/* Calls f for each folder in dir; stops at the first that returns < 0. */
static int each_folder(int dir, int (*f)(int dir, const char *name, void *arg), void *arg)
{
	_cleanup_close_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d;
	int r = 0;

	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d)
		return -errno;
	(void)take_fd(&fd);
	while (r >= 0) {
		struct dirent *entry = readdir(d);

		if (!entry)
			break;
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			r = f(dir, entry->d_name, arg);
	}
	(void)closedir(d);
	return r < 0 ? r : 0;
}

struct kill_state {
	int depth;
	int64_t left; /* processes seen */
};

static int kill_folder(int dir, const char *name, void *arg);

static int kill_tree(int dir, struct kill_state *state)
{
	int r = kill_round(dir);

	if (r < 0)
		return r;
	state->left += r;
	if (state->depth >= DEPTH_MAX)
		return 0;
	state->depth++;
	r = each_folder(dir, kill_folder, state);
	state->depth--;
	return r;
}

static int kill_folder(int dir, const char *name, void *arg)
{
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? 0 : kill_tree(fd, arg);
}

int cgroup_kill_once(int dir)
{
	struct kill_state state = {0, 0};

	return kill_tree(dir, &state);
}

int cgroup_kill_rounds(int dir, int64_t deadline)
{
	for (;;) {
		struct kill_state state = {0, 0};
		int r = kill_tree(dir, &state);

		if (r == -ENODEV || r == -ENOENT) /* removed meanwhile */
			return 0;
		if (r < 0)
			return r;
		if (state.left == 0)
			return 0;
		if (cgroup_now_ms() > deadline)
			return -ETIMEDOUT;
	}
}

struct rmdir_state {
	int depth;
	int fake;
};

static int rmdir_folder(int dir, const char *name, void *arg)
{
	struct rmdir_state *state = arg;
	_cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd >= 0 && state->depth < DEPTH_MAX) {
		state->depth++;
		(void)each_folder(fd, rmdir_folder, state);
		state->depth--;
	}
	if (state->fake) { /* plain files do not vanish with their folder */
		static const char *const files[] = {"cpu.max", "memory.max", "memory.swap.max", "pids.max",
						    "cgroup.procs"};

		for (size_t i = 0; fd >= 0 && i < ARRAY_SIZE(files); i++)
			(void)unlinkat(fd, files[i], 0);
	}
	return unlinkat(dir, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int cgroup_rmdir(int parent, const char *folder, int fake)
{
	struct rmdir_state state = {0, fake};
	int r = unlinkat(parent, folder, AT_REMOVEDIR) < 0 ? -errno : 0;

	if (r == -EBUSY || r == -ENOTEMPTY)
		r = rmdir_folder(parent, folder, &state);
	return r == -ENOENT ? 0 : r;
}

static int sweep_folder(int dir, const char *name, void *arg)
{
	int *removed = arg;

	if (str_starts(name, CGROUP_PREFIX) && remove_left(dir, name) == 0)
		(*removed)++;
	return 0;
}

int cgroup_sweep_dir(int parent)
{
	int removed = 0;
	int r = lock_dir(parent, LOCK_EX);

	if (r < 0)
		return r;
	r = each_folder(parent, sweep_folder, &removed);
	(void)flock(parent, LOCK_UN);
	return r < 0 ? r : removed;
}
