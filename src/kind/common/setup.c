/* Theory of operation
 *
 * Two ways lead into a box.
 *
 * Through the slot's view (the usual one): the supervisor forks; that process joins the view's user
 * namespace, where it has every capability; makes a short-lived copy of the host's mounts to clone the
 * workspace and the shares from (a mount can be cloned only in a namespace one owns); joins the view's
 * mount namespace; and clones the box's first process with all namespaces new. CLONE_PARENT makes that
 * one the supervisor's child, so its end is the supervisor's to see. Its mount namespace is a copy of the
 * view; the store with its thousands of mounts is moved below the new root in one call.
 *
 * While the first process builds its root, the one that cloned it makes the gateway namespace, if the box has one
 * (kind/common/gateway.h).
 *
 * Without a view (kernels before 5.12): the supervisor clones the first process itself, with a user namespace
 * of its own, and that one mounts everything, and makes its gateway namespace.
 *
 * Then, in both: root, shares, read-only pins, pivot_root, hostname, loopback and the link to the gateway; no
 * capability, no_new_privs, the seccomp filter, no descriptor but the connection; exec of the guest. */
#include "kind/common/setup.h"

#include "kind/common/filter.h"
#include "kind/common/rootfs.h"
#include "sys/childreport.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/mnt.h"
#include "sys/nocore.h"
#include "sys/ns.h"
#include "sys/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

uint64_t setup_namespaces(void)
{
	return CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWTIME |
	       CLONE_NEWNET;
}

/* --- the shares ------------------------------------------------------------------------------------------- */

int setup_sources(const struct box_spec *spec, int **ret, struct err **e)
{
	int r = mnt_private();
	int *fds = NULL;

	/* Else a clone stays a slave of the host's mount: what the host mounts below a share later would appear in the
	 * box, writable in a read-only share, with devices and set-user-id files. */
	if (r < 0)
		return err_errno(e, -r, "cannot make the mounts private");
	fds = xcalloc(spec->nshares ? spec->nshares : 1, sizeof(*fds));
	for (size_t i = 0; i < spec->nshares; i++) {
		const struct box_share *share = &spec->shares[i];
		struct stat st;

		fds[i] = mnt_clone(AT_FDCWD, share->source, MNT_RECURSIVE);
		if (fds[i] < 0 || fstat(fds[i], &st) < 0) {
			(void)err_errno(e, fds[i] < 0 ? -fds[i] : errno, "cannot mount '%s'", share->source);
			free(fds);
			return -EIO;
		}
		/* The path was resolved when the spec was made; a link swapped in since leads elsewhere. */
		if (st.st_dev != share->dev || st.st_ino != share->ino) {
			free(fds);
			return err_set(e, ESTALE, "'%s' was replaced while the box was being made", share->source);
		}
	}
	*ret = fds;
	return 0;
}

static int attach_shares(const struct box_spec *spec, const int *sources, int root, struct err **e)
{
	for (size_t i = 0; i < spec->nshares; i++) {
		const struct box_share *share = &spec->shares[i];
		_cleanup_close_ int target = -1;
		struct stat st;
		int r;

		if (fstat(sources[i], &st) < 0)
			return err_errno(e, errno, "cannot mount '%s'", share->source);
		target = rootfs_mount_point(root, share->target, !S_ISDIR(st.st_mode), e);
		if (target < 0)
			return target;
		r = mnt_attach(sources[i], target,
			       MNT_RECURSIVE | (share->read_only ? MNT_RDONLY : 0) |
				       (share->terminal ? MNT_DEVICES : 0));
		if (r < 0)
			return err_errno(e, -r, "cannot mount '%s'", share->source);
	}
	return 0;
}

/* A pinned name is mounted onto itself: it can be neither written (where read-only), renamed, replaced nor
 * removed. The last part may be a link, which is pinned as a link; parents may not. */
