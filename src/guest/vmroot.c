#include "guest/vmroot.h"

#include "base/str.h"
#include "guest/guest.h"
#include "guest/vmlate.h"
#include "guest/vmlayer.h"
#include "sys/fd.h"
#include "sys/netlink.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAME_BYTES = 128, LINK_MS = 2000 };

static int failed(const char **ret_what, const char *what, int r)
{
	*ret_what = what;
	return r;
}

static int mount_at(const char *type, const char *target, unsigned long flags, const char *data, const char **ret_what)
{
	if (mkdir(target, 0755) < 0 && errno != EEXIST && errno != EROFS)
		return failed(ret_what, target, -errno);
	return mount(type, target, type, flags, data) < 0 ? failed(ret_what, target, -errno) : 0;
}

int vmroot_begin(const char **ret_what)
{
	int r = mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=0755", ret_what);

	return r == 0 ? mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, ret_what) : r;
}

/* --- modules ------------------------------------------------------------------------------------------------------ */

static int is_module(const struct dirent *ent)
{
	return str_ends(ent->d_name, ".ko");
}

int vmroot_modules(void (*note)(const char *what, int errnum), const char **ret_what)
{
	struct dirent **names = NULL;
	_cleanup_close_ int dir = open("/modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int n = dir < 0 ? 0 : scandir("/modules", &names, is_module, alphasort);

	/* A kernel may have all that is needed built in. */
	if ((dir < 0 && errno != ENOENT) || n < 0)
		return failed(ret_what, "/modules", -errno);
	for (int i = 0; i < n; i++) {
		_cleanup_close_ int fd = openat(dir, names[i]->d_name, O_RDONLY | O_CLOEXEC);

		vmlate_before(names[i]->d_name);
		if ((fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0) && errno != EEXIST && errno != ENODEV)
			note(names[i]->d_name, errno);
		free(names[i]);
	}
	free(names);
	return 0;
}

/* --- the port ----------------------------------------------------------------------------------------------------- */

/* Reads a short file, without the newline. */
static bool file_is(int dirfd, const char *path, const char *text)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	char buf[NAME_BYTES];
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (n <= 0)
		return false;
	buf[buf[n - 1] == '\n' ? n - 1 : n] = '\0';
	return strcmp(buf, text) == 0;
}

/* Returns the port or -errno: -ENOENT when no such port is known (yet). */
static int find_port(const char *name)
{
	DIR *d = opendir("/sys/class/virtio-ports");
	const struct dirent *ent;
	char path[NAME_BYTES];
	int fd = -ENOENT;

	while (d && fd == -ENOENT && (ent = readdir(d))) {
		if (ent->d_name[0] == '.')
			continue;
		(void)snprintf(path, sizeof(path), "%.64s/name", ent->d_name);
		if (!file_is(dirfd(d), path, name))
			continue;
		(void)snprintf(path, sizeof(path), "/dev/%.64s", ent->d_name);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			fd = -errno;
	}
	if (d)
		(void)closedir(d);
	return fd;
}

int vmroot_port(const char *name, int timeout_ms, const char **ret_what)
{
	int64_t end = guest_now_ms() + timeout_ms;
	int fd = find_port(name);

	while (fd < 0 && guest_now_ms() < end) {
		(void)poll(NULL, 0, 1);
		fd = find_port(name);
	}
	if (fd < 0)
		return failed(ret_what, name, fd);
	/* Until the host's side is there it hangs up all the time, and write() says EAGAIN. */
	while (guest_now_ms() < end) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		if (poll(&p, 1, 1) == 1 && !(p.revents & POLLHUP))
			return fd;
		(void)poll(NULL, 0, 1);
	}
	(void)close(fd);
	return failed(ret_what, name, -ETIMEDOUT);
}

