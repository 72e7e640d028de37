/* Theory of operation
 *
 * view_open() asks the keeper's socket first. The keeper answers with the states (box/hostpaths.h) its view
 * was made from; when they are still those of the set and of the host's store, the two descriptors that
 * came along are the view, and no lock was taken and no path looked at. Otherwise, under the slot's
 * view.lock:
 *
 *   - the host's store changed: every path of the set is looked at. All there: the keeper is told the new
 *     state ('S'). Some gone: -ESTALE.
 *   - the set changed, or nobody answers: the old keeper is told to end, and a new one is made.
 *
 * The keeper is a fork of the calling process. In new user and mount namespaces it builds the view below
 * the slot's `root` folder, makes that its root, lets go of everything else, and serves. Boxes are
 * in other pid namespaces and see neither it nor its socket. */
#include "kind/common/view.h"

#include "base/clock.h"
#include "base/log.h"
#include "box/dirs.h"
#include "box/spec.h"
#include "kind/common/rootfs.h"
#include "sys/childreport.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/mnt.h"
#include "sys/ns.h"
#include "sys/probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEEP_SECONDS = 60, ANSWER_MS = 2000 };

/* One request: a letter and, for 'S', a state. One answer to 'G': the states and two descriptors. */
struct request {
	char what; /* G: get, S: the set was looked at, Q: end */
	char pad[7];
	struct hostpaths_state state;
};

static int keeper_address(const struct slot *slot, struct sockaddr_un *address, int *ret_dir, struct err **e)
{
	_cleanup_close_ int dir = dirs_open(DIRS_RUNTIME, "views", e);
	struct stat st;

	if (dir < 0)
		return dir;
	if (fstat(slot->dir, &st) < 0)
		return err_errno(e, errno, "cannot look at slot '%s'", slot->id);
	/* Through the folder's descriptor: XDG paths may be longer than a socket's name can be. By the slot folder's
	 * inode, not its id: the runtime folder is one, state folders may be several. */
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%llx-%llx", dir,
		       (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	*ret_dir = take_fd(&dir);
	return 0;
}

static int keeper_connect(const struct slot *slot)
{
	struct sockaddr_un address;
	struct timeval limit = {.tv_sec = ANSWER_MS / 1000};
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int sock = -1;

	if (keeper_address(slot, &address, &dir, NULL) < 0)
		return -1;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -1;
	/* A keeper that was stopped neither answers nor accepts. */
	(void)setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return take_fd(&sock);
}

static int keeper_get(int sock, struct hostpaths_state *ret_state, struct view *ret)
{
	struct request request = {.what = 'G'};
	int fds[2];
	size_t n = 2;

	if (fd_send(sock, &request, sizeof(request), NULL, 0) < 0)
		return -EPIPE;
	if (fd_recv(sock, ret_state, sizeof(*ret_state), fds, &n, MSG_WAITALL) != (ssize_t)sizeof(*ret_state) ||
	    n != 2) {
		while (n > 0)
			(void)close_fd(fds[--n]);
		return -EPIPE;
	}
	ret->userns = fds[0];
	ret->mntns = fds[1];
	return 0;
}

/* --- the keeper ------------------------------------------------------------------------------------- */

static void ATTR_NORETURN keeper_serve(int listener, int userns, int mntns, struct hostpaths_state state, int keep_ms)
{
	int64_t until = clock_ms(CLOCK_MONOTONIC) + keep_ms;

	for (;;) {
		struct pollfd poll_listener = {.fd = listener, .events = POLLIN};
		struct request request;
		_cleanup_close_ int sock = -1;
		const int fds[2] = {userns, mntns};
		struct timeval limit = {.tv_sec = ANSWER_MS / 1000};
		int64_t left = until - clock_ms(CLOCK_MONOTONIC);
		int r = poll(&poll_listener, 1, left > 0 ? (int)left : 0);

		if (r == 0 || (r < 0 && errno != EINTR))
			_exit(0);
		sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (sock < 0)
			continue;
		(void)setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		(void)setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (recv(sock, &request, sizeof(request), MSG_WAITALL) != (ssize_t)sizeof(request))
			continue;
		if (request.what == 'Q')
			_exit(0);
		/* Who only connects to see whether we live (sweep()) does not use the view. */
		until = clock_ms(CLOCK_MONOTONIC) + keep_ms;
		if (request.what == 'S')
			state = request.state;
		(void)fd_send(sock, &state, sizeof(state), fds, 2);
	}
}

struct keeper {
	struct slot *slot;
	const struct hostpaths *set;
	struct hostpaths_state state;
	int listener;
	int go;     /* read end: a byte comes when the maps are written */
	int report; /* written to when something fails; closed when the view stands */
	int keep_ms;
};

/* What boxes need of the view besides its parts: a place to build their root on, and the host's /proc, without
 * which the kernel lets nobody mount a new one. */
static int keeper_extras(int root, struct err **e)
{
	_cleanup_close_ int stage = rootfs_mount_point(root, VIEW_STAGE, false, e);
	_cleanup_close_ int proc = rootfs_mount_point(root, "proc", false, e);
	int r = stage < 0 || proc < 0 ? -EIO : mnt_bind(AT_FDCWD, "/proc", proc, MNT_RECURSIVE);

	if (stage < 0 || proc < 0)
		return r;
	return r < 0 ? err_errno(e, -r, "cannot mount the host's /proc for the view") : 0;
}

static void ATTR_NORETURN keeper_run(struct keeper *k)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_close_ int root = -1;
	int userns;
	int mntns;
	int null;
	sigset_t none;
	char byte;
	int r;

	(void)prctl(PR_SET_NAME, "igloo-view", 0, 0, 0);
	/* Its starter has blocked what ends a box; the end of the session ends the keeper as anything else. */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (read(k->go, &byte, 1) != 1)
		_exit(1);
	root = rootfs_stage(k->slot, &e);
	r = root < 0 ? root : view_fill(k->slot, k->set, root, &e);
	if (r == 0)
		r = keeper_extras(root, &e);
	if (r < 0)
		childreport_fail(k->report, e);
	userns = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	mntns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (userns < 0 || mntns < 0 || null < 0 || (r = mnt_pivot(root)) < 0) {
		(void)err_errno(&e, r < 0 ? -r : errno, "cannot make the slot's view");
		childreport_fail(k->report, e);
	}
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(null, fd);
	(void)setsid();
	(void)ns_drop_privileges();
	/* Everything else goes: the slot's lock above all, which would seem held. With the report pipe's end the
	 * supervisor learns that the view stands. */
	k->listener = fcntl(k->listener, F_DUPFD_CLOEXEC, 16);
	userns = fcntl(userns, F_DUPFD_CLOEXEC, 16);
	mntns = fcntl(mntns, F_DUPFD_CLOEXEC, 16);
	(void)dup2(k->listener, 3);
	(void)dup2(userns, 4);
	(void)dup2(mntns, 5);
	(void)take_fd(&root);
	fd_close_from(6);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	/* It stays for minutes, and has what its starter, which may have resolved, allocated and freed. */
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
	keeper_serve(3, 4, 5, k->state, k->keep_ms);
}

