#include "kind/common/life.h"

#include "guest/image.h"
#include "kind/common/setup.h"
#include "kind/common/view.h"
#include "sys/childreport.h"
#include "sys/fd.h"
#include "sys/mnt.h"
#include "sys/ns.h"
#include "sys/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int life_prepare(struct slot *slot, struct strv *ret_vanished, struct err **e)
{
	struct view view = VIEW_INIT;
	_cleanup_hostpaths_ struct hostpaths set = {0};
	int r;

	if (mnt_has_new_api()) {
		r = view_open(slot, &view, ret_vanished, e);
		if (r == 0)
			view_close(&view);
		return r;
	}
	r = hostpaths_load(slot->dir, &set, e);
	if (r < 0)
		return r;
	hostpaths_vanished(&set, ret_vanished);
	return ret_vanished->n > 0 ? err_set(e, ESTALE, "%zu store paths are gone from the host", ret_vanished->n) : 0;
}

/* The guest as a file that nobody can write and that has no name: a hostile process that reaches it through
 * /proc finds nothing of the host's behind it. */
int life_guest(struct err **e)
{
	_cleanup_close_ int fd = memfd_create("igloo-guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "cannot make the guest's file");
	r = fd_write_all(fd, guest_image, guest_image_size);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	return r < 0 ? err_errno(e, -r, "cannot make the guest's file") : take_fd(&fd);
}

static int start_through_view(struct kind_box *box, struct setup *s, int report, struct err **e)
{
	int status;
	pid_t helper = fork();
	pid_t pid = 0;
	int r;

	if (helper == 0) {
		(void)close_fd(report);
		setup_through_view(s);
	}
	if (helper < 0)
		return err_errno(e, errno, "cannot fork");
	s->report = close_fd(s->report);
	gateway_forked(s->gateway);
	r = childreport_wait(report, &pid, e);
	while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	box->pid = pid;
	if (r == 0 && pid == 0)
		r = err_set(e, EPIPE, "the box ended while it was being made");
	return r;
}

static int start_alone(struct kind_box *box, struct setup *s, int report, struct err **e)
{
	int go[2];
	pid_t pid;
	int r;

	if (pipe2(go, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	s->go = go[0];
	pid = ns_fork(setup_namespaces() | CLONE_NEWUSER, NULL);
	if (pid == 0) {
		(void)close_fd(report);
		(void)close_fd(go[1]);
		setup_box(s, NULL);
	}
	s->report = close_fd(s->report);
	gateway_forked(s->gateway);
	(void)close_fd(go[0]);
	if (pid < 0) {
		(void)close_fd(go[1]);
		return probe_explain_userns(-pid, e);
	}
	box->pid = pid;
	r = ns_write_maps(pid, BOX_UID, BOX_GID, e);
	if (r == 0 && fd_write_all(go[1], "g", 1) < 0)
		r = err_set(e, EPIPE, "the box ended while it was being made");
	(void)close_fd(go[1]);
	return r < 0 ? r : childreport_wait(report, NULL, e);
}

/* Nobody who would serve the gateway: a box that asks for one is then not made. */
static int begin_gateway(const struct kind_box *box, struct setup *s, struct gateway *gateway, struct err **e)
{
	if (box->spec->network != BOX_NET_GATE)
		return 0;
	if (!box->gateway)
		return err_set(e, EINVAL, "the box's gateway has nobody to serve it");
	s->gateway = gateway;
	return gateway_prepare(gateway, box->spec, s->monitor && s->monitor->tap, e);
}

/* It waits in the socket pair since before the box started. */
static int take_agent(int from, int *ret, struct err **e)
{
	size_t n = 1;
	char byte;
	ssize_t k = fd_recv(from, &byte, 1, ret, &n, MSG_DONTWAIT);

	return k > 0 && n == 1 ? 0 : err_set(e, EPIPE, "cannot take over the socket of the box's SSH agent");
}

int life_start(struct kind_box *box, const struct monitor *monitor, struct err **e)
{
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_strv_ struct strv vanished = STRV_INIT;
	_cleanup_close_ int guest = life_guest(e);
	struct view view = VIEW_INIT;
	int link[2] = {-1, -1};
	int report[2] = {-1, -1};
	int agent[2] = {-1, -1};
	struct gateway gateway = GATEWAY_INIT;
	struct setup s = {.box = box, .monitor = monitor, .set = &set, .guest = guest, .agent = -1, .go = -1};
	int r;

	if (guest < 0)
		return guest;
	r = begin_gateway(box, &s, &gateway, e);
	if (r < 0) {
		gateway_release(&gateway);
		return r;
	}
	if (mnt_has_new_api()) {
		r = view_open(box->slot, &view, &vanished, e);
		s.view = &view;
	} else if (monitor) {
		r = err_set(e, ENOSYS, "this kind of box needs Linux 5.12 or later");
	} else {
		r = hostpaths_load(box->slot->dir, &set, e);
	}
	if (r == 0 && (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) < 0 || pipe2(report, O_CLOEXEC) < 0))
		r = err_errno(e, errno, "cannot make the guest's connection");
	if (r == 0 && box->agent && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, agent) < 0)
		r = err_errno(e, errno, "cannot make a socket for the box's SSH agent");
	if (r == 0) {
		s.link = link[1];
		s.agent = agent[1];
		s.report = report[1];
		r = s.view ? start_through_view(box, &s, report[0], e) : start_alone(box, &s, report[0], e);
		report[1] = s.report;
	}
	if (r == 0 && s.gateway)
		r = gateway_take(&gateway, box->gateway, e);
	if (r == 0 && box->agent)
		r = take_agent(agent[0], box->agent, e);
	if (r == 0) {
		box->link = take_fd(&link[0]);
		box->pidfd = (int)syscall(SYS_pidfd_open, box->pid, 0);
	}
	view_close(&view);
	gateway_release(&gateway);
	for (int i = 0; i < 2; i++) {
		(void)close_fd(link[i]);
		(void)close_fd(report[i]);
		(void)close_fd(agent[i]);
	}
	return r;
}

/* The asking is done over the guest's connection by the supervisor (box/supervise.c); here is only the end that
 * does not depend on the guest. */
int life_stop(struct kind_box *box, unsigned grace_ms, struct err **e)
{
	(void)grace_ms;
	(void)e;
	if (box->pid <= 0)
		return 0;
	/* The first process of a pid namespace takes all others with it, and waitpid() returns when they are gone. */
	(void)kill(box->pid, SIGKILL);
	while (waitpid(box->pid, NULL, 0) < 0 && errno == EINTR)
		;
	box->pid = 0;
	return 0;
}

void life_destroy(struct kind_box *box)
{
	(void)life_stop(box, 0, NULL);
	box->link = close_fd(box->link);
	box->pidfd = close_fd(box->pidfd);
}
