/* The least that a machine can be started for: /init of the bare machine that igloo's is compared with. Says `ready` on
 * the serial port and ends the machine as igloo's guest does. Static.
 *
 * With `stay` on the kernel's command line it loads the modules of /modules first (all that igloo's /init does before
 * it mounts anything), and then says `tick` again and again; a line that comes makes it mount the share `box` by 9p and
 * say `mounted`. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

static void load_modules(void)
{
	struct dirent **list;
	int n = scandir("/modules", &list, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char path[300];
		int fd;

		if (list[i]->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/modules/%s", list[i]->d_name);
		fd = open(path, O_RDONLY);
		syscall(SYS_finit_module, fd, "", 0);
		close(fd);
	}
}

static void stay(int fd)
{
	static const char options[] = "trans=virtio,version=9p2000.L,msize=512000,cache=mmap";
	char line[16];

	load_modules();
	dprintf(fd, "ready\n");
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};

		if (poll(&p, 1, 2) != 1 || read(fd, line, sizeof(line)) <= 0)
			dprintf(fd, "tick\n");
		else if (mkdir("/box", 0755) == 0 && mount("box", "/box", "9p", 0, options) == 0)
			dprintf(fd, "mounted\n");
	}
}

int main(int argc, char **argv)
{
	int fd;

	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, 0);
	fd = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
	/* What the kernel does not know on its command line it gives to /init. */
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "stay") == 0)
			stay(fd);
	if (write(fd, "ready\n", 6) == 6)
		tcdrain(fd);
	sync();
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
