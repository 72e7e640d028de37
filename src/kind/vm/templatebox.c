#include "kind/vm/templatebox.h"

#include "box/spec.h"
#include "guest/image.h"
#include "kind/common/life.h"
#include "kind/common/rootfs.h"
#include "kind/common/setup.h"
#include "kind/vm/template.h"
#include "sys/childreport.h"
#include "sys/fd.h"
#include "sys/mnt.h"
#include "sys/ns.h"
#include "sys/probe.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DISK_BYTES = 1 << 20, PIPE_BYTES = 1 << 20, WORDS_MS = 1000 };

/* --- inside ------------------------------------------------------------------------------------------------------- */

/* An empty file system, over the cache's folder, which nothing else is wanted of here. */
static int make_root(const struct templatebox *t, struct err **e)
{
	_cleanup_close_ int below = open(t->cache->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int root;
	int r = below < 0 ? -errno : mnt_new("tmpfs", below, MS_NOSUID | MS_NODEV, "mode=0755,size=1m,nr_inodes=1024");

	if (r < 0)
		return err_errno(e, -r, "cannot mount a tmpfs on '%s'", t->cache->path);
	root = open(t->cache->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? err_errno(e, errno, "cannot open the new root") : root;
}

static int fill_root(const struct templatebox *t, int root, struct err **e)
{
	_cleanup_close_ int box = rootfs_mount_point(root, MONITOR_BOX, false, e);
	_cleanup_close_ int proc = box < 0 ? -1 : rootfs_mount_point(root, "proc", false, e);
	int r;

	if (proc < 0)
		return -EIO;
	r = mnt_new("proc", proc, MS_NOSUID | MS_NODEV | MS_NOEXEC, "subset=pid");
	if (r < 0)
		return err_errno(e, -r, "cannot mount /proc");
	return enclosure_fill(t->enclosure, root, e);
}

static int enter_root(int root, struct err **e)
{
	_cleanup_close_ int top = -1;
	int r = mnt_pivot(root);

	if (r == 0) {
		top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = top < 0 ? -errno : rootfs_seal(top);
	}
	if (r == 0 && (sethostname(BOX_HOSTNAME, strlen(BOX_HOSTNAME)) < 0 || setdomainname("", 0) < 0))
		r = -errno;
	return r < 0 ? err_errno(e, -r, "cannot change the root") : 0;
}

static void ATTR_NORETURN run_inside(const struct templatebox *t, const struct setup *s)
{
	_cleanup_err_ struct err *e = NULL;
	int root = -1;
	char byte;
	int r;

	if (read(s->go, &byte, 1) != 1)
		_exit(1);
	r = mnt_private();
	if (r < 0)
		(void)err_errno(&e, -r, "cannot make the mounts private");
	if (r == 0)
		r = enclosure_sources(t->enclosure, &e);
	if (r == 0)
		r = root = make_root(t, &e);
	if (r >= 0)
		r = fill_root(t, root, &e);
	if (r == 0)
		r = enter_root(root, &e);
	if (r < 0)
		childreport_fail(s->report, e);
	setup_become_guest(s);
}

/* --- outside ------------------------------------------------------------------------------------------------------ */

struct ends {
	int link[2];
	int report[2];
	int go[2];
	int pipe[2];
	int disks[VMHOST_DISKS_MAX];
	int guest;
};

/* QEMU takes a descriptor that can do what it is to do with it, and no more. */
static int open_disk(bool read_only, struct err **e)
{
	int fd = memfd_create("igloo-disk", MFD_CLOEXEC);
	char self[64];

	if (fd >= 0 && ftruncate(fd, DISK_BYTES) == 0 && read_only) {
		int whole = fd;

		(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", whole);
		fd = open(self, O_RDONLY | O_CLOEXEC);
		(void)close_fd(whole);
	}
	return fd < 0 ? err_errno(e, errno, "cannot make an empty disk") : fd;
}

static int open_ends(const struct templatebox *t, struct ends *x, struct err **e)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, x->link) < 0 || pipe2(x->report, O_CLOEXEC) < 0 ||
	    pipe2(x->go, O_CLOEXEC) < 0 || pipe2(x->pipe, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make pipes");
	(void)fcntl(x->pipe[0], F_SETPIPE_SZ, PIPE_BYTES);
	for (size_t i = 0; i < t->n_disks; i++) {
		x->disks[i] = open_disk(t->read_only[i], e);
		if (x->disks[i] < 0)
			return x->disks[i];
	}
	x->guest = life_guest(e);
	return x->guest < 0 ? x->guest : 0;
}

static void close_pair(int fds[2])
{
	fds[0] = close_fd(fds[0]);
	fds[1] = close_fd(fds[1]);
}

static void close_ends(struct ends *x)
{
	close_pair(x->link);
	close_pair(x->report);
	close_pair(x->go);
	close_pair(x->pipe);
	for (size_t i = 0; i < VMHOST_DISKS_MAX; i++)
		x->disks[i] = close_fd(x->disks[i]);
	x->guest = close_fd(x->guest);
}

static pid_t start(const struct templatebox *t, struct ends *x, struct err **e)
{
	const int handed[] = {x->disks[0], x->disks[1], x->pipe[1]};
	const struct monitor monitor = {.argv = t->argv->v, .fds = handed, .n_fds = ARRAY_SIZE(handed)};
	const struct setup s = {.monitor = &monitor,
				.guest = x->guest,
				.link = x->link[1],
				.report = x->report[1],
				.agent = -1,
				.go = x->go[0]};
	pid_t pid = ns_fork(setup_namespaces() | CLONE_NEWUSER, NULL);

	_Static_assert((int)VMHOST_DISK_FD == (int)MONITOR_FDS && (int)VMHOST_STATE_FD == (int)MONITOR_FDS + 2,
		       "handed down by the numbers that QEMU knows");
	if (pid == 0) {
		/* This one would not see the caller end. */
		x->go[1] = close_fd(x->go[1]);
		run_inside(t, &s);
	}
	return pid < 0 ? probe_explain_userns((int)-pid, e) : pid;
}

static int begin(pid_t pid, struct ends *x, struct err **e)
{
	int r = ns_write_maps(pid, BOX_UID, BOX_GID, e);

	x->link[1] = close_fd(x->link[1]);
	x->report[1] = close_fd(x->report[1]);
	x->pipe[1] = close_fd(x->pipe[1]);
	if (r == 0 && fd_write_all(x->go[1], "g", 1) < 0)
		r = err_set(e, EPIPE, "the machine's sandbox ended while it was being made");
	return r < 0 ? r : childreport_wait(x->report[0], NULL, e);
}

/* What PID 1 said, if it did. */
static int explain(int fd, struct err **e)
{
	_cleanup_str_ struct str words = STR_INIT;
	struct link *l = xcalloc(1, sizeof(*l));
	struct frame f;
	struct msg_err m;

	link_init(l, fd, FRAME_MAX);
	while (link_receive(l) > 0)
		while (link_next(l, false, &f) > 0)
			if (f.type == FRAME_ERR && msg_get_err(&f, &m) == 0 && words.len == 0)
				str_add_printable(&words, (const char *)f.payload + MSG_ERR_BYTES,
						  f.len - MSG_ERR_BYTES, true);
	link_release(l);
	free(l);
	return err_set(e, EIO, "the machine: %s", words.len > 0 ? str_text(&words) : "it ended early");
}

/* Fills the file; true when the machine was whole, and not only what came of it. */
static int take(pid_t *pid, struct ends *x, int file, struct err **e)
{
	_cleanup_err_ struct err *why = NULL;
	int status = 0;
	int r = begin(*pid, x, e);
	int filled = r < 0 ? r : template_fill(file, x->pipe[0], &why);

	if (r < 0 || (filled < 0 && filled != -EPIPE))
		(void)kill(*pid, SIGKILL);
	x->pipe[0] = close_fd(x->pipe[0]);
	while (waitpid(*pid, &status, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
	if (r < 0)
		return r;
	if (filled < 0 && filled != -EPIPE) {
		if (e)
			*e = take_ptr(why);
		return filled;
	}
	if (filled < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return explain(take_fd(&x->link[0]), e);
	return 0;
}

int templatebox_make(const struct templatebox *t, struct err **e)
{
	struct ends x = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}, -1};
	_cleanup_close_ int file = template_begin(t->cache, e);
	pid_t pid = 0;
	int r = file < 0 ? file : open_ends(t, &x, e);

	/* As for a box (kind/common/setup.c). */
	if (r == 0 && geteuid() == 0 && setgroups(0, NULL) < 0 && errno != EPERM)
		r = err_errno(e, errno, "cannot drop supplementary groups");
	if (r == 0)
		r = pid = start(t, &x, e);
	if (r > 0)
		r = take(&pid, &x, file, e);
	close_ends(&x);
	return r < 0 ? r : template_end(t->cache, t->key, file, e);
}
