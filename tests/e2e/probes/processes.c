/* Processes: what a box sees, signals and traces of the world outside it. usage: processes [group] */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { NR_PIDFD_OPEN = 434, NR_PIDFD_GETFD = 438, NR_PIDFD_SEND_SIGNAL = 424 };

static void pids(void)
{
	DIR *d = opendir("/proc");
	const struct dirent *ent;
	char comm[64];
	char name[512];
	int others = 0;

	while (d && (ent = readdir(d))) {
		int pid = atoi(ent->d_name);
		int fd;
		ssize_t n;

		if (pid <= 0)
			continue;
		(void)snprintf(name, sizeof(name), "/proc/%d/comm", pid);
		fd = open(name, O_RDONLY);
		n = read(fd, comm, sizeof(comm) - 1);
		comm[n > 0 ? n - 1 : 0] = '\0';
		(void)close(fd);
		if (pid == 1 ? strcmp(comm, "igloo-guest") != 0
			     : strncmp(comm, "processes", 9) != 0 && strcmp(comm, "sh") != 0 &&
				       strcmp(comm, "bash") != 0) {
			result(false, "a process that is not the box's", "%d: %s", pid, comm);
			others++;
		}
	}
	if (d)
		(void)closedir(d);
	result(others == 0, "only the box's processes are visible", "%d others", others);
	result(getpid() < 1000, "pids start anew", "%d", getpid());
}

static void the_guest(void)
{
	char byte[16];
	struct iovec here = {byte, sizeof(byte)};
	struct iovec there = {(void *)0x400000, sizeof(byte)};
	int fd;

	refused("ptrace attach to the guest", ptrace(PTRACE_ATTACH, 1, 0, 0), EPERM);
	refused("ptrace seize of the guest", ptrace(PTRACE_SEIZE, 1, 0, 0), EPERM);
	refused("reading the guest's memory", process_vm_readv(1, &here, 1, &there, 1, 0), 0);
	refused("writing the guest's memory", process_vm_writev(1, &here, 1, &there, 1, 0), 0);
	refused("/proc/1/mem", open("/proc/1/mem", O_RDWR), 0);
	refused("/proc/1/oom_score_adj, lower", ({
			fd = open("/proc/1/oom_score_adj", O_WRONLY);
			fd < 0 ? -1L : (long)write(fd, "-1000", 5);
		}),
		0);
	fd = (int)syscall(NR_PIDFD_OPEN, 1, 0);
	for (int i = 0; i < 16; i++)
		if (syscall(NR_PIDFD_GETFD, fd, i, 0) >= 0)
			result(false, "pidfd_getfd of the guest", "descriptor %d", i);
	/* Signals to the first process of a pid namespace from inside are dropped unless it handles them. */
	(void)kill(1, SIGKILL);
	(void)kill(1, SIGSTOP);
	(void)syscall(NR_PIDFD_SEND_SIGNAL, fd, SIGKILL, NULL, 0);
	for (int i = 1; i < 65; i++)
		(void)kill(1, i);
	(void)usleep(20000);
	result(kill(1, 0) == 0, "the guest survives every signal from inside", "%s", strerror(errno));
}

static void status(void)
{
	static const char *const zero[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
	char line[4096];
	FILE *f = fopen("/proc/self/status", "r");
	bool nnp = false;
	bool filter = false;
	struct rlimit core;

	while (f && fgets(line, sizeof(line), f)) {
		char *value = strchr(line, ':');

		if (!value)
			continue;
		*value++ = '\0';
		for (size_t i = 0; i < 5; i++)
			if (strcmp(line, zero[i]) == 0)
				result(strtoull(value, NULL, 16) == 0, zero[i], "%s", value);
		nnp |= strcmp(line, "NoNewPrivs") == 0 && atoi(value) == 1;
		filter |= strcmp(line, "Seccomp") == 0 && atoi(value) == 2;
		if (strcmp(line, "Groups") == 0 && getuid() == 1000 && strtok(value, " \t\n"))
			result(strstr(value, "65534") == NULL, "no group of the host's", "%s", value);
	}
	if (f)
		(void)fclose(f);
	result(nnp, "NoNewPrivs", "off");
	result(filter, "Seccomp", "off");
	result(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur <= 1 && core.rlim_max <= 1, "no core dumps",
	       "limit %llu", (unsigned long long)core.rlim_max);
	refused("core dumps on again", setrlimit(RLIMIT_CORE, &(struct rlimit){1 << 20, 1 << 20}), EPERM);
	for (int cap = 0; cap < 41; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) > 0)
			result(false, "bounding set", "capability %d", cap);
}

static void abstract_sockets(const char *name)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	FILE *f = fopen("/proc/net/unix", "r");
	char line[4096];
	int n = 0;

	(void)snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "%s", name);
	refused("an abstract socket of the host",
		connect(fd, (struct sockaddr *)&un,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
		0);
	while (f && fgets(line, sizeof(line), f))
		n += strchr(line, '@') || strchr(line, '/');
	result(n == 0, "no socket of the host in /proc/net/unix", "%d", n);
}

/* The process group the command was started in must hold nobody of the host: kill(0) goes past pid namespaces. */
static void group(void)
{
	(void)signal(SIGUSR1, SIG_IGN);
	(void)kill(0, SIGUSR1);
	(void)setpriority(PRIO_PGRP, 0, 7);
	result(true, "signalled its process group", "-");
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "group") == 0) {
		group();
		return 0;
	}
	if (argc != 2)
		return 2;
	pids();
	the_guest();
	status();
	abstract_sockets(argv[1]);
	return 0;
}
