/* PID 1 of a machine's box (guest/vmhost.c) with real machines: the guest's own /init, and one that means no good. */
#include "test.h"

#include "guest/image.h"
#include "guest/vmwords.h"
#include "kind/vm/arch.h"
#include "kind/vm/initrd.h"
#include "kind/vm/kernel.h"
#include "kind/vm/machine.h"
#include "kind/vm/vmlinux.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/ns.h"
#include "sys/spawn.h"
#include "wire/exec.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 180000 };

static char folder[] = "/tmp/igloo-vmhost-XXXXXX";
static const char *hostile_init;
static const char *tool;
static struct link host;
static pid_t first; /* PID 1 of the box */
static char words[FRAME_WORDS_MAX + 1];
static struct msg_err said;
static unsigned stages; /* bits */
static struct msg_stopped stopped;

static char *qemu;
static char *vmlinux;
static struct kernel kernel;
static struct vmcache cache;

/* The kernel, once. */
static bool here(void)
{
	const char *user = getenv("IGLOO_TEST_KERNEL");
	struct kernel_search search = {.user = user,
				       .root = "",
				       .cache = &cache,
				       .arch = archs[0],
				       .want = archs[0]->modules,
				       .n_want = archs[0]->n_modules};
	_cleanup_err_ struct err *e = NULL;

	qemu = qemu ? qemu : spawn_find("qemu-system-x86_64", NULL, NULL);
	if (!qemu || !user) {
		test_lacks = qemu ? "an unpacked kernel package (IGLOO_TEST_KERNEL)" : "qemu-system-x86_64";
		return false;
	}
	if (vmlinux)
		return true;
	cache.path = folder;
	cache.dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cache.dir < 0 || kernel_find(&search, &kernel, &e) < 0 ||
	    vmlinux_get(&cache, kernel.image, &vmlinux, &e) < 0)
		printf("# %s\n", e ? err_message(e) : "?");
	CHECK(vmlinux);
	return true;
}

static char *make_initrd(const void *init, size_t n, const char *config)
{
	_cleanup_modules_ struct modules *modules = NULL;
	_cleanup_err_ struct err *e = NULL;
	char *path = NULL;
	struct initrd i = {.elf_machine = archs[0]->elf_machine,
			   .init = init,
			   .init_bytes = n,
			   .config = config,
			   .config_bytes = config ? strlen(config) : 0,
			   .want = archs[0]->modules,
			   .n_want = archs[0]->n_modules};

	CHECK(modules_open(kernel.modules, &modules, &e) == 0);
	i.modules = modules;
	CHECK(initrd_get(&cache, &i, &path, &e) == 0);
	return path;
}

static void run_first(const struct strv *argv, int sock, int go)
{
	_cleanup_strv_ struct strv all = STRV_INIT;
	char *env[] = {NULL};
	int guest = memfd_create("guest", MFD_CLOEXEC);
	char byte;

	if (read(go, &byte, 1) != 1 || guest < 0 || fd_write_all(guest, guest_image, guest_image_size) < 0)
		_exit(1);
	strv_add(&all, "igloo-guest");
	strv_add(&all, "3");
	strv_add(&all, "--vm");
	strv_add_all(&all, argv->v);
	guest = fcntl(guest, F_DUPFD_CLOEXEC, 10);
	(void)dup2(sock, 3);
	(void)fexecve(guest, all.v, env);
	_exit(1);
}

