/* The steps of a box's start, tried in a child that ends at once.
 *
 * Theory of operation: the child is made in a new user namespace and does there what a sandbox does. It
 * notes the outcome of each step in memory shared with its parent, so that a step that never returns or
 * kills the child is seen as well. All that it makes lives in its namespaces and goes with them. */
#include "sys/probe_impl.h"

#include "sys/netlink.h"
#include "sys/nft.h"
#include "sys/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TRIAL_MS 5000
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static int outcome(long r)
{
	return r < 0 ? errno : 0;
}

/* A veth pair in this network namespace. 0 or an errno. */
static int make_veth(void)
{
	const struct netlink_peer peer = {.fd = -1};
	_cleanup_netlink_ struct netlink n = NETLINK_INIT;
	int r = netlink_open(&n, NULL);

	return r < 0 ? -r : -netlink_add_veth(&n, NULL, &peer, NULL);
}

static void try_network(int *result)
{
	const struct in_addr any = {.s_addr = htonl(INADDR_LOOPBACK)};

	result[TRIAL_VETH] = make_veth();
	result[TRIAL_EVERY_PORT] = -nft_redirect_all(any, any, 1, NULL);
}

/* A folder to mount on: any that every system has. */
static const char *mount_place(void)
{
	static const char *const places[] = {"/tmp", "/run", "/dev", "/proc"};
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (stat(places[i], &st) == 0 && S_ISDIR(st.st_mode))
			return places[i];
	return "/";
}

static void try_mounts(int *result)
{
	const char *place = mount_place();
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	_cleanup_close_ int tree = -1;

	result[TRIAL_PRIVATE] = outcome(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	result[TRIAL_TMPFS] = outcome(mount("tmpfs", place, "tmpfs", 0, NULL));
	if (result[TRIAL_TMPFS] || chdir(place) < 0 || mkdir("a", 0700) < 0 || mkdir("b", 0700) < 0)
		return;
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, "a", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	result[TRIAL_OPEN_TREE] = outcome(tree);
	if (tree < 0)
		return;
	result[TRIAL_SETATTR] = outcome(
		syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)));
	result[TRIAL_MOVE_MOUNT] = outcome(syscall(SYS_move_mount, tree, "", AT_FDCWD, "b", MOVE_MOUNT_F_EMPTY_PATH));
}

static void try_proc(int *result)
{
	pid_t pid;

	result[TRIAL_PIDNS] = outcome(unshare(CLONE_NEWPID));
	if (result[TRIAL_PIDNS])
		return;
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		result[TRIAL_PROC] = outcome(mount("proc", result[TRIAL_TMPFS] ? "/proc" : "a", "proc",
						   MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
		_exit(0);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

static void in_child(int go, int *result)
{
	char c;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(go, &c, 1) != 1)
		return;
	result[TRIAL_MNTNS] = outcome(unshare(CLONE_NEWNS));
	if (result[TRIAL_MNTNS] == 0)
		try_mounts(result);
	result[TRIAL_IPCUTSNS] = outcome(unshare(CLONE_NEWIPC | CLONE_NEWUTS));
	result[TRIAL_CGROUPNS] = outcome(unshare(CLONE_NEWCGROUP));
	result[TRIAL_NETNS] = outcome(unshare(CLONE_NEWNET));
	if (result[TRIAL_NETNS] == 0)
		try_network(result);
	result[TRIAL_TIMENS] = outcome(unshare(CLONE_NEWTIME));
	/* Without its mount namespace the child would mount in its parent's. */
	if (result[TRIAL_MNTNS] == 0)
		try_proc(result);
}

static void wait_child(pid_t pid, int pidfd)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};

	if (pidfd >= 0 && poll(&end, 1, TRIAL_MS) == 0)
		(void)kill(pid, SIGKILL); /* not reaped yet, so the number is still its own */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

void probe_try(int result[TRIALS])
{
	_cleanup_close_ int go_read = -1;
	_cleanup_close_ int go_write = -1;
	_cleanup_close_ int pidfd = -1;
	int *shared = mmap(NULL, TRIALS * sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int go[2];
	pid_t pid;

	for (int i = 0; i < TRIALS; i++)
		result[i] = TRIAL_NOT_TRIED;
	if (shared == MAP_FAILED || pipe2(go, O_CLOEXEC) < 0) {
		result[TRIAL_USERNS] = errno;
		return;
	}
	go_read = go[0];
	go_write = go[1];
	memcpy(shared, result, TRIALS * sizeof(int));
	pid = ns_fork(CLONE_NEWUSER, &pidfd);
	if (pid == 0) {
		(void)close(go_write);
		in_child(go_read, shared);
		_exit(0);
	}
	shared[TRIAL_USERNS] = pid < 0 ? -pid : 0;
	if (pid > 0) {
		shared[TRIAL_MAPS] = -ns_write_maps(pid, 0, 0, NULL);
		if (shared[TRIAL_MAPS] == 0)
			(void)!write(go_write, "", 1);
		(void)close_fd(take_fd(&go_write));
		wait_child(pid, pidfd);
	}
	memcpy(result, shared, TRIALS * sizeof(int));
	(void)munmap(shared, TRIALS * sizeof(int));
}
