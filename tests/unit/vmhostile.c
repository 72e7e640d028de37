/* The /init of a machine that is hostile or broken, static; `mode` in the kernel's command line says how:
 *     early    ends before it has said anything: the kernel panics
 *     late     says HELLO, and then the kernel panics
 *     deaf     says HELLO, and never ends */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_modules(void)
{
	struct dirent **list;
	int n = scandir("/modules", &list, NULL, by_name);

	for (int i = 0; i < n; i++) {
		char path[512];
		int fd;

		snprintf(path, sizeof(path), "/modules/%s", list[i]->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (list[i]->d_name[0] != '.')
			(void)syscall(SYS_finit_module, fd, "", 0);
		close(fd);
	}
}

int main(void)
{
	/* frame.h: length, stream, type, flags; version 1, no capabilities, 16 bytes of nonce. */
	static const char hello[34] = {24, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1};
	const char *mode = getenv("mode");
	int port = -1;

	if (!mode || strcmp(mode, "early") == 0)
		return 3;
	mkdir("/dev", 0755);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) < 0)
		return 4;
	load_modules();
	/* Written without waiting for its other end it would be lost. */
	while ((port = open("/dev/vport0p1", O_RDWR)) < 0 && (port = open("/dev/vport1p1", O_RDWR)) < 0)
		usleep(10000);
	if (write(port, hello, sizeof(hello)) != sizeof(hello))
		return 5;
	if (strcmp(mode, "late") == 0) {
		sleep(1);
		return 6;
	}
	for (;;)
		pause();
}
