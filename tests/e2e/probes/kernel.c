/* Calls of the kernel that a box may not make, whatever file or process they aim at. */
#include "probe.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif

/* The same numbers on every architecture since Linux 5.0's unified table. */
enum {
	NR_CLONE3 = 435,
	NR_OPEN_TREE = 428,
	NR_MOVE_MOUNT = 429,
	NR_FSOPEN = 430,
	NR_FSPICK = 433,
	NR_MOUNT_SETATTR = 442,
	NR_OPEN_TREE_ATTR = 467,
	NR_IO_URING_SETUP = 425,
	NR_IO_URING_ENTER = 426,
	NR_IO_URING_REGISTER = 427,
	NR_PROCESS_MADVISE = 440,
};

static void namespaces(void)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} kinds[] = {{"user", CLONE_NEWUSER},     {"mount", CLONE_NEWNS}, {"pid", CLONE_NEWPID},
		     {"net", CLONE_NEWNET},       {"ipc", CLONE_NEWIPC},  {"uts", CLONE_NEWUTS},
		     {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};
	char name[64];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint64_t args[11] = {kinds[i].flag, 0, 0, 0, SIGCHLD};
		long pid;

		(void)snprintf(name, sizeof(name), "unshare of a new %s namespace", kinds[i].name);
		refused(name, unshare((int)kinds[i].flag), EPERM);
		(void)snprintf(name, sizeof(name), "clone3 into a new %s namespace", kinds[i].name);
		pid = syscall(NR_CLONE3, args, 88);
		if (pid == 0)
			_exit(0);
		refused(name, pid, ENOSYS);
		if (kinds[i].flag == CLONE_NEWTIME)
			continue;
		(void)snprintf(name, sizeof(name), "clone into a new %s namespace", kinds[i].name);
		pid = syscall(SYS_clone, kinds[i].flag | SIGCHLD, 0, 0, 0, 0);
		if (pid == 0)
			_exit(0);
		refused(name, pid, EPERM);
		/* With the flag's word dirty above what the kernel looks at. */
		(void)snprintf(name, sizeof(name), "clone into a new %s namespace, other bits set", kinds[i].name);
		pid = syscall(SYS_clone, kinds[i].flag | CLONE_NEWUSER | SIGCHLD | (1UL << 40), 0, 0, 0, 0);
		if (pid == 0)
			_exit(0);
		refused(name, pid, EPERM);
	}
	for (size_t i = 0; i < 2; i++) {
		int fd = open(i ? "/proc/self/ns/user" : "/proc/1/ns/user", O_RDONLY);

		refused(i ? "setns to a user namespace" : "setns to the guest's user namespace", setns(fd, 0), EPERM);
		(void)close(fd);
	}
}

static void mounts(void)
{
	refused("mount of a tmpfs", mount("none", "/tmp", "tmpfs", 0, NULL), EPERM);
	refused("bind mount", mount("/nix", "/tmp", NULL, MS_BIND, NULL), EPERM);
	refused("remount of the root for writing", mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL), EPERM);
	refused("remount of the store for set-user-id files",
		mount(NULL, "/nix/store", NULL, MS_REMOUNT | MS_BIND, NULL), EPERM);
	refused("making mounts shared", mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL), EPERM);
	refused("umount", umount2("/proc/sys", MNT_DETACH), EPERM);
	refused("umount of the store", umount2("/nix/store", MNT_DETACH), EPERM);
	refused("chroot", chroot("/tmp"), EPERM);
	refused("pivot_root", syscall(SYS_pivot_root, ".", "."), EPERM);
	refused("open_tree", syscall(NR_OPEN_TREE, AT_FDCWD, "/", 1), EPERM);
	refused("open_tree_attr", syscall(NR_OPEN_TREE_ATTR, AT_FDCWD, "/", 1, NULL, 0), 0);
	refused("move_mount", syscall(NR_MOVE_MOUNT, AT_FDCWD, "/tmp", AT_FDCWD, "/run", 0), EPERM);
	refused("fsopen", syscall(NR_FSOPEN, "ext4", 0), EPERM);
	refused("fspick", syscall(NR_FSPICK, AT_FDCWD, "/", 0), EPERM);
	refused("mount_setattr", syscall(NR_MOUNT_SETATTR, AT_FDCWD, "/", 0, NULL, 0), EPERM);
}