static int keep_ms(void)
{
	const char *text = getenv("IGLOO_VIEW_KEEP");
	char *end = NULL;
	long seconds = text && *text ? strtol(text, &end, 10) : KEEP_SECONDS;

	if ((end && *end) || seconds < 0 || seconds > 86400)
		seconds = KEEP_SECONDS;
	/* A short moment even for 0: the box that asked must get it. */
	return seconds == 0 ? 200 : (int)seconds * 1000;
}

/* Removes the sockets of keepers that are no more; a keeper itself cannot, in its view. The folder's lock is held, so
 * that none is between its bind() and its listen(). */
static void sweep(int dir)
{
	_cleanup_close_ int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *ent;

	if (!d)
		return;
	(void)take_fd(&copy);
	while ((ent = readdir(d))) {
		_cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		struct sockaddr_un address = {.sun_family = AF_UNIX};

		if (ent->d_name[0] == '.' || strlen(ent->d_name) > 64)
			continue;
		(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%.64s", dir, ent->d_name);
		if (sock >= 0 && connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		    errno == ECONNREFUSED)
			(void)unlinkat(dir, ent->d_name, 0);
	}
	(void)closedir(d);
}

void view_sweep(void)
{
	_cleanup_close_ int dir = dirs_open(DIRS_RUNTIME, "views", NULL);

	if (dir >= 0 && flock(dir, LOCK_EX | LOCK_NB) == 0)
		sweep(dir);
}

/* With the folder locked; the lock goes with `dir`. */
static int keeper_listen(const struct slot *slot, struct err **e)
{
	struct sockaddr_un address;
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int listener = -1;
	int r = keeper_address(slot, &address, &dir, e);

	if (r < 0)
		return r;
	while (flock(dir, LOCK_EX) < 0 && errno == EINTR)
		;
	sweep(dir);
	(void)unlink(address.sun_path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 128) < 0)
		return err_errno(e, errno, "cannot make the view's socket");
	return take_fd(&listener);
}

/* In a process between: makes the keeper, writes its maps, and ends when the view stands. */
static void ATTR_NORETURN keeper_make(struct keeper *k, int go, int report)
{
	_cleanup_err_ struct err *e = NULL;
	pid_t pid = ns_fork(CLONE_NEWUSER | CLONE_NEWNS, NULL);
	int r;

	if (pid == 0) {
		(void)close_fd(go);
		(void)close_fd(report);
		keeper_run(k);
	}
	r = pid < 0 ? probe_explain_userns(-pid, &e) : ns_write_maps(pid, BOX_UID, BOX_GID, &e);
	if (r == 0 && fd_write_all(go, "g", 1) < 0)
		r = err_set(&e, EPIPE, "the view's keeper ended early");
	if (r < 0 && pid > 0)
		(void)kill(pid, SIGKILL);
	if (r < 0)
		childreport_fail(report, e);
	_exit(0);
}