/* Starts a machine; its guest's connection is `host`. */
static void start(const char *initrd, const char *append, const char *const *more)
{
	const struct machine_port port = {.name = VM_PORT_NAME, .fd = VMHOST_PORT_FD};
	const struct machine_share share = {.tag = "box", .path = folder};
	_cleanup_strv_ struct strv extra = STRV_INIT;
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct machine m = {.arch = archs[0],
			    .qemu = qemu,
			    .cpus = 1,
			    .memory_mib = 512,
			    .kernel = vmlinux,
			    .initrd = initrd,
			    .append = append,
			    .ports = &port,
			    .n_ports = 1,
			    .shares = &share,
			    .n_shares = 1,
			    .console = STDOUT_FILENO,
			    .monitor = VMHOST_MONITOR_FD,
			    .more = &extra};
	int link[2];
	int go[2];

	for (; more && *more; more++)
		strv_add(&extra, *more);
	CHECK(machine_argv(&m, &argv, NULL) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) == 0 && pipe2(go, O_CLOEXEC) == 0);
	first = ns_fork(CLONE_NEWPID | CLONE_NEWUSER, NULL);
	if (first == 0)
		run_first(&argv, link[1], go[0]);
	CHECK(first > 0 && ns_write_maps(first, 0, 0, NULL) == 0);
	CHECK(write(go[1], "g", 1) == 1);
	(void)close(go[0]);
	(void)close(go[1]);
	(void)close(link[1]);
	link_init(&host, link[0], EXEC_BYTES_MAX);
	words[0] = '\0';
	said = (struct msg_err){0};
	stages = 0;
}

static void finish(void)
{
	if (first <= 0)
		return;
	(void)kill(first, SIGKILL);
	(void)waitpid(first, NULL, 0);
	first = 0;
	link_release(&host);
}

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes frames until one of that type, which is returned; 0 for the end of the connection. */
static int take_until(uint8_t type)
{
	int64_t end = now_ms() + PATIENCE_MS;

	while (now_ms() < end) {
		struct pollfd p = {.fd = host.fd, .events = POLLIN};
		struct frame f;

		while (link_next(&host, false, &f) == 1) {
			if (f.type == FRAME_STAGE)
				stages |= 1U << f.payload[0];
			if (f.type == FRAME_ERR) {
				CHECK(msg_get_err(&f, &said) == 0);
				memcpy(words, f.payload + MSG_ERR_BYTES, f.len - MSG_ERR_BYTES);
				words[f.len - MSG_ERR_BYTES] = '\0';
			}
			if (f.type == FRAME_STOPPED)
				CHECK(msg_get_stopped(&f, &stopped) == 0);
			if (f.type == type)
				return type;
		}
		CHECK(poll(&p, 1, PATIENCE_MS) == 1);
		if (link_receive(&host) <= 0)
			return 0;
	}
	return -1;
}

static void begin_hostile(const char *mode)
{
	_cleanup_str_ struct str init = STR_INIT;
	_cleanup_free_ char *append = xasprintf("mode=%s", mode);
	_cleanup_free_ char *initrd = NULL;
	_cleanup_close_ int fd = open(hostile_init, O_RDONLY | O_CLOEXEC);

	finish();
	CHECK(fd >= 0 && fd_read_all(fd, 64 << 20, &init, NULL) == 0);
	initrd = make_initrd(init.p, init.len, NULL);
	start(initrd, append, NULL);
}

TEST(a_panic_at_the_start_is_told)
{
	if (!here())
		return;
	begin_hostile("early");
	CHECK(take_until(FRAME_ERR) == FRAME_ERR);
	CHECK(said.stage == MSG_STAGE_MACHINE && said.errnum == EIO);
	CHECK(strncmp(words, "its kernel panicked: Attempted to kill init! exitcode=0x00000300", 64) == 0);
	CHECK(!strchr(words, '\n') && take_until(FRAME_HELLO) == 0);
}

TEST(a_panic_later_is_told)
{
	if (!here())
		return;
	begin_hostile("late");
	CHECK(take_until(FRAME_HELLO) == FRAME_HELLO);
	CHECK(take_until(FRAME_ERR) == FRAME_ERR);
	CHECK(strncmp(words, "its kernel panicked: Attempted to kill init! exitcode=0x00000600", 64) == 0);
	CHECK(take_until(FRAME_HELLO) == 0);
}

