/* Files: mode bits that give power later, devices, the store, /proc and what is mounted where.
 * usage: files WORKSPACE */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

enum { NR_OPENAT2 = 437, NR_FCHMODAT2 = 452, NR_SETXATTRAT = 463, NR_FILE_SETATTR = 469 };

static const char *work;

static const char *in(const char *dir, const char *name)
{
	static char path[4][4096];
	static int n;
	char *p = path[n++ & 3];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

static int bits_failed;

/* After the attempt no file of that name has the bits, whatever the call said. */
static void no_bits(const char *name, const char *where, const char *file)
{
	struct stat st;
	char what[128];

	(void)snprintf(what, sizeof(what), "%s (%s)", name, where);
	if (lstat(file, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID))) {
		result(false, what, "mode %o", (unsigned)st.st_mode);
		bits_failed++;
	}
	(void)unlink(file);
}

static void mode_bits(const char *dir)
{
	static const mode_t bits[] = {S_ISUID, S_ISGID, S_ISUID | S_ISGID};
	const char *file = in(dir, "power");
	char summary[128];

	bits_failed = 0;
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		mode_t mode = bits[i] | 0755;
		uint64_t how[3] = {O_CREAT | O_WRONLY, mode, 0};
		struct sockaddr_un un = {.sun_family = AF_UNIX};
		int fd;

		(void)umask(0);
		(void)close(creat(file, 0755));
		(void)chmod(file, mode);
		no_bits("set-id by chmod", dir, file);
		fd = creat(file, 0755);
		(void)fchmod(fd, mode);
		(void)close(fd);
		no_bits("set-id by fchmod", dir, file);
		(void)close(creat(file, 0755));
		(void)syscall(SYS_fchmodat, AT_FDCWD, file, mode);
		no_bits("set-id by fchmodat", dir, file);
		(void)close(creat(file, 0755));
		(void)syscall(NR_FCHMODAT2, AT_FDCWD, file, mode, 0);
		no_bits("set-id by fchmodat2", dir, file);
		fd = creat(file, 0755);
		(void)syscall(NR_FCHMODAT2, fd, "", mode, AT_EMPTY_PATH);
		(void)close(fd);
		no_bits("set-id by fchmodat2 of a descriptor", dir, file);
		(void)close(creat(file, mode));
		no_bits("set-id by creat", dir, file);
		(void)close(open(file, O_CREAT | O_RDWR, mode));
		no_bits("set-id by open", dir, file);
		(void)close((int)syscall(SYS_openat, AT_FDCWD, file, O_CREAT | O_RDWR, mode));
		no_bits("set-id by openat", dir, file);
		(void)close((int)syscall(SYS_openat, AT_FDCWD, file, O_CREAT | O_RDWR, mode | 0x100000000UL));
		no_bits("set-id by openat with high bits", dir, file);
		(void)close((int)syscall(NR_OPENAT2, AT_FDCWD, file, how, sizeof(how)));
		no_bits("set-id by openat2", dir, file);
		fd = open(dir, O_TMPFILE | O_RDWR, mode);
		if (fd >= 0)
			(void)linkat(AT_FDCWD, in("/proc/self/fd", (char[4]){(char)('0' + fd), 0}), AT_FDCWD, file,
				     AT_SYMLINK_FOLLOW);
		(void)close(fd);
		no_bits("set-id by O_TMPFILE", dir, file);
		(void)mknod(file, S_IFREG | mode, 0);
		no_bits("set-id by mknod", dir, file);
		(void)mknodat(AT_FDCWD, file, S_IFREG | mode, 0);
		no_bits("set-id by mknodat", dir, file);
		(void)mkdir(file, mode);
		no_bits("set-id by mkdir", dir, file);
		(void)rmdir(file);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", file);
		(void)fchmod(fd, mode);
		(void)bind(fd, (struct sockaddr *)&un, sizeof(un));
		(void)close(fd);
		no_bits("set-id by bind", dir, file);
	}
	(void)snprintf(summary, sizeof(summary), "no set-id bits by any call (%s)", dir);
	result(bits_failed == 0, summary, "%d ways", bits_failed);
}

