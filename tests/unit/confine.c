/* What a process can still do that shut itself in: nearly nothing. The calls have arguments with which they would fail
 * in another way, or succeed, where nobody refused them. */
#include "sys/confine.h"

#include "net/agentproxy.h"
#include "net/broker_impl.h"
#include "net/engine_impl.h"
#include "nix/storefilter.h"
#include "nix/storeserve_impl.h"
#include "sys/fd.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char text[65536]; /* what the child said */

/* _exit(2) by itself: before a call that does not return AddressSanitizer asks for its signal stack. */
static void leave(int code)
{
	(void)syscall(SYS_exit_group, code);
}

/* Runs in a child that is shut in; its words come to `text`. -1 when it could not be. Meanwhile `look` sees it. */
static int confined_by(const struct confine *walls, void (*run)(void), void (*look)(pid_t))
{
	int said[2];
	int go[2];
	int status = -1;
	size_t n = 0;
	ssize_t k;
	char byte;
	pid_t pid;

	CHECK(pipe(said) == 0 && pipe(go) == 0);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct err *e = NULL;

		(void)dup2(said[1], STDOUT_FILENO);
		for (int fd = 3; fd < 256; fd++)
			if (fd != go[0])
				(void)close(fd);
		if (confine_close(walls, &e) < 0) {
			(void)!write(STDOUT_FILENO, err_message(e), strlen(err_message(e)));
			leave(77);
		}
		(void)!write(STDOUT_FILENO, "\n", 1);
		(void)!read(go[0], &byte, 1);
		run();
		leave(0);
	}
	(void)close(said[1]);
	(void)close(go[0]);
	while (n < sizeof(text) - 1 && (k = read(said[0], text + n, sizeof(text) - 1 - n)) > 0) {
		if (n == 0 && text[0] == '\n') {
			if (look)
				look(pid);
			(void)close(go[1]);
		}
		n += (size_t)k;
	}
	text[n] = '\0';
	(void)close(said[0]);
	if (text[0] != '\n')
		(void)close(go[1]);
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		printf("# cannot be shut in here: %s\n", text);
		return -1;
	}
	return WIFEXITED(status) ? 0 : WTERMSIG(status);
}

/* In the child: one line, what failed to fail. Without stdio, which asks the kernel for more. */
static void complain(const char *what, long result, int errnum)
{
	char line[256];
	int n = snprintf(line, sizeof(line), "%s: %ld, %s\n", what, result, result < 0 ? strerror(errnum) : "allowed");

	(void)!write(STDOUT_FILENO, line, (size_t)n);
}

static void want(const char *what, long result, int errnum)
{
	if (result >= 0 || errno != errnum)
		complain(what, result, errno);
}

#define REFUSED(name, ...) want(#name, syscall(SYS_##name, ##__VA_ARGS__), EPERM)

