/* A static program that the kind contract runs inside boxes: they have no other that is sure to be there. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* "ADDRESS PORT" in `text`. */
static int dial(const char *text, int type)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	char address[64];
	unsigned port;
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || sscanf(text, "%63s %u", address, &port) != 2 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return -1;
	to.sin_port = htons((uint16_t)port);
	return connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -1 : fd;
}

/* Names, states and addresses of the network links. */
static int links(void)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0)
		return 1;
	for (struct ifaddrs *a = list; a; a = a->ifa_next) {
		char text[INET6_ADDRSTRLEN] = "?";
		const char *state = a->ifa_flags & IFF_UP ? "" : " down";

		if (!a->ifa_addr || (a->ifa_addr->sa_family != AF_INET && a->ifa_addr->sa_family != AF_INET6))
			continue;
		(void)inet_ntop(a->ifa_addr->sa_family,
				a->ifa_addr->sa_family == AF_INET
					? (void *)&((struct sockaddr_in *)(void *)a->ifa_addr)->sin_addr
					: (void *)&((struct sockaddr_in6 *)(void *)a->ifa_addr)->sin6_addr,
				text, sizeof(text));
		printf("%s %s%s\n", a->ifa_name, text, state);
	}
	freeifaddrs(list);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *arg = argc > 2 ? argv[2] : "";

	if (strcmp(what, "exit") == 0)
		return (int)strtol(arg, NULL, 10);
	if (strcmp(what, "die") == 0)
		return kill(getpid(), (int)strtol(arg, NULL, 10));
	if (strcmp(what, "hold") == 0) {
		printf("holding\n");
		(void)fflush(stdout);
		for (;;)
			(void)pause();
	}
	if (strcmp(what, "leave") == 0) { /* a background process that outlives its parent */
		if (fork() == 0)
			for (;;)
				(void)pause();
		return 0;
	}
	if (strcmp(what, "ids") == 0) {
		printf("%d %d %d\n", (int)getpid(), (int)getuid(), (int)getgid());
		return 0;
	}
	if (strcmp(what, "env") == 0) {
		const char *value = getenv(arg);

		printf("%s\n", value ? value : "(unset)");
		return 0;
	}
	if (strcmp(what, "copy") == 0) {
		char bytes[65536];
		ssize_t n;

		while ((n = read(0, bytes, sizeof(bytes))) > 0)
			if (write(1, bytes, (size_t)n) != n)
				return 1;
		return 0;
	}
	if (strcmp(what, "touch") == 0)
		return open(arg, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) < 0;
	/* The mode of an open that creates nothing is whatever the register held: no filter may look at it. */
	if (strcmp(what, "read-odd-mode") == 0)
		return syscall(SYS_openat, AT_FDCWD, arg, O_RDONLY, 07777) < 0;
	if (strcmp(what, "create-setuid") == 0)
		return syscall(SYS_openat, AT_FDCWD, arg, O_WRONLY | O_CREAT, 04755) < 0;
	if (strcmp(what, "cat") == 0) {
		char bytes[4096];
		int fd = open(arg, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : 0;

		while (fd >= 0 && (n = read(fd, bytes, sizeof(bytes))) > 0)
			if (write(1, bytes, (size_t)n) != n)
				return 1;
		return n < 0;
	}
	if (strcmp(what, "time") == 0) {
		printf("%lld\n", (long long)time(NULL));
		return 0;
	}
	if (strcmp(what, "links") == 0)
		return links();
	/* Until the link to the gateway is there no more. */
	if (strcmp(what, "link-ends") == 0) {
		for (int i = 0; i < 500 && if_nametoindex("eth0") != 0; i++)
			(void)poll(NULL, 0, 10);
		return if_nametoindex("eth0") != 0;
	}
	/* An errno. */
	if (strcmp(what, "dial") == 0)
		return dial(arg, SOCK_STREAM) < 0 ? errno : 0;
	if (strcmp(what, "say") == 0) {
		int fd = dial(arg, SOCK_STREAM);

		return fd < 0 ? errno : write(fd, "hello", 5) != 5;
	}
	if (strcmp(what, "ask") == 0) {
		int fd = dial(arg, SOCK_DGRAM);

		return fd < 0 ? errno : write(fd, "question", 8) != 8;
	}
	if (strcmp(what, "exists") == 0) {
		struct stat st;

		return lstat(arg, &st) < 0;
	}
	return 99;
}