/* --- mounts ------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned long flag;
} flag_names[] = {
	{"ro", MS_RDONLY},     {"nosuid", MS_NOSUID},     {"nodev", MS_NODEV},
	{"noexec", MS_NOEXEC}, {"relatime", MS_RELATIME}, {"noatime", MS_NOATIME},
};

static unsigned long flag_of(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++)
		if (strcmp(flag_names[i].name, word) == 0)
			return flag_names[i].flag;
	return 0;
}

static int mount_configured(const struct vmconf_mount *m, const char **ret_what)
{
	_cleanup_str_ struct str target = STR_INIT;
	_cleanup_str_ struct str data = STR_INIT;
	_cleanup_strv_ struct strv options = STRV_INIT;
	unsigned long flags = 0;

	str_adds(&target, VMROOT);
	str_adds(&target, m->target ? m->target : "");
	if (strcmp(m->type, "9p") == 0)
		str_adds(&data, "trans=virtio,version=9p2000.L,msize=512000");
	if (strcmp(m->options, "-") != 0)
		strv_split(&options, m->options, ',');
	for (size_t i = 0; i < options.n; i++) {
		unsigned long flag = flag_of(options.v[i]);

		flags |= flag;
		if (flag)
			continue;
		str_adds(&data, data.len > 0 ? "," : "");
		str_adds(&data, options.v[i]);
	}
	if (mkdir(str_text(&target), 0755) < 0 && errno != EEXIST && errno != EROFS)
		return failed(ret_what, m->target ? m->target : "/", -errno);
	if (mount(m->source, str_text(&target), m->type, flags, str_text(&data)) < 0)
		return failed(ret_what, m->target ? m->target : "the root", -errno);
	return 0;
}

/* udev would have made these. */
static void add_dev_links(void)
{
	static const char *const links[][2] = {{"/proc/self/fd", VMROOT "/dev/fd"},
					       {"/proc/self/fd/0", VMROOT "/dev/stdin"},
					       {"/proc/self/fd/1", VMROOT "/dev/stdout"},
					       {"/proc/self/fd/2", VMROOT "/dev/stderr"}};

	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		(void)symlink(links[i][0], links[i][1]);
}