static void files(void)
{
	char byte[8];
	long fd;

	want("/proc", syscall(SYS_openat, AT_FDCWD, "/proc", O_RDONLY), ENOENT);
	want("/dev/null", syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDONLY), ENOENT);
	want("/etc/passwd", syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY), ENOENT);
	want("../etc/passwd", syscall(SYS_openat, AT_FDCWD, "../../../../etc/passwd", O_RDONLY), ENOENT);
	want("/tmp", syscall(SYS_openat, AT_FDCWD, "/tmp", O_RDONLY | O_DIRECTORY), ENOENT);
	want("/lib", syscall(SYS_openat, AT_FDCWD, "/lib", O_RDONLY), ENOENT);
	want("write", syscall(SYS_openat, AT_FDCWD, "/etc/hosts", O_WRONLY), EPERM);
	want("create", syscall(SYS_openat, AT_FDCWD, "/x", O_RDONLY | O_CREAT, 0600), EPERM);
	want("tmpfile", syscall(SYS_openat, AT_FDCWD, "/", O_RDWR | O_TMPFILE, 0600), EPERM);
	want("O_PATH", syscall(SYS_openat, AT_FDCWD, "/", O_PATH), EPERM);
	fd = syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
	if (fd >= 0)
		want("getdents64", syscall(SYS_getdents64, fd, byte, sizeof(byte)), EPERM);
	REFUSED(openat2, AT_FDCWD, "/etc/hosts", NULL, 0);
	REFUSED(open_tree, AT_FDCWD, "/", 1);
	REFUSED(name_to_handle_at, AT_FDCWD, "/", NULL, NULL, 0);
	REFUSED(open_by_handle_at, 0, NULL, 0);
	REFUSED(mkdirat, AT_FDCWD, "/x", 0700);
	REFUSED(unlinkat, AT_FDCWD, "/etc/hosts", 0);
	REFUSED(renameat2, AT_FDCWD, "/etc/hosts", AT_FDCWD, "/x", 0);
	REFUSED(symlinkat, "/", AT_FDCWD, "/x");
	REFUSED(linkat, AT_FDCWD, "/etc/hosts", AT_FDCWD, "/x", 0);
	REFUSED(fchmodat, AT_FDCWD, "/etc/hosts", 0777);
	REFUSED(fchownat, AT_FDCWD, "/etc/hosts", 0, 0, 0);
	REFUSED(truncate, "/etc/hosts", 0L);
	REFUSED(ftruncate, 0, 0L);
	REFUSED(chdir, "/");
	REFUSED(chroot, "/");
	REFUSED(mknodat, AT_FDCWD, "/x", 0600, 0);
	REFUSED(memfd_create, "x", 0);
	REFUSED(inotify_init1, 0);
	REFUSED(fanotify_init, 0, 0);
}

