/* The merge of a machine's Nix database with the slot's (guest/vmnixdb.c), killed at every one of its steps: the next
 * start completes it, and what was built in machines is in it. A step is a call of a function below, which the linker's
 * --wrap leads here first; a machine that is killed takes its Nix along, and so does PID 1 of the namespace here. */
#include "test.h"

#include "guest/guest.h"
#include "guest/vmnixdb.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define A "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a"
#define B "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-built-here"
#define C "/nix/store/cccccccccccccccccccccccccccccccc-c"
#define GONE "/nix/store/dddddddddddddddddddddddddddddddd-gone"
#define HASH "\nsha256:00\n120\n"
#define ENTRY_A A HASH "\n0\n"
#define ENTRY_B B HASH "\n1\n" A "\n"
#define ENTRY_C C HASH "\n1\n" A "\n"
#define ENTRY_GONE GONE HASH "\n0\n"

enum { KILLED = 77, STEPS_MAX = 2000 };

static char folder[] = "/tmp/igloo-vmnixdb-XXXXXX";
static const char *tool;
static int steps = -1; /* until the end; negative: none */

static void step(void)
{
	if (steps >= 0 && steps-- == 0)
		_exit(KILLED);
}

#define WRAP(type, name, parameters, arguments) \
	type __real_##name parameters;          \
	type __wrap_##name parameters;          \
	type __wrap_##name parameters           \
	{                                       \
		step();                         \
		return __real_##name arguments; \
	}

WRAP(int, renameat, (int from, const char *a, int to, const char *b), (from, a, to, b))
WRAP(int, unlinkat, (int dir, const char *name, int flags), (dir, name, flags))
WRAP(int, mkdirat, (int dir, const char *name, mode_t mode), (dir, name, mode))
WRAP(int, fsync, (int fd), (fd))
WRAP(pid_t, fork, (void), ())
WRAP(pid_t, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags))

int __real_fd_write_all(int fd, const void *bytes, size_t n);
int __wrap_fd_write_all(int fd, const void *bytes, size_t n);
int __wrap_fd_write_all(int fd, const void *bytes, size_t n)
{
	if (steps == 0)
		(void)__real_fd_write_all(fd, bytes, n / 2);
	step();
	return __real_fd_write_all(fd, bytes, n);
}

/* Of the guest's main file, which is a program. */
int64_t guest_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

__attribute__((constructor)) static void take_tool(int argc, char **argv)
{
	tool = argc > 1 ? argv[1] : "";
}

/* --- the machine -------------------------------------------------------------------------------------------------- */

static char *path(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static void put_text(const char *name, const char *text)
{
	_cleanup_free_ char *at = path(name);
	_cleanup_close_ int fd = open(at, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	CHECK(fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0);
}

static bool has(const char *name)
{
	_cleanup_free_ char *at = path(name);

	return access(at, F_OK) == 0;
}

static char *text_of(const char *name)
{
	struct str s = STR_INIT;
	_cleanup_free_ char *at = path(name);
	_cleanup_close_ int fd = open(at, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)fd_read_all(fd, 65536, &s, NULL);
	return str_take(&s);
}

static void make(const char *name)
{
	_cleanup_free_ char *at = path(name);

	CHECK(mkdir(at, 0755) == 0 || errno == EEXIST);
}

static void make_root(void)
{
	static const char *const folders[] = {"layer",     "layer/var", "layer/var/nix", "layer/upper", "view", "root",
					      "root/proc", "root/nix",  "root/nix/var",  "root/tool",   "dev"};
	_cleanup_free_ char *dev = path("dev");
	_cleanup_free_ char *var = path("layer/var");
	_cleanup_free_ char *at = path("root/nix/var");
	_cleanup_free_ char *to = path("root/tool/nix-store");
	_cleanup_close_ int from = open(tool, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	_cleanup_str_ struct str bytes = STR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		make(folders[i]);
	fd = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	CHECK(fd_read_all(from, 64 << 20, &bytes, NULL) == 0 && fd_write_all(fd, bytes.p, bytes.len) == 0);
	fd = close_fd(fd);
	/* In this process's mount namespace: the layer over the root, and a /dev whose kernel log is a file. */
	put_text("dev/null", "");
	put_text("dev/kmsg", "");
	CHECK(mount(var, at, NULL, MS_BIND, NULL) == 0 && mount(dev, "/dev", NULL, MS_BIND, NULL) == 0);
}

static void put_before(void)
{
	_cleanup_free_ char *db = path("layer/var/nix/db");
	_cleanup_free_ char *copy = path("layer/view.db");
	_cleanup_close_ int top = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)file_remove_tree(top, db + 1, NULL);
	(void)file_remove_tree(top, copy + 1, NULL);
	make("layer/var/nix/db");
	CHECK(chown(db, 1000, 1000) == 0);
	put_text("layer/var/nix/db/db.sqlite", ENTRY_A ENTRY_B ENTRY_GONE);
	put_text("layer/stamp", "of another time\n");
	make("layer/upper/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-built-here");
	put_text("view/schema", "10");
	put_text("view/db.sqlite", ENTRY_A ENTRY_C);
}

/* One start of a machine, killed before step number `at` (-1: not). Its status; KILLED. */
static int start(int at)
{
	_cleanup_free_ char *layer = path("layer");
	_cleanup_free_ char *view = path("view");
	_cleanup_free_ char *root = path("root");
	_cleanup_free_ char *upper = path("layer/upper");
	const struct vmnixdb db = {.layer = layer, .view = view, .root = root, .nix = "/tool", .upper = upper};
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD | CLONE_NEWPID, 0, 0, 0, 0);
	int status = -1;

	if (pid == 0) {
		int r;

		steps = at;
		r = vmnixdb_begin(&db);
		if (r == 1)
			r = vmnixdb_finish(&db);
		_exit(r == 0 ? 0 : 1);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_after(int at)
{
	_cleanup_free_ char *text = text_of("layer/var/nix/db/db.sqlite");
	_cleanup_free_ char *stamp = text_of("layer/stamp");

	if (strcmp(text, ENTRY_A ENTRY_C ENTRY_B) != 0)
		printf("# killed at step %d: %s\n", at, text);
	CHECK_STR(text, ENTRY_A ENTRY_C ENTRY_B);
	CHECK(strstr(stamp, ".") && !has("layer/kept") && !has("layer/view.db"));
}

static void each_step(void)
{
	int at = 0;

	make_root();
	put_before();
	CHECK(start(-1) == 0);
	check_after(-1);
	/* The next has nothing to do. */
	CHECK(start(-1) == 0);
	check_after(-1);
	for (int status = KILLED; at < STEPS_MAX && status == KILLED; at++) {
		put_before();
		status = start(at);
		CHECK(status == KILLED || status == 0);
		CHECK(start(-1) == 0);
		check_after(at);
	}
	printf("# %d steps\n", at - 1);
	CHECK(at > 30 && at < STEPS_MAX);
}

TEST(killed_at_each_step)
{
	_cleanup_close_ int top = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid_t pid;
	int status;

	if (geteuid() != 0) {
		test_lacks = "root, to run Nix as the machine's user in a root of its own";
		return;
	}
	CHECK(mkdtemp(folder) && chmod(folder, 0755) == 0);
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			_exit(2);
		if (setjmp(test_failed) != 0)
			_exit(1);
		each_step();
		(void)fflush(stdout);
		_exit(0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	(void)file_remove_tree(top, folder + 1, NULL);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_MAIN()