static void devices(const char *dir)
{
	const char *file = in(dir, "device");
	char name[128];
	int fd;

	(void)snprintf(name, sizeof(name), "mknod of a block device (%s)", dir);
	refused(name, mknod(file, S_IFBLK | 0600, 254 << 8), 0);
	(void)unlink(file);
	(void)snprintf(name, sizeof(name), "mknod of /dev/mem (%s)", dir);
	refused(name, mknod(file, S_IFCHR | 0600, (1 << 8) | 1), 0);
	(void)unlink(file);
	/* A whiteout, 0:0, is anyone's to make; it must not open. */
	if (mknod(file, S_IFCHR | 0600, 0) == 0) {
		fd = open(file, O_RDWR);
		(void)snprintf(name, sizeof(name), "open of a device node (%s)", dir);
		refused(name, fd, 0);
	}
	(void)unlink(file);
}

static void capabilities_of_files(const char *dir)
{
	static const uint32_t v2[5] = {0x02000001, 0xffffffff, 0, 0xffffffff, 0};
	static const uint32_t v3[6] = {0x03000001, 0xffffffff, 0, 0xffffffff, 0, 0};
	const char *file = in(dir, "cap");
	char name[128];

	(void)close(creat(file, 0755));
	(void)snprintf(name, sizeof(name), "file capabilities, v2 (%s)", dir);
	refused(name, setxattr(file, "security.capability", v2, sizeof(v2), 0), 0);
	(void)snprintf(name, sizeof(name), "file capabilities, v3 (%s)", dir);
	refused(name, setxattr(file, "security.capability", v3, sizeof(v3), 0), 0);
	(void)snprintf(name, sizeof(name), "file capabilities by setxattrat (%s)", dir);
	{
		struct {
			uint64_t value;
			uint32_t size, flags;
		} a = {(uint64_t)(uintptr_t)v3, sizeof(v3), 0};

		refused(name, syscall(NR_SETXATTRAT, AT_FDCWD, file, 0, "security.capability", &a, sizeof(a)), 0);
	}
	(void)snprintf(name, sizeof(name), "trusted attributes (%s)", dir);
	refused(name, setxattr(file, "trusted.overlay.opaque", "y", 1, 0), 0);
	(void)snprintf(name, sizeof(name), "a file given to another user (%s)", dir);
	refused(name, chown(file, 0, -1), 0);
	(void)unlink(file);
}

/* --- the store --------------------------------------------------------------------------------------------------- */

/* Every host path of the set is a mount of its own, which mountinfo tells. */
static void store(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "r");
	char line[8192];
	int writable = 0;
	int n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		char at[4096];
		char opts[256];
		struct stat st;

		if (sscanf(line, "%*d %*d %*s %*s %4095s %255s", at, opts) != 2 || strncmp(at, "/nix/store/", 11) != 0)
			continue;
		n++;
		if (strncmp(opts, "ro", 2) != 0 || !strstr(opts, "nosuid") || !strstr(opts, "nodev")) {
			result(false, "a host store path's mount", "%s: %s", at, opts);
			writable++;
			continue;
		}
		if (lstat(at, &st) == 0 && S_ISDIR(st.st_mode)) {
			if (mkdir(in(at, "igloo-probe"), 0700) == 0 || errno != EROFS)
				result(false, "a folder in a host store path", "%s", at);
			if (chmod(at, 0777) == 0 || errno != EROFS)
				result(false, "chmod of a host store path", "%s", at);
			if (utimensat(AT_FDCWD, at, NULL, 0) == 0 || errno != EROFS)
				result(false, "times of a host store path", "%s", at);
			if (rename(at, "/nix/store/igloo-probe") == 0 || (errno != EBUSY && errno != EXDEV))
				result(false, "rename of a host store path", "%s: %s", at, strerror(errno));
			if (rmdir(at) == 0)
				result(false, "rmdir of a host store path", "%s", at);
		} else if (open(at, O_WRONLY) >= 0 || errno != EROFS) {
			result(false, "a host store file for writing", "%s", at);
		}
	}
	if (f)
		(void)fclose(f);
	result(n > 0 && writable == 0, "every host path in the store is read-only, nosuid, nodev",
	       "%d mounts, %d writable", n, writable);
}