/* A machine that does not end when it is asked to: QEMU does. */
TEST(a_machine_that_does_not_end_is_made_to)
{
	uint8_t grace[MSG_NUMBER_BYTES];
	int64_t begin;

	if (!here())
		return;
	begin_hostile("deaf");
	CHECK(take_until(FRAME_HELLO) == FRAME_HELLO);
	msg_put_number(grace, 100);
	begin = now_ms();
	CHECK(link_send(&host, 0, FRAME_SHUTDOWN, 0, grace, sizeof(grace), NULL, 0) == 0);
	CHECK(link_drain(&host, PATIENCE_MS) == 0);
	CHECK(take_until(FRAME_STOPPED) == FRAME_STOPPED);
	CHECK(stopped.how == MSG_STOPPED_TOLD && stopped.ms >= 6100);
	CHECK(now_ms() - begin >= 6000 && take_until(FRAME_HELLO) == 0 && words[0] == '\0');
}

/* Its firmware's clock is wrong by decades, and its first command sees nothing of that. */
TEST(the_clock_is_the_hosts_before_the_first_command)
{
	static const char *const rtc[] = {"-rtc", "base=2000-01-01", NULL};
	char name[] = "/boxtool";
	char what[] = "time";
	char *argv[] = {name, what, NULL};
	char *env[] = {NULL};
	struct exec x = {.flags = EXEC_HAS_FDS, .uid = 1000, .gid = 1000, .cwd = "/", .argv = argv, .env = env};
	_cleanup_free_ char *initrd = NULL;
	_cleanup_free_ char *copy = xasprintf("%s/boxtool", folder);
	static const char *const folders[] = {"proc", "sys", "dev", "tmp"};
	char text[64] = "";
	long seconds;
	int out[2];

	if (!here())
		return;
	finish();
	{
		_cleanup_close_ int from = open(tool, O_RDONLY | O_CLOEXEC);
		_cleanup_close_ int to = open(copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
		_cleanup_str_ struct str bytes = STR_INIT;

		CHECK(fd_read_all(from, 64 << 20, &bytes, NULL) == 0 && fd_write_all(to, bytes.p, bytes.len) == 0);
	}
	CHECK(chmod(folder, 0755) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		CHECK(mkdirat(cache.dir, folders[i], 0755) == 0);
	initrd = make_initrd(guest_image, guest_image_size, "root=9p box cache=mmap\n");
	start(initrd, NULL, rtc);
	/* It waits in the socket, in front of HELLO. */
	CHECK(pipe2(out, O_CLOEXEC) == 0);
	{
		const int fds[3] = {open("/dev/null", O_RDONLY | O_CLOEXEC), out[1],
				    open("/dev/null", O_WRONLY | O_CLOEXEC)};

		CHECK(exec_send(&host, 1, &x, fds) == 0 && link_drain(&host, PATIENCE_MS) == 0);
	}
	CHECK(take_until(FRAME_EXIT) == FRAME_EXIT);
	CHECK(read(out[0], text, sizeof(text) - 1) > 0);
	seconds = strtol(text, NULL, 10);
	if (labs(seconds - (long)time(NULL)) > 2)
		printf("# %s", text);
	CHECK(labs(seconds - (long)time(NULL)) <= 2);
	/* Those that came together are told by the last. */
	CHECK(stages >> VMSTAGE_INIT != 0 && stages >> VMSTAGES == 0);
	(void)close(out[0]);
	(void)close(out[1]);
}

int main(int argc, char **argv)
{
	volatile int number = 0;
	volatile int failed = 0;

	if (argc != 3 || !mkdtemp(folder))
		return 99;
	hostile_init = argv[1];
	tool = argv[2];
	for (struct test *volatile t = tests_first; t; t = t->next) {
		number++;
		test_lacks = NULL;
		if (setjmp(test_failed) == 0) {
			t->run();
			printf("ok %d - %s%s%s\n", number, t->name, test_lacks ? " # SKIP " : "",
			       test_lacks ? test_lacks : "");
		} else {
			failed++;
			printf("not ok %d - %s (%s)\n", number, t->name, words);
		}
		(void)fflush(stdout);
	}
	finish();
	printf("1..%d\n", number);
	{
		_cleanup_close_ int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		(void)file_remove_tree(tmp, folder + strlen("/tmp/"), NULL);
	}
	free(qemu);
	free(vmlinux);
	kernel_release(&kernel);
	return failed ? 1 : 0;
}