/* The keeper stays for longer than it may be of use to us: it is nobody's child, or a box that runs for days would have
 * a zombie. */
static int keeper_start(struct slot *slot, const struct hostpaths *set, const struct hostpaths_state *state,
			struct err **e)
{
	struct keeper k = {.slot = slot, .set = set, .state = *state, .keep_ms = keep_ms()};
	_cleanup_close_ int listener = keeper_listen(slot, e);
	int go[2] = {-1, -1};
	int report[2] = {-1, -1};
	pid_t pid;
	int r;

	if (listener < 0)
		return listener;
	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0) {
		r = err_errno(e, errno, "cannot make a pipe");
		goto out;
	}
	k.listener = listener;
	k.go = go[0];
	k.report = report[1];
	pid = fork();
	if (pid == 0) {
		(void)close_fd(report[0]);
		keeper_make(&k, go[1], fcntl(report[1], F_DUPFD_CLOEXEC, 3));
	}
	if (pid < 0) {
		r = err_errno(e, errno, "cannot fork");
		goto out;
	}
	/* Both have its write end until all is said. */
	report[1] = close_fd(report[1]);
	r = childreport_wait(report[0], NULL, e);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
out:
	for (int i = 0; i < 2; i++) {
		(void)close_fd(go[i]);
		(void)close_fd(report[i]);
	}
	return r;
}

/* --- users of the view -------------------------------------------------------------------------------- */

void view_close(struct view *view)
{
	view->userns = close_fd(view->userns);
	view->mntns = close_fd(view->mntns);
}

void view_drop(const struct slot *slot)
{
	_cleanup_close_ int sock = keeper_connect(slot);
	const struct request request = {.what = 'Q'};
	char byte;

	if (sock >= 0 && fd_send(sock, &request, sizeof(request), NULL, 0) == 0)
		(void)!recv(sock, &byte, 1, 0); /* its end closes when it is gone */
}

static bool same(const uint64_t a[4], const uint64_t b[4])
{
	return memcmp(a, b, sizeof(uint64_t) * 4) == 0;
}

/* Under the view's lock: the keeper may have been made or told meanwhile. */
static int open_locked(struct slot *slot, struct view *ret, struct strv *ret_vanished, struct err **e)
{
	_cleanup_close_ int sock = -1;
	_cleanup_hostpaths_ struct hostpaths set = {0};
	struct hostpaths_state now;
	struct hostpaths_state made;
	struct view view = VIEW_INIT;
	int r;

	hostpaths_state(slot->dir, &now);
	r = hostpaths_load(slot->dir, &set, e);
	if (r < 0)
		return r;
	hostpaths_vanished(&set, ret_vanished);
	if (ret_vanished->n > 0)
		return err_set(e, ESTALE, "%zu store paths are gone from the host", ret_vanished->n);
	sock = keeper_connect(slot);
	if (sock >= 0 && keeper_get(sock, &made, &view) == 0 && same(made.file, now.file)) {
		if (!same(made.store, now.store)) {
			const struct request request = {.what = 'S', .state = now};
			_cleanup_close_ int tell = keeper_connect(slot);

			(void)fd_send(tell, &request, sizeof(request), NULL, 0);
		}
		*ret = view;
		return 0;
	}
	view_close(&view);
	(void)close_fd(take_fd(&sock));
	view_drop(slot);
	r = keeper_start(slot, &set, &now, e);
	if (r < 0)
		return err_wrap(e, "cannot make the view of slot '%s'", slot->id);
	sock = keeper_connect(slot);
	if (sock < 0 || keeper_get(sock, &made, ret) < 0)
		return err_set(e, EPIPE, "the view's keeper does not answer");
	return 0;
}

int view_open(struct slot *slot, struct view *ret, struct strv *ret_vanished, struct err **e)
{
	_cleanup_close_ int sock = keeper_connect(slot);
	_cleanup_close_ int lock = -1;
	struct hostpaths_state now;
	struct hostpaths_state made;
	struct view view = VIEW_INIT;

	if (sock >= 0 && keeper_get(sock, &made, &view) == 0) {
		hostpaths_state(slot->dir, &now);
		if (same(made.file, now.file) && same(made.store, now.store)) {
			*ret = view;
			return 0;
		}
	}
	view_close(&view);
	lock = file_lock(slot->dir, "view.lock", false, true, e);
	if (lock < 0)
		return lock;
	return open_locked(slot, ret, ret_vanished, e);
}
