/* Theory of operation. QEMU is started with a machine that boots, or with `-incoming` and one that goes on from what
 * was kept. The second may fail in many ways: it is of another QEMU or processor than its key says, it was cut short,
 * the kernel in it is stuck. Whatever it is, before HELLO nothing has been run for the box, so QEMU is ended and
 * started once more, to boot; nobody above notices but for the time and a STAGE. What both have, the tap, the disk and
 * the configuration, is kept here until HELLO. */
#include "guest/vmhost_impl.h"

#include "guest/guest.h"
#include "guest/image.h"
#include "guest/vmchild.h"
#include "guest/vmclock.h"
#include "guest/vmfsd.h"
#include "guest/vmgiven.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	/* descriptors of QEMU's: port, tap, monitor, virtiofsd, disks, what was kept */
	INHERITED = VMHOST_STATE_FD - VMHOST_PORT_FD + 1,
	WARM_MS = 40000, /* in all; a quarter of processor time, or a third of doing nothing (vmlive.h) */
};

/* Returns a connection to it, -1 without one, or another -errno. */
static int start_fs(struct vmhost *h, char **argv, int output)
{
	_cleanup_close_ int listener = -1;
	_cleanup_close_ int fd = argv ? vmfsd_connect(&listener) : -1;

	if (!argv || fd < 0)
		return fd;
	h->fs = fork();
	if (h->fs == 0) {
		vmchild_run(argv, environ, &listener, 1, output);
	}
	return h->fs < 0 ? -errno : take_fd(&fd);
}

static char **qemu_argv(const struct vmhost *h)
{
	static char option[] = "-incoming";
	static char from[] = "fd:9";
	size_t n = 0;
	char **argv;

	_Static_assert((int)VMHOST_STATE_FD == 9, "by its number");
	while (h->options.argv[n])
		n++;
	argv = xcalloc(n + 3, sizeof(*argv));
	memcpy(argv, h->options.argv, n * sizeof(*argv));
	if (vmstart_is_warm(h)) {
		argv[n++] = option;
		argv[n] = from;
	}
	return argv;
}

static int start_qemu(struct vmhost *h, int fs, const int output[2], int *ret_port)
{
	int port[2] = {-1, -1};
	int monitor[2] = {-1, -1};
	char **argv;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, port) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor) < 0)
		return -errno;
	argv = qemu_argv(h);
	h->qemu = fork();
	if (h->qemu == 0) {
		int fds[INHERITED] = {port[1], h->options.tap ? VMHOST_TAP_FD : -1, monitor[1], fs};

		for (int i = 0; i < VMHOST_DISKS_MAX; i++)
			fds[VMHOST_DISK_FD - VMHOST_PORT_FD + i] = i < h->options.disks ? VMHOST_DISK_FD + i : -1;
		fds[INHERITED - 1] = h->state;
		vmchild_run(argv, h->options.env, fds, INHERITED, output[1]);
	}
	free(argv);
	if (h->qemu < 0)
		return -errno;
	(void)close(monitor[1]);
	(void)close(port[1]);
	(void)close(output[1]);
	h->ended = false;
	h->words = (struct vmwords){.stage = VMSTAGE_KERNEL};
	h->monitor = (struct vmqmp){.fd = -1};
	vmqmp_begin(&h->monitor, monitor[0]);
	vmlive_progress(&h->live, guest_now_ms(), 0);
	h->live.whole = vmstart_is_warm(h) ? WARM_MS : h->options.hello_ms;
	h->hello_by = h->live.whole > 0 ? guest_now_ms() + h->live.whole : 0;
	h->output = output[0];
	*ret_port = port[0];
	return 0;
}

/* The time and the random numbers are of now. */
static int begin_giving(struct vmhost *h, int port)
{
	int r;

	h->port = close_fd(h->port);
	str_clear(&h->given);
	h->given_at = 0;
	if (!h->options.conf)
		return 0;
	r = vmgiven_make(h->options.conf, &h->given);
	if (r < 0)
		return r;
	h->port = fcntl(port, F_DUPFD_CLOEXEC, 3);
	if (h->port < 0)
		return -errno;
	vmstart_give(h);
	return 0;
}

static void end_giving(struct vmhost *h)
{
	h->port = close_fd(h->port);
	if (h->given.p)
		explicit_bzero(h->given.p, h->given.cap);
	str_release(&h->given);
}

void vmstart_give(struct vmhost *h)
{
	while (h->given_at < h->given.len) {
		ssize_t n = send(h->port, h->given.p + h->given_at, h->given.len - h->given_at,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			break;
		h->given_at += (size_t)n;
	}
	end_giving(h);
}

int vmstart_begin(struct vmhost *h, char **fs_argv)
{
	_cleanup_close_ int fs = -1;
	int output[2];
	sigset_t set;
	int port = -1;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	h->children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (h->children < 0 || pipe2(output, O_CLOEXEC) < 0)
		return -errno;
	h->state = h->options.warm ? open(h->options.warm, O_RDONLY | O_CLOEXEC) : -1;
	if (h->state >= 0 && lseek(h->state, VMHOST_STATE_OFFSET, SEEK_SET) < 0)
		h->state = close_fd(h->state);
	fs = start_fs(h, fs_argv, output[1]);
	if (fs_argv && fs < 0)
		return fs;
	r = start_qemu(h, fs, output, &port);
	if (r < 0)
		return r;
	h->clock = vmclock_open();
	h->bridge = bridge_new(BRIDGE_HOST, GUEST_LINK_FD, port, &h->ops);
	if (vmstart_is_warm(h))
		bridge_may_replace(h->bridge);
	else
		vmstart_done(h);
	return begin_giving(h, port);
}

int vmstart_cold(struct vmhost *h, const char *why)
{
	uint8_t payload[1 + FRAME_WORDS_MAX] = {VMSTAGE_COLD};
	size_t n = strnlen(why, FRAME_WORDS_MAX);
	int output[2];
	int port = -1;
	int r;

	memcpy(payload + 1, why, n);
	(void)bridge_tell(h->bridge, FRAME_STAGE, payload, 1 + n);
	if (!h->ended) {
		(void)kill(h->qemu, SIGKILL);
		while (waitpid(h->qemu, NULL, 0) < 0 && errno == EINTR)
			;
	}
	h->monitor.fd = close_fd(h->monitor.fd);
	h->output = close_fd(h->output);
	h->state = close_fd(h->state);
	r = pipe2(output, O_CLOEXEC) < 0 ? -errno : start_qemu(h, -1, output, &port);
	if (r < 0)
		return r;
	bridge_replace(h->bridge, port);
	vmstart_done(h);
	return begin_giving(h, port);
}

void vmstart_done(struct vmhost *h)
{
	h->state = close_fd(h->state);
	if (h->options.tap)
		(void)close(VMHOST_TAP_FD);
	h->options.tap = false;
}