/* /proc comes with the guest's PID namespace. */
static int mount_own(const char **ret_what)
{
	static const struct {
		const char *type;
		const char *at;
		unsigned long flags;
		const char *data;
	} own[] = {
		{"sysfs", VMROOT "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL},
		{"devtmpfs", VMROOT "/dev", MS_NOSUID, "mode=0755"},
		{"devpts", VMROOT "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
		{"tmpfs", VMROOT "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777"},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(own) && r == 0; i++)
		r = mount_at(own[i].type, own[i].at, own[i].flags, own[i].data, ret_what);
	/* Kernels without it are fine. */
	(void)mount("cgroup2", VMROOT "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	add_dev_links();
	return r;
}

/* Over the file, not into it: that one may be the host's. */
static void mount_resolv_conf(const char *dns)
{
	_cleanup_close_ int fd = open("/resolv.conf", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	_cleanup_str_ struct str s = STR_INIT;

	str_addf(&s, "nameserver %s\n", dns);
	if (fd >= 0 && fd_write_all(fd, s.p, s.len) == 0)
		(void)mount("/resolv.conf", VMROOT "/etc/resolv.conf", NULL, MS_BIND, NULL);
}

int vmroot_mount(const struct vmconf *c, void (*note)(const char *what, int errnum), const char **ret_what)
{
	int r = c->root.type ? mount_configured(&c->root, ret_what) : failed(ret_what, "no root=", -EINVAL);

	if (r == 0)
		r = mount_own(ret_what);
	if (r == 0)
		r = vmlayer_mount(c, note, ret_what);
	for (size_t i = 0; i < c->n_mounts && r == 0; i++)
		r = mount_configured(&c->mounts[i], ret_what);
	if (r == 0 && c->dns)
		mount_resolv_conf(c->dns);
	return r;
}

/* Of a folder, "NAME/" and a star: all that is in it. Fails as a system call does. */
static int open_device(int dev, const char *name)
{
	_cleanup_free_ char *folder = str_ends(name, "/*") ? xstrndup(name, strlen(name) - 2) : NULL;
	int fd = folder ? openat(dev, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;
	bool any = false;

	if (!folder)
		return fchmodat(dev, name, 0666, 0);
	while (d && (ent = readdir(d)))
		if (ent->d_name[0] != '.' && ent->d_type == DT_CHR)
			any |= fchmodat(dirfd(d), ent->d_name, 0666, 0) == 0;
	if (d)
		(void)closedir(d);
	else
		(void)close_fd(fd);
	errno = any ? 0 : ENOENT;
	return any ? 0 : -1;
}

int vmroot_devices(const struct vmconf *c, int timeout_ms, const char **ret_what)
{
	int64_t end = guest_now_ms() + timeout_ms;
	_cleanup_close_ int dev = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < c->n_devices; i++) {
		/* A driver may go on looking when its module is loaded. */
		while (open_device(dev, c->devices[i]) < 0) {
			if (errno != ENOENT || guest_now_ms() > end)
				return failed(ret_what, c->devices[i], -errno);
			(void)poll(NULL, 0, 5);
		}
	}
	return 0;
}

int vmroot_enter(const char **ret_what)
{
	if (chdir(VMROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return failed(ret_what, "the root", -errno);
	return 0;
}

void vmroot_settle(const struct vmconf *c)
{
	sync();
	vmlayer_settle();
	for (size_t i = c->n_mounts; i-- > 0;)
		if (str_starts(c->mounts[i].source, "/dev/"))
			(void)mount(NULL, c->mounts[i].target, NULL, MS_REMOUNT | MS_RDONLY, NULL);
	if (c->root.source && str_starts(c->root.source, "/dev/"))
		(void)mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

/* --- network ------------------------------------------------------------------------------------------------------ */

static int set_up(struct netlink *n, const struct vmconf *c)
{
	struct netlink_route route = {.type = NETLINK_VIA, .via = c->gateway};
	int r = netlink_up(n, NETLINK_LO, NULL);

	if (r < 0 || c->address.s_addr == 0)
		return r;
	/* The driver's module was just loaded. */
	for (int64_t end = guest_now_ms() + LINK_MS;
	     (r = netlink_index(n, "eth0", &route.link, NULL)) < 0 && guest_now_ms() < end;)
		(void)poll(NULL, 0, 1);
	if (r == 0)
		(void)netlink_no_ipv6(n, route.link, NULL);
	if (r == 0)
		r = netlink_add_address(n, route.link, c->address, c->bits, NULL);
	if (r == 0)
		r = netlink_up(n, route.link, NULL);
	for (size_t i = 0; i < c->n_routes && r == 0; i++) {
		route.to = c->routes[i].to;
		route.bits = c->routes[i].bits;
		r = netlink_add_route(n, &route, NULL);
	}
	if (r == 0 && c->n_routes == 0 && c->gateway.s_addr != 0)
		r = netlink_add_route(n, &route, NULL);
	return r;
}

void vmroot_add_route(const struct vmconf *c, struct in_addr to, unsigned bits)
{
	struct netlink_route route = {.type = NETLINK_VIA, .to = to, .bits = bits, .via = c->gateway};
	struct netlink n = NETLINK_INIT;

	if (netlink_open(&n, NULL) == 0 && netlink_index(&n, "eth0", &route.link, NULL) == 0)
		(void)netlink_add_route(&n, &route, NULL);
	netlink_close(&n);
}

int vmroot_network(const struct vmconf *c, const char **ret_what)
{
	struct netlink n = NETLINK_INIT;
	int r = netlink_open(&n, NULL);

	if (r == 0)
		r = set_up(&n, c);
	netlink_close(&n);
	return r < 0 ? failed(ret_what, c->address.s_addr ? "eth0" : "lo", r) : 0;
}