static void processes(void)
{
	REFUSED(execve, NULL, NULL, NULL);
	REFUSED(execveat, -1, NULL, NULL, NULL, 0);
	/* A flag that does not fit: nothing is cloned where this is not refused. */
	REFUSED(clone, CLONE_THREAD, NULL, NULL, NULL, NULL);
	REFUSED(clone3, NULL, 0);
	REFUSED(unshare, 0);
	REFUSED(setns, -1, 0);
	REFUSED(kill, getppid(), 0);
	REFUSED(tgkill, getpid(), getpid(), 0);
	REFUSED(rt_sigqueueinfo, getppid(), 0, NULL);
	REFUSED(ptrace, PTRACE_TRACEME, 0, NULL, NULL);
	REFUSED(process_vm_readv, getppid(), NULL, 0UL, NULL, 0UL, 0UL);
	REFUSED(process_vm_writev, getppid(), NULL, 0UL, NULL, 0UL, 0UL);
	REFUSED(pidfd_open, getpid(), 0);
	REFUSED(pidfd_getfd, -1, 0, 0);
	REFUSED(pidfd_send_signal, -1, 0, NULL, 0);
	REFUSED(kcmp, getpid(), getpid(), 0, 0UL, 0UL);
	REFUSED(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
	REFUSED(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
	REFUSED(prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
	REFUSED(prctl, PR_SET_PTRACER, -1L, 0, 0, 0);
	REFUSED(seccomp, 0xffff, 0, NULL);
	REFUSED(prlimit64, 0, 0, NULL, NULL);
	REFUSED(setuid, 0);
	REFUSED(setresuid, -1, -1, -1);
	REFUSED(setresgid, -1, -1, -1);
	REFUSED(setgroups, 0UL, NULL);
	REFUSED(capset, NULL, NULL);
	REFUSED(personality, 0xffffffffL);
	REFUSED(setsid);
	REFUSED(waitid, 0, 0, NULL, 0, NULL);
}

static void kernel(void)
{
	REFUSED(mount, NULL, NULL, NULL, 0UL, NULL);
	REFUSED(umount2, NULL, 0);
	REFUSED(pivot_root, NULL, NULL);
	REFUSED(move_mount, -1, NULL, -1, NULL, 0);
	REFUSED(fsopen, NULL, 0);
	REFUSED(mount_setattr, -1, NULL, 0, NULL, 0UL);
	REFUSED(io_uring_setup, 0, NULL);
	REFUSED(io_uring_enter, -1, 0, 0, 0, NULL, 0);
	REFUSED(bpf, 0xffff, NULL, 0);
	REFUSED(perf_event_open, NULL, 0, 0, 0, 0UL);
	REFUSED(userfaultfd, 0xffff);
	REFUSED(keyctl, 0xffff, 0UL, 0UL, 0UL, 0UL);
	REFUSED(add_key, NULL, NULL, NULL, 0UL, 0);
	REFUSED(request_key, NULL, NULL, NULL, 0);
	REFUSED(init_module, NULL, 0UL, NULL);
	REFUSED(finit_module, -1, NULL, 0);
	REFUSED(kexec_load, 0UL, 0UL, NULL, 0UL);
	REFUSED(landlock_create_ruleset, NULL, 0UL, 1);
	REFUSED(quotactl, 0, NULL, 0, NULL);
	REFUSED(syslog, 3, NULL, 0);
	REFUSED(swapon, NULL, 0);
	REFUSED(sethostname, "x", 1UL);
	REFUSED(shmget, 0, 1UL, 0);
	REFUSED(semget, 0, 1, 0);
	REFUSED(msgget, 0, 0);
	REFUSED(mq_open, "x", 0, 0, NULL);
	REFUSED(dup, 1);
	REFUSED(dup3, 1, 2, 0);
	REFUSED(timerfd_create, 0, 0);
	REFUSED(eventfd2, 0, 0);
	REFUSED(setitimer, 0, NULL, NULL);
	REFUSED(sched_setaffinity, 0, 0UL, NULL);
	want("fcntl F_DUPFD", syscall(SYS_fcntl, 1, F_DUPFD, 0), EPERM);
	want("fcntl F_SETOWN", syscall(SYS_fcntl, 1, F_SETOWN, getppid()), EPERM);
	want("ioctl TIOCSTI", syscall(SYS_ioctl, 0, TIOCSTI, "x"), EPERM);
	want("ioctl TIOCLINUX", syscall(SYS_ioctl, 0, TIOCLINUX, "x"), EPERM);
	want("mmap PROT_EXEC", syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	     EPERM);
	want("mprotect PROT_EXEC", syscall(SYS_mprotect, (uintptr_t)text & ~4095UL, 4096, PROT_READ | PROT_EXEC),
	     EPERM);
}

/* The error of the kernel's answer to a change of its network. */
static int change_network(int fd)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg address;
		struct rtattr attr;
		uint8_t bytes[4];
	} q = {.head = {.nlmsg_len = sizeof(q),
			.nlmsg_type = RTM_NEWADDR,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE},
	       .address = {.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 1},
	       .attr = {.rta_len = 8, .rta_type = IFA_LOCAL},
	       .bytes = {127, 9, 9, 9}};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char more[256];
	} a = {.error = {.error = 1}};

	if (send(fd, &q, sizeof(q), 0) < 0 || recv(fd, &a, sizeof(a), 0) < 0)
		return errno;
	return -a.error.error;
}