/* A program of the host's store, through every alias of it there is. */
static void store_aliases(const char *program)
{
	char path[4096 + 64];
	const char *const ways[] = {"%s", "/proc/self/root%s", "/proc/1/root%s", "/proc/thread-self/root%s"};
	int fd;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char name[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(path, sizeof(path), ways[i], program);
#pragma GCC diagnostic pop
		(void)snprintf(name, sizeof(name), "writing a host store file by %.20s", ways[i]);
		refused(name, open(path, O_WRONLY), 0);
		refused(name, truncate(path, 0), 0);
	}
	fd = open(program, O_RDONLY);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	refused("writing a host store file by its descriptor", open(path, O_RDWR), 0);
	refused("chmod of a host store file by its descriptor", fchmod(fd, 0777), EROFS);
	if (fd >= 0) {
		void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		refused("a shared writable mapping of a host store file", p == MAP_FAILED ? -1 : 0, EACCES);
		(void)close(fd);
	}
	refused("hard link of a host store file", link(program, in(work, "linked")), EXDEV);
	refused("hard link of a host store file within the store", link(program, "/nix/store/linked"), EXDEV);
}

/* --- /proc ------------------------------------------------------------------------------------------------------- */

static bool may_be_written(const char *path)
{
	/* Of the opener's own: nothing of the machine's. */
	return strncmp(path, "/proc/self", 10) == 0 || strncmp(path, "/proc/thread-self", 17) == 0;
}

static int walk(const char *dir, int depth, int *opened)
{
	DIR *d = opendir(dir);
	const struct dirent *ent;
	int bad = 0;

	while (d && (ent = readdir(d))) {
		char path[4096];
		struct stat st;
		int fd;

		(void)snprintf(path, sizeof(path), "%s/%s", dir, ent->d_name);
		if (ent->d_name[0] == '.' || (depth == 0 && strspn(ent->d_name, "0123456789") > 0) ||
		    may_be_written(path) || lstat(path, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < 12) {
			bad += walk(path, depth + 1, opened);
			continue;
		}
		if (!S_ISREG(st.st_mode))
			continue;
		fd = open(path, O_WRONLY | O_NONBLOCK);
		if (fd >= 0) {
			/* Pressure files take a trigger, which says when *this* process waits; it needs a privilege or
			 * 2 s. */
			if (strncmp(path, "/proc/pressure/", 15) != 0) {
				result(false, "a file of /proc for writing", "%s", path);
				bad++;
			}
			(void)close(fd);
			(*opened)++;
		}
	}
	if (d)
		(void)closedir(d);
	return bad;
}

static void hidden(const char *path)
{
	char name[128];
	char byte;
	int fd = open(path, O_RDONLY | O_NONBLOCK);

	(void)snprintf(name, sizeof(name), "%s tells nothing", path);
	result(fd < 0 || read(fd, &byte, 1) <= 0, name, "it can be read");
	(void)close(fd);
}

static void proc(void)
{
	static const char *const written[] = {"/proc/sys/kernel/core_pattern",
					      "/proc/sys/kernel/modprobe",
					      "/proc/sys/kernel/hotplug",
					      "/proc/sys/kernel/poweroff_cmd",
					      "/proc/sys/vm/drop_caches",
					      "/proc/sys/vm/overcommit_memory",
					      "/proc/sys/fs/binfmt_misc/register",
					      "/proc/sys/fs/suid_dumpable",
					      "/proc/sys/kernel/sysrq",
					      "/proc/sysrq-trigger",
					      "/proc/irq/default_smp_affinity",
					      "/proc/mtrr",
					      "/proc/acpi/wakeup",
					      "/proc/dynamic_debug/control",
					      "/sys/kernel/uevent_helper"};
	static const char *const secret[] = {
		"/proc/kcore",       "/proc/kmsg",          "/proc/keys",     "/proc/key-users",    "/proc/timer_list",
		"/proc/sched_debug", "/proc/latency_stats", "/proc/kallsyms", "/proc/kpagecount",   "/proc/kpageflags",
		"/proc/kpagecgroup", "/proc/vmallocinfo",   "/proc/slabinfo", "/proc/pagetypeinfo", "/proc/vmcore",
		"/proc/iomem.raw",   "/proc/1/environ",     "/proc/1/mem",    "/proc/1/maps",       "/proc/1/stack",
		"/proc/self/stack",  "/proc/modules"};
	char name[128];
	int opened = 0;
	struct stat st;

	for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
		(void)snprintf(name, sizeof(name), "writing %s", written[i]);
		refused(name, open(written[i], O_WRONLY), 0);
	}
	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
		hidden(secret[i]);
	result(walk("/proc", 0, &opened) == 0, "no file of /proc but a process's own can be written", "see above");
	refused("/sys", stat("/sys", &st), ENOENT);
	refused("the cgroup file system", stat("/sys/fs/cgroup", &st), ENOENT);
}