int setup_pin(int root, const struct box_pin *p, struct err **e)
{
	const char *path = p->path + strspn(p->path, "/");
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	_cleanup_close_ int dir = file_open_beneath(root, parent, O_PATH | O_DIRECTORY, 0);
	_cleanup_close_ int target = -1;
	int r;

	if (dir < 0)
		return err_errno(e, -dir, "cannot protect '%s'", p->path);
	target = openat(dir, slash ? slash + 1 : path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (target < 0)
		return err_errno(e, errno, "cannot protect '%s'", p->path);
	r = mnt_bind(dir, slash ? slash + 1 : path, target, p->read_only ? MNT_RDONLY | MNT_RECURSIVE : MNT_RECURSIVE);
	return r < 0 ? err_errno(e, -r, "cannot protect '%s'", p->path) : 0;
}

/* --- the root ----------------------------------------------------------------------------------------------- */

/* Moves a mount of the view, with all that is mounted below it, to its place in the new root. */
static int take_from_view(int root, const char *path, struct err **e)
{
	_cleanup_free_ char *from = xasprintf("/%s", path);
	_cleanup_close_ int target = rootfs_mount_point(root, path, false, e);

	if (target < 0)
		return target;
	if (move_mount(AT_FDCWD, from, target, "", MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return err_errno(e, errno, "cannot take %s from the slot's view", from);
	return 0;
}

/* An empty file system on the folder. Returns its descriptor. */
static int new_root(const char *path, struct err **e)
{
	_cleanup_close_ int below = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int root;
	int r;

	if (below < 0)
		return err_errno(e, errno, "cannot open the view's stage");
	r = mnt_new("tmpfs", below, MS_NOSUID | MS_NODEV, "mode=0755,size=16m,nr_inodes=4096");
	if (r < 0)
		return err_errno(e, -r, "cannot mount a tmpfs");
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? err_errno(e, errno, "cannot open the new root") : root;
}

static int root_from_view(const struct box_spec *spec, bool monitored, struct err **e)
{
	static const char *const parts[] = {"nix/store", "nix/var", "dev", "etc"};
	_cleanup_close_ int root = new_root("/" VIEW_STAGE, e);
	int r = 0;

	if (root < 0)
		return root;
	if (monitored) {
		if (mkdirat(root, MONITOR_BOX, 0755) < 0)
			return err_errno(e, errno, "cannot make the box's root");
		(void)close_fd(take_fd(&root));
		root = new_root("/" VIEW_STAGE "/" MONITOR_BOX, e);
		if (root < 0)
			return root;
	}
	for (size_t i = 0; i < ARRAY_SIZE(parts) && r == 0; i++)
		r = take_from_view(root, parts[i], e);
	if (r == 0 && spec->slot_home)
		r = take_from_view(root, BOX_HOME + 1, e);
	return r < 0 ? r : take_fd(&root);
}

static int make_root(const struct setup *s, struct err **e)
{
	int root;
	int r;

	if (s->view)
		return root_from_view(s->box->spec, s->monitor, e);
	root = rootfs_stage(s->box->slot, e);
	if (root < 0)
		return root;
	r = view_fill(s->box->slot, s->set, root, e);
	if (r < 0)
		(void)close_fd(root);
	return r < 0 ? r : root;
}

/* --- the last steps ----------------------------------------------------------------------------------------- */

static int loopback_up(struct err **e)
{
	_cleanup_close_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req;

	memset(&req, 0, sizeof(req));
	memcpy(req.ifr_name, "lo", 3);
	req.ifr_flags = IFF_UP;
	if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &req) < 0)
		return err_errno(e, errno, "cannot bring up the box's loopback");
	return 0;
}

/* Before the root changes when there is no helper: it writes to the /proc/sys of the host's /proc. */
static int gateway_early(const struct setup *s, struct err **e)
{
	return s->gateway && !s->view ? gateway_make_alone(s->gateway, e) : 0;
}

static int network_up(const struct setup *s, struct err **e)
{
	int r = loopback_up(e);

	return r == 0 && s->gateway && s->view ? gateway_wait(s->gateway, e) : r;
}

/* Onto their numbers, by way of others that none of them has. Returns the first number that is free. */
static int hand_down(const struct monitor *m, int high)
{
	int fds[MONITOR_FDS_MAX];
	size_t n = m ? m->n_fds : 0;

	for (size_t i = 0; i < n; i++) {
		fds[i] = m->fds[i] < 0 ? -1 : fcntl(m->fds[i], F_DUPFD_CLOEXEC, high);
		if (m->fds[i] >= 0 && fds[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < n; i++) {
		(void)close(MONITOR_FDS + (int)i);
		if (fds[i] >= 0 && dup2(fds[i], MONITOR_FDS + (int)i) < 0)
			return -errno;
	}
	return MONITOR_FDS + (int)n;
}

void setup_become_guest(const struct setup *s)
{
	_cleanup_err_ struct err *e = NULL;
	enum { LINK = 3, TAP = MONITOR_TAP_FD, GUEST = 5, REPORT = 6, HIGH = 16 };
	char link_number[] = "3";
	char name[] = "igloo-guest";
	char *guest_argv[] = {name, link_number, NULL};
	char *const *argv = s->monitor ? s->monitor->argv : guest_argv;
	char *env[] = {NULL};
	sigset_t none;
	/* First out of the way of the numbers they get, then onto them; all others of the caller's are closed. */
	int link = fcntl(s->link, F_DUPFD_CLOEXEC, HIGH);
	int guest = fcntl(s->guest, F_DUPFD_CLOEXEC, HIGH);
	int report = fcntl(s->report, F_DUPFD_CLOEXEC, HIGH);
	int tap = s->gateway && s->gateway->tap >= 0 ? fcntl(s->gateway->tap, F_DUPFD_CLOEXEC, HIGH) : -1;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int first_free = hand_down(s->monitor, HIGH);
	int r;

	if (guest < 0 || report < 0 || link < 0 || null < 0 || first_free < 0) {
		(void)err_errno(&e, first_free < 0 ? -first_free : errno, "cannot hand over to the guest");
		childreport_fail(s->report, e);
	}
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd);
	(void)dup2(link, LINK);
	(void)close(TAP);
	if (tap >= 0)
		(void)dup2(tap, TAP);
	(void)dup3(guest, GUEST, O_CLOEXEC);
	(void)dup3(report, REPORT, O_CLOEXEC);
	fd_close_from(first_free);
	nocore_set(true);
	(void)umask(022);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (int sig = 1; sig < 32; sig++)
		(void)signal(sig, SIG_DFL);
	/* The supervisor's end, however it comes, is the box's. The guest also sees its connection close. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	r = ns_drop_privileges();
	if (r == 0)
		r = scope_load();
	if (r >= 0)
		r = filter_load();
	if (r == 0) {
		(void)execveat(GUEST, "", argv, env, AT_EMPTY_PATH);
		r = -errno;
	}
	(void)err_errno(&e, -r, "cannot start the guest");
	childreport_fail(REPORT, e);
}

static int give_agent(const struct setup *s, int root, struct err **e)
{
	_cleanup_close_ int fd = rootfs_make_agent(root, e);
	int r = fd < 0 ? fd : fd_send(s->agent, "a", 1, &fd, 1);

	return fd >= 0 && r < 0 ? err_errno(e, -r, "cannot hand over the socket of the box's SSH agent") : r;
}

static int fill_root(const struct setup *s, const int *sources, int root, struct err **e)
{
	const struct box_spec *spec = s->box->spec;
	int r = rootfs_fill_box(spec, root, e);

	if (r == 0)
		r = rootfs_fill_secrets(s->box->secrets, root, e);
	if (r == 0 && s->agent >= 0)
		r = give_agent(s, root, e);
	if (r == 0)
		r = attach_shares(spec, sources, root, e);
	for (size_t i = 0; i < spec->npins && r == 0; i++)
		r = setup_pin(root, &spec->pins[i], e);
	return r;
}

/* What lies below something else in the box: read only, and with a place for /var/tmp. What is mounted there stays as
 * it is. */
static int seal_layers(const struct box_spec *spec, int box, struct err **e)
{
	const char *const parts[] = {"nix/store", "nix/var", BOX_HOME + 1};
	_cleanup_close_ int tmp = rootfs_mount_point(box, "var/tmp", false, e);
	int r = tmp < 0 ? tmp : 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) - (spec->slot_home ? 0 : 1) && r == 0; i++) {
		_cleanup_close_ int fd = file_open_beneath(box, parts[i], O_PATH | O_DIRECTORY, 0);

		r = fd < 0 ? fd : rootfs_seal(fd);
		if (r < 0)
			return err_errno(e, -r, "cannot make the box's /%s read-only", parts[i]);
	}
	return r;
}

/* The box's root, read-only as any box's; with a place for what has no /sys of its own there. */
static int seal_monitored(const struct setup *s, int root, struct err **e)
{
	_cleanup_close_ int box = openat(root, MONITOR_BOX, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = box < 0 || (mkdirat(box, "sys", 0755) < 0 && errno != EEXIST) ? -errno : 0;

	if (r == 0 && s->monitor->layered) {
		r = seal_layers(s->box->spec, box, e);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = rootfs_seal(box);
	return r < 0 ? err_errno(e, -r, "cannot finish the box's root") : 0;
}

/* Whoever has the box's files through a monitor is not to find processes or devices of this machine among them. The
 * monitor's own /proc has processes only: what acts on the whole machine would be writable for a monitor whose user is
 * root outside. */
static int fill_monitored(const struct setup *s, struct err **e)
{
	static const char *const hidden[] = {"proc", "dev"};
	_cleanup_close_ int root = open("/" VIEW_STAGE, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int proc = root < 0 ? -1 : rootfs_mount_point(root, "proc", false, e);
	int r;

	if (root < 0)
		return err_errno(e, errno, "cannot open the monitor's root");
	if (proc < 0)
		return proc;
	r = mnt_new("proc", proc, MS_NOSUID | MS_NODEV | MS_NOEXEC, "subset=pid");
	if (r < 0)
		return err_errno(e, -r, "cannot mount the monitor's /proc");
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		_cleanup_free_ char *path = xasprintf("/" VIEW_STAGE "/" MONITOR_BOX "/%s", hidden[i]);

		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
			return err_errno(e, errno, "cannot hide %s from the box", path);
	}
	r = seal_monitored(s, root, e);
	if (r == 0)
		r = s->monitor->fill(s->monitor->arg, root, e);
	return r < 0 ? r : take_fd(&root);
}

static int change_root(const struct setup *s, int root, struct err **e)
{
	_cleanup_close_ int outer = s->monitor ? fill_monitored(s, e) : -1;
	int r;

	if (s->monitor && outer < 0)
		return outer;
	r = mnt_pivot(s->monitor ? outer : root);
	return r < 0 ? err_errno(e, -r, "cannot change the root") : 0;
}

void setup_box(const struct setup *s, const int *sources)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_close_ int root = -1;
	_cleanup_close_ int top = -1;
	int *own = NULL;
	char byte;
	int r = 0;

	if (!s->view) {
		if (read(s->go, &byte, 1) != 1)
			_exit(1);
		r = gateway_early(s, &e);
		if (r == 0)
			r = setup_sources(s->box->spec, &own, &e);
		sources = own;
	}
	if (r == 0) {
		root = make_root(s, &e);
		r = root < 0 ? root : fill_root(s, sources, root, &e);
		if (r == 0)
			r = change_root(s, root, &e);
	}
	free(own);
	if (r == 0) {
		top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = top < 0 ? -errno : rootfs_seal(top);
		if (r == 0 && (sethostname(BOX_HOSTNAME, strlen(BOX_HOSTNAME)) < 0 || setdomainname("", 0) < 0))
			r = -errno;
		if (r < 0)
			(void)err_errno(&e, -r, "cannot finish the box's root");
	}
	if (r == 0)
		r = network_up(s, &e);
	if (r < 0)
		childreport_fail(s->report, e);
	setup_become_guest(s);
}

void setup_through_view(const struct setup *s)
{
	_cleanup_err_ struct err *e = NULL;
	int *sources = NULL;
	pid_t pid;
	int r;

	/* Groups such as docker's would follow the box to whatever is shared with it; only root can shed them, and not
	 * one that is root of a user namespace which an ordinary user made (EPERM). */
	if (geteuid() == 0 && setgroups(0, NULL) < 0 && errno != EPERM) {
		(void)err_errno(&e, errno, "cannot drop supplementary groups");
		childreport_fail(s->report, e);
	}
	r = ns_join(s->view->userns, CLONE_NEWUSER);
	if (r == 0 && unshare(CLONE_NEWNS) < 0)
		r = -errno;
	if (r < 0) {
		(void)err_errno(&e, -r, "cannot enter the slot's view");
		childreport_fail(s->report, e);
	}
	r = setup_sources(s->box->spec, &sources, &e);
	if (r == 0 && s->monitor)
		r = s->monitor->sources(s->monitor->arg, &e);
	if (r == 0 && (r = ns_join(s->view->mntns, CLONE_NEWNS)) < 0)
		(void)err_errno(&e, -r, "cannot enter the slot's view");
	if (r < 0)
		childreport_fail(s->report, e);
	pid = ns_fork(setup_namespaces() | CLONE_PARENT, NULL);
	if (pid == 0)
		setup_box(s, sources);
	if (pid < 0) {
		(void)err_errno(&e, -pid, "cannot make the box's namespaces");
		childreport_fail(s->report, e);
	}
	childreport_pid(s->report, pid);
	if (s->gateway && gateway_make(s->gateway, pid, &e) < 0)
		childreport_fail(s->report, e);
	_exit(0);
}