static void sockets(void)
{
	static const int families[] = {AF_UNIX, AF_PACKET, AF_ALG, AF_VSOCK, AF_BLUETOOTH,
				       AF_KEY,  AF_XDP,    AF_CAN, AF_TIPC};
	static const int netlinks[] = {NETLINK_NETFILTER, NETLINK_XFRM,      NETLINK_AUDIT,
				       NETLINK_GENERIC,   NETLINK_SOCK_DIAG, NETLINK_KOBJECT_UEVENT};
	static const int protocols[] = {IPPROTO_MPTCP, IPPROTO_SCTP, IPPROTO_UDPLITE, IPPROTO_DCCP};
	int fds[2];
	long fd;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		errno = 0;
		if (syscall(SYS_socket, families[i], SOCK_DGRAM, 0) >= 0 || errno != EPERM)
			complain("socket of a family", families[i], errno);
	}
	for (size_t i = 0; i < ARRAY_SIZE(netlinks); i++)
		want("another netlink", syscall(SYS_socket, AF_NETLINK, SOCK_RAW, netlinks[i]), EPERM);
	for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
		want("another protocol", syscall(SYS_socket, AF_INET, SOCK_STREAM, protocols[i]), EPERM);
	want("raw IPv4", syscall(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
	want("raw IPv6", syscall(SYS_socket, AF_INET6, SOCK_RAW, IPPROTO_ICMPV6), EPERM);
	want("socketpair", syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, fds), EPERM);
	fd = syscall(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	if (fd >= 0 && change_network((int)fd) != EPERM)
		complain("a change of the network", 0, 0);
	fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		complain("a socket, which is its work", fd, errno);
	else
		want("SO_BINDTODEVICE or a mark",
		     syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_MARK, &(int){1}, sizeof(int)), EPERM);
	fd = syscall(SYS_openat, AT_FDCWD, "/etc/resolv.conf", O_RDONLY);
	if (fd < 0 && errno != ENOENT)
		complain("/etc/resolv.conf, which c-ares reads", fd, errno);
}

/* The process that has secrets has no work that needs any of this. */
static void new_things(void)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fds[2] = {-1, -1};

	want("a socket", syscall(SYS_socket, AF_INET, SOCK_STREAM, 0), EPERM);
	want("an IPv6 socket", syscall(SYS_socket, AF_INET6, SOCK_DGRAM, 0), EPERM);
	want("a netlink socket", syscall(SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), EPERM);
	want("connect", syscall(SYS_connect, 0, &to, sizeof(to)), EPERM);
	want("bind", syscall(SYS_bind, 0, &to, sizeof(to)), EPERM);
	want("listen", syscall(SYS_listen, 0, 1), EPERM);
	want("accept", syscall(SYS_accept4, 0, NULL, NULL, 0), EPERM);
	want("a pipe", syscall(SYS_pipe2, fds, 0), EPERM);
	want("a file", syscall(SYS_openat, AT_FDCWD, "/etc/resolv.conf", O_RDONLY), EPERM);
	want("the root", syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY), EPERM);
	want("splice", syscall(SYS_splice, 0, NULL, 1, NULL, 1, 0), EPERM);
}

/* Its root is /nix/store: there may be none here, then it cannot be shut in. */
static void store_files(void)
{
	want("/proc", syscall(SYS_openat, AT_FDCWD, "/proc", O_RDONLY), ENOENT);
	want("/etc", syscall(SYS_openat, AT_FDCWD, "/etc", O_RDONLY), ENOENT);
	want("../var", syscall(SYS_openat, AT_FDCWD, "../../../nix/var", O_RDONLY), ENOENT);
	want("write", syscall(SYS_openat, AT_FDCWD, "/x", O_WRONLY), EPERM);
	want("create", syscall(SYS_openat, AT_FDCWD, "/x", O_RDONLY | O_CREAT, 0600), EPERM);
	want("tmpfile", syscall(SYS_openat, AT_FDCWD, "/", O_RDWR | O_TMPFILE, 0600), EPERM);
	want("O_PATH", syscall(SYS_openat, AT_FDCWD, "/", O_PATH), EPERM);
	want("a socket", syscall(SYS_socket, AF_INET, SOCK_STREAM, 0), EPERM);
	want("a local socket", syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0), EPERM);
	REFUSED(unlinkat, AT_FDCWD, "/x", 0);
	REFUSED(renameat2, AT_FDCWD, "/x", AT_FDCWD, "/y", 0);
	REFUSED(fchmodat, AT_FDCWD, "/", 0777);
	REFUSED(memfd_create, "x", 0);
}

