/* Boots a kernel with igloo's own means, without a box: a measuring and developer's tool. See boot.sh.
 *
 * usage: vmboot [-b] [-k] [-c] [-n TIMES] [-a APPEND] [-x QEMU-ARG]… KERNEL MODULES INIT CACHE SHARE
 *     -b  the bzImage itself instead of its vmlinux    -k  by KVM    -c  the console, on the standard error
 *     -x  adds an argument of QEMU    -p  prints the arguments and ends */
#include "kind/vm/initrd.h"
#include "kind/vm/machine.h"
#include "kind/vm/vmlinux.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int fail(const char *what, const struct err *e)
{
	(void)fprintf(stderr, "vmboot: %s: %s\n%s", what, err_message(e), err_hints(e));
	return 1;
}

static struct option_set {
	bool bzimage, kvm, console, print;
	long times;
	const char *append;
	struct strv more;
} options = {.times = 1};

/* One line of the machine, with the time it came. */
static int follow(int sock, double start)
{
	char line[256];
	size_t have = 0;

	for (;;) {
		struct pollfd p = {.fd = sock, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, 120000) <= 0)
			return -ETIMEDOUT;
		n = read(sock, line + have, sizeof(line) - have - 1);
		if (n <= 0)
			return have ? -EIO : 0;
		have += (size_t)n;
		line[have] = '\0';
		for (char *end; (end = strchr(line, '\n'));) {
			*end = '\0';
			printf("%8.0f ms  %s\n", now() - start, line);
			have -= (size_t)(end + 1 - line);
			memmove(line, end + 1, have + 1);
		}
		if (have == sizeof(line) - 1)
			return -EFBIG;
	}
}

static int run(const struct strv *argv, int sock, int ours, double *ret_start)
{
	struct rusage used = {0};
	pid_t pid;
	int status = 0;
	int r;

	*ret_start = now();
	pid = fork();
	if (pid == 0) {
		(void)fcntl(sock, F_SETFD, 0);
		(void)execvp(argv->v[0], argv->v);
		_exit(127);
	}
	(void)close(sock);
	r = pid < 0 ? -errno : follow(ours, *ret_start);
	if (r < 0 && pid > 0)
		(void)kill(pid, SIGKILL);
	if (pid > 0)
		(void)wait4(pid, &status, 0, &used);
	printf("%8.0f ms  QEMU ended (%d), %ld ms of processor\n", now() - *ret_start, r ? r : status,
	       (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
		       (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000);
	return r || status;
}

static int boot(const char *kernel, const char *initrd, const char *share)
{
	struct machine_share shares[] = {{.tag = "share", .path = share, .read_only = true}};
	struct machine_port port = {.name = "vmboot"};
	struct machine m = {.arch = archs[0],
			    .qemu = "qemu-system-x86_64",
			    .cpus = 1,
			    .memory_mib = 512,
			    .kernel = kernel,
			    .initrd = initrd,
			    .append = options.append,
			    .ports = &port,
			    .n_ports = 1,
			    .shares = shares,
			    .n_shares = 1,
			    .console = options.console ? 2 : -1,
			    .verbose = true,
			    .monitor = -1,
			    .accel = options.kvm ? MACHINE_KVM : MACHINE_TCG};
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_err_ struct err *e = NULL;
	double start;
	int pair[2];
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 1;
	port.fd = pair[1];
	if (machine_argv(&m, &argv, &e) < 0)
		return fail("machine", e);
	strv_add_all(&argv, options.more.v);
	if (options.print) {
		for (size_t i = 0; i < argv.n; i++)
			printf("%s\n", argv.v[i]);
		return 0;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	r = run(&argv, pair[1], pair[0], &start);
	(void)close(pair[0]);
	return r;
}

static int prepare(char **args)
{
	struct vmcache c = {file_make_dirs_abs(args[3], 0700, NULL), args[3]};
	_cleanup_modules_ struct modules *modules = NULL;
	_cleanup_str_ struct str init = STR_INIT;
	_cleanup_free_ char *kernel = NULL;
	_cleanup_free_ char *initrd = NULL;
	_cleanup_err_ struct err *e = NULL;
	struct initrd i = {.want = machine_modules, .n_want = MACHINE_MODULES};
	double start = now();
	int fd = file_open_user(args[2], O_RDONLY);

	if (c.dir < 0 || fd < 0 || fd_read_all(fd, 64 << 20, &init, &e) < 0)
		return fail(args[2], e);
	if (vmlinux_get(&c, args[0], &kernel, &e) < 0)
		return fail("vmlinux", e);
	printf("%8.1f ms  vmlinux: %s\n", now() - start, kernel);
	start = now();
	if (modules_open(args[1], &modules, &e) < 0)
		return fail("modules", e);
	i.init = init.p;
	i.init_bytes = init.len;
	i.modules = modules;
	if (initrd_get(&c, &i, &initrd, &e) < 0)
		return fail("initrd", e);
	printf("%8.1f ms  initrd: %s\n", now() - start, initrd);
	for (long k = 0; k < options.times; k++)
		if (boot(options.bzimage ? args[0] : kernel, initrd, args[4]) != 0)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	for (int c; (c = getopt(argc, argv, "bkcpn:a:x:")) != -1;) {
		options.bzimage |= c == 'b';
		options.kvm |= c == 'k';
		options.console |= c == 'c';
		options.print |= c == 'p';
		if (c == 'n')
			options.times = strtol(optarg, NULL, 10);
		if (c == 'a')
			options.append = optarg;
		if (c == 'x')
			strv_add(&options.more, optarg);
		if (c == '?')
			return 2;
	}
	if (argc - optind != 5)
		return 2;
	return prepare(argv + optind);
}
