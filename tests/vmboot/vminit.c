/* The /init of vmboot.c's machine, static: loads the modules of /modules in order, mounts the share "share" by 9p, says
 * on the port "vmboot" what it found with its times, and ends the machine. What goes wrong it says on the console. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void end(const char *what)
{
	if (what)
		printf("vminit: %s: %s\n", what, strerror(errno));
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int load_modules(void)
{
	struct dirent **list;
	int n = scandir("/modules", &list, NULL, by_name);
	int loaded = 0;

	for (int i = 0; i < n; i++) {
		char path[512];
		int fd;

		if (list[i]->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/modules/%s", list[i]->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (syscall(SYS_finit_module, fd, "", 0) < 0)
			end(path);
		close(fd);
		loaded++;
	}
	return loaded;
}

static int open_port(const char *wanted)
{
	for (;;) {
		DIR *d = opendir("/sys/class/virtio-ports");
		struct dirent *ent;

		while (d && (ent = readdir(d))) {
			char path[512];
			char name[64] = "";
			int fd;

			snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", ent->d_name);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd < 0)
				continue;
			if (read(fd, name, sizeof(name) - 1) > 0)
				name[strcspn(name, "\n")] = '\0';
			close(fd);
			if (strcmp(name, wanted) != 0)
				continue;
			snprintf(path, sizeof(path), "/dev/%s", ent->d_name);
			fd = open(path, O_RDWR | O_CLOEXEC);
			if (fd >= 0) {
				closedir(d);
				return fd;
			}
		}
		if (d)
			closedir(d);
		/* The port is there once the host's half of its handshake has come. */
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

int main(void)
{
	long start = ms();
	long modules;
	char text[64] = "";
	int loaded;
	int port;
	int fd;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/mnt", 0755);
	if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0 ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
		end("mount");
	loaded = load_modules();
	modules = ms();
	port = open_port("vmboot");
	dprintf(port, "pid1\n");
	if (mount("share", "/mnt", "9p", 0, "trans=virtio,version=9p2000.L,msize=512000,cache=loose") < 0)
		end("mount 9p");
	fd = open("/mnt/hello", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		end("/mnt/hello");
	text[strcspn(text, "\n")] = '\0';
	fd = open("/mnt/written", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	dprintf(port, "ready modules=%d init=%ldms modules=%ldms ready=%ldms share='%s' write=%s\n", loaded, start,
		modules, ms(), text, fd >= 0 ? "allowed" : strerror(errno));
	end(NULL);
}