/* --- the root ----------------------------------------------------------------------------------------------------- */

static void root(void)
{
	static const char *const absent[] = {"/root", "/var", "/boot", "/lib",   "/sbin",
					     "/opt",  "/srv", "/mnt",  "/stage", "/usr/lib"};
	static const char *const fixed[] = {"/",     "/bin", "/etc", "/etc/box", "/etc/nix", "/dev",
					    "/home", "/nix", "/usr", "/usr/bin", "/proc"};
	DIR *d = opendir("/proc/self/fd");
	char name[4096];
	struct stat st;
	struct stat up;
	int dir = open("/", O_RDONLY | O_DIRECTORY);

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		(void)snprintf(name, sizeof(name), "%s of the host", absent[i]);
		refused(name, lstat(absent[i], &st), ENOENT);
	}
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		(void)snprintf(name, sizeof(name), "a new file in %s", fixed[i]);
		refused(name, open(in(fixed[i], "igloo-probe"), O_CREAT | O_WRONLY, 0600), 0);
	}
	result(dir >= 0 && fstatat(dir, "../../..", &up, 0) == 0 && fstat(dir, &st) == 0 && st.st_ino == up.st_ino &&
		       st.st_dev == up.st_dev,
	       "above the root is the root", "not the same folder");
	refused("the guest's root", open("/proc/1/root/etc/passwd", O_RDONLY), 0);
	refused("the guest's working folder", open("/proc/1/cwd", O_RDONLY | O_DIRECTORY), 0);
	refused("the guest's program", open("/proc/1/exe", O_RDONLY), 0);
	refused("the guest's program for writing", open("/proc/1/exe", O_WRONLY), 0);
	for (int fd = 0; fd < 16; fd++) {
		char to[64];

		(void)snprintf(name, sizeof(name), "/proc/1/fd/%d", fd);
		if (open(name, O_RDONLY) >= 0 || open(name, O_PATH) >= 0 || readlink(name, to, sizeof(to)) > 0)
			result(false, "the guest's descriptors", "%d can be reached", fd);
	}
	/* Descriptors that came along: the three of a command and what this program opened itself. */
	while (d) {
		const struct dirent *ent = readdir(d);
		int fd = ent ? atoi(ent->d_name) : 0;

		if (!ent)
			break;
		if (fd > 2 && fd != dirfd(d) && fd != dir) {
			char to[4096] = "";

			(void)!readlink(in("/proc/self/fd", ent->d_name), to, sizeof(to) - 1);
			result(false, "an inherited descriptor", "%d: %s", fd, to);
		}
	}
	result(true, "inherited descriptors were looked at", "-");
}

int main(int argc, char **argv)
{
	static const char *const dirs[] = {"/tmp",        "/dev/shm",   "/run/user/1000",
					   "/home/igloo", "/nix/store", "/nix/var"};

	if (argc != 3)
		return 2;
	work = argv[1];
	root();
	for (size_t i = 0; i <= sizeof(dirs) / sizeof(dirs[0]); i++) {
		const char *dir = i < sizeof(dirs) / sizeof(dirs[0]) ? dirs[i] : work;

		mode_bits(dir);
		devices(dir);
		capabilities_of_files(dir);
	}
	store();
	store_aliases(argv[2]);
	proc();
	return 0;
}