static void nothing_said(const struct confine *walls, void (*run)(void))
{
	int r = confined_by(walls, run, NULL);

	if (r < 0)
		return;
	if (r > 0 || strcmp(text, "\n") != 0)
		printf("# signal %d; not refused:%s", r, text);
	CHECK(r == 0 && strcmp(text, "\n") == 0);
}

TEST(no_files)
{
	nothing_said(&engine_walls, files);
}

TEST(no_processes)
{
	nothing_said(&engine_walls, processes);
	nothing_said(&broker_walls, processes);
	nothing_said(&agentproxy_walls, processes);
	nothing_said(&storeserve_walls, processes);
	nothing_said(&storefilter_walls, processes);
}

TEST(nothing_else_of_the_kernel)
{
	nothing_said(&engine_walls, kernel);
	nothing_said(&broker_walls, kernel);
	nothing_said(&agentproxy_walls, kernel);
	nothing_said(&storeserve_walls, kernel);
	nothing_said(&storefilter_walls, kernel);
}

TEST(only_its_sockets)
{
	nothing_said(&engine_walls, sockets);
	nothing_said(&broker_walls, new_things);
	nothing_said(&agentproxy_walls, new_things);
	nothing_said(&storefilter_walls, new_things);
}

TEST(only_the_store)
{
	nothing_said(&storeserve_walls, store_files);
}

static void nothing(void)
{
}

static void has_no_power(pid_t pid)
{
	static const char *const wanted[] = {"CapInh:\t0000000000000000",
					     "CapPrm:\t0000000000000000",
					     "CapEff:\t0000000000000000",
					     "CapBnd:\t0000000000000000",
					     "CapAmb:\t0000000000000000",
					     "NoNewPrivs:\t1",
					     "Seccomp:\t2"};
	_cleanup_free_ char *path = xasprintf("/proc/%d/status", (int)pid);
	_cleanup_str_ struct str status = STR_INIT;
	_cleanup_close_ int fd = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && fd_read_all(fd, 65536, &status, NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		if (!strstr(str_text(&status), wanted[i]))
			printf("# not there: %s\n", wanted[i]);
		CHECK(strstr(str_text(&status), wanted[i]));
	}
	if (geteuid() == 0)
		CHECK(strstr(str_text(&status), "Uid:\t65534\t65534\t65534\t65534"));
}

TEST(no_power)
{
	const struct confine *const all[] = {&engine_walls, &broker_walls, &agentproxy_walls, &storeserve_walls,
					     &storefilter_walls};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		CHECK(confined_by(all[i], nothing, has_no_power) <= 0);
}

#ifdef __x86_64__
static void other_numbers(void)
{
	/* x32's getpid: the same number with a bit set. */
	if (syscall(0x40000000 | SYS_execve, NULL, NULL, NULL) >= 0 || (errno != EPERM && errno != ENOSYS))
		complain("x32", 0, errno);
}

/* i386's execve is 11. */
static void other_entry(void)
{
	long r = 11;

	__asm__ volatile("int $0x80" : "+a"(r) : "b"(0), "c"(0), "d"(0) : "memory", "r8", "r9", "r10", "r11");
	if (r != -EPERM && r != -ENOSYS)
		complain("int 0x80", r, (int)-r);
}

TEST(no_other_way_in)
{
	int r = confined_by(&engine_walls, other_numbers, NULL);

	CHECK(r == SIGSYS || r < 0 || strcmp(text, "\n") == 0);
	r = confined_by(&engine_walls, other_entry, NULL);
	/* SIGSEGV where the kernel has no such entry. */
	CHECK(r == SIGSYS || r == SIGSEGV || r < 0 || strcmp(text, "\n") == 0);
}
#endif

TEST_MAIN()
