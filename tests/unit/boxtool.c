/* A static program that the kind contract runs inside boxes: they have no other that is sure to be there. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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
	if (strcmp(what, "exists") == 0) {
		struct stat st;

		return lstat(arg, &st) < 0;
	}
	return 99;
}