static void sockets(void)
{
	static const int good[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
	char name[64];

	for (int family = 0; family < 64; family++) {
		bool wanted = family == 0;

		for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
			wanted |= family == good[i];
		if (wanted)
			continue;
		for (int type = SOCK_STREAM; type <= SOCK_PACKET; type++) {
			int fd = socket(family, type, 0);

			(void)snprintf(name, sizeof(name), "socket of family %d, type %d", family, type);
			if (fd >= 0 || errno != EPERM)
				result(false, name, "%s", fd >= 0 ? "it works" : strerror(errno));
		}
	}
	refused("socket AF_PACKET", socket(AF_PACKET, SOCK_RAW, 0x0300), EPERM);
	refused("socket AF_ALG", socket(38, SOCK_SEQPACKET, 0), EPERM);
	refused("socket AF_VSOCK", socket(AF_VSOCK, SOCK_STREAM, 0), EPERM);
	refused("socket AF_XDP", socket(44, SOCK_RAW, 0), EPERM);
	refused("socket family with high bits", syscall(SYS_socket, 38L | (1L << 32), SOCK_SEQPACKET, 0), EPERM);
	refused("raw IPv4 socket", socket(AF_INET, SOCK_RAW, 1), 0);
	refused("raw IPv6 socket", socket(AF_INET6, SOCK_RAW, 58), 0);
	refused("netlink: netfilter configuration", ({
			struct {
				uint32_t len;
				uint16_t type, flags;
				uint32_t seq, pid;
				uint8_t family, version;
				uint16_t id;
			} m = {20, (10 << 8) | 0, 5, 1, 0, 0, 0, 0};
			int fd = socket(AF_NETLINK, SOCK_RAW, 12);
			struct {
				uint32_t len;
				uint16_t type, flags;
				uint32_t seq, pid;
				int32_t error;
			} a = {.error = -EPROTONOSUPPORT};

			if (fd >= 0 && send(fd, &m, sizeof(m), 0) > 0)
				(void)!recv(fd, &a, sizeof(a), MSG_DONTWAIT);
			errno = -a.error;
			a.error < 0 ? -1L : 0L;
		}),
		0);
}

static void others(void)
{
	union bpf_attr bpf = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
	struct perf_event_attr perf = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(perf), .exclude_kernel = 1};
	char params[256] = {0};
	char payload[8] = "x";

	refused("io_uring_setup", syscall(NR_IO_URING_SETUP, 8, params), ENOSYS);
	refused("io_uring_enter", syscall(NR_IO_URING_ENTER, 0, 0, 0, 0, NULL, 0), ENOSYS);
	refused("io_uring_register", syscall(NR_IO_URING_REGISTER, 0, 0, NULL, 0), ENOSYS);
	refused("add_key", syscall(SYS_add_key, "user", "igloo", payload, 1, -3), EPERM);
	refused("request_key", syscall(SYS_request_key, "user", "igloo", NULL, 0), EPERM);
	refused("keyctl: join a session keyring", syscall(SYS_keyctl, 1, NULL), EPERM);
	refused("keyctl: read the user's keyring", syscall(SYS_keyctl, 11, -4, payload, 8), EPERM);
	refused("bpf", syscall(SYS_bpf, 0, &bpf, sizeof(bpf)), EPERM);
	refused("perf_event_open", syscall(SYS_perf_event_open, &perf, 0, -1, -1, 0), EPERM);
	refused("userfaultfd", syscall(SYS_userfaultfd, 1), EPERM);
	refused("process_madvise", syscall(NR_PROCESS_MADVISE, -1, NULL, 0, 0, 0), EPERM);
	refused("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, params, 0), EPERM);
	refused("name_to_handle_at", syscall(SYS_name_to_handle_at, AT_FDCWD, "/", params, payload, 0), EPERM);
	refused("fanotify_init", syscall(SYS_fanotify_init, 0x200, 0), EPERM);
	refused("kcmp", syscall(SYS_kcmp, 1, 1, 0, 0, 0), EPERM);
	refused("quotactl", syscall(SYS_quotactl, 0x800001, NULL, 0, NULL), EPERM);
	refused("acct", syscall(SYS_acct, NULL), EPERM);
	refused("swapon", syscall(SYS_swapon, "/tmp/x", 0), EPERM);
	refused("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL), EPERM);
	refused("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0), EPERM);
	refused("init_module", syscall(SYS_init_module, NULL, 0, ""), EPERM);
	refused("finit_module", syscall(SYS_finit_module, 0, "", 0), EPERM);
	refused("syslog", syscall(SYS_syslog, 3, params, sizeof(params)), EPERM);
	refused("settimeofday", syscall(SYS_settimeofday, NULL, NULL), EPERM);
	refused("sethostname", sethostname("evil", 4), EPERM);
	refused("setgroups", syscall(SYS_setgroups, 0, NULL), EPERM);
	refused("setuid 0", setuid(0), 0);
	refused("setuid 65534", setuid(65534), 0);
	refused("nice below 0", setpriority(0, 0, -5), 0);
}

#ifdef __x86_64__
static void killed_by_sigsys(const char *name, void (*attempt)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		attempt();
		_exit(0);
	}
	(void)waitpid(pid, &status, 0);
	/* No 32-bit support in the kernel at all is as good: int 0x80 is then a fault. */
	result(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV), name, "status %#x",
	       (unsigned)status);
}

static void int80(void)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	if (r == -ENOSYS)
		(void)raise(SIGSYS);
}

static void x32(void)
{
	/* Kernels without x32 answer ENOSYS before a filter could matter, with one the filter kills. */
	if (syscall(0x40000000L + SYS_getpid) < 0 && errno == ENOSYS)
		(void)raise(SIGSYS);
}

static void x32_unshare(void)
{
	if (syscall(0x40000000L + SYS_unshare, CLONE_NEWUSER) < 0)
		(void)raise(SIGSYS);
}
#endif

int main(void)
{
	namespaces();
	mounts();
	sockets();
	others();
#ifdef __x86_64__
	killed_by_sigsys("32-bit call by int 0x80", int80);
	killed_by_sigsys("x32 call", x32);
	killed_by_sigsys("x32 unshare", x32_unshare);
#endif
	return 0;
}
