/* PID 1 of a box that is a machine; vm.h says what it does.
 *
 * Theory of operation. What the supervisor knows of a box is PID 1's connection. Here that is a bridge to the guest in
 * the machine, and QEMU is the only other process, but for a virtiofsd that may have the box's files for it. One loop:
 * the bridge's descriptors, QEMU's output and the machine's console (one pipe), its monitor, its end, the host's clock.
 *
 * A machine that is asked to end (SHUTDOWN) ends its processes, then its file systems, then itself; when that takes
 * longer than it may, QEMU is told to end by its monitor, and then killed. The kernel's panic ends it at once: panic=-1
 * and -no-reboot. */
#include "guest/guest.h"
#include "guest/vm.h"
#include "guest/vmclock.h"
#include "guest/vmfds.h"
#include "guest/vmfsd.h"
#include "guest/vmhost_impl.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	LAST_MS = 5000,
	WORDS_MS = 1000,
	LOOK_MS = 1000,   /* at a machine that starts */
	SETTLE_MS = 6000, /* after SHUTDOWN's grace: for its file systems, and to switch itself off */
	QUIT_MS = 2000,   /* for QEMU to end when it was told to */
	EXIT_BROKEN = 1,
	AFTER_MS = 500, /* for QEMU's end to be seen after that of virtiofsd, or of its port */
};

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void tell_stage(struct vmhost *h)
{
	const bool goes_on = vmstart_is_warm(h) && h->words.stage == VMSTAGE_KERNEL;
	const uint8_t stage = (uint8_t)(goes_on ? VMSTAGE_WARM : h->words.stage);

	(void)bridge_tell(h->bridge, FRAME_STAGE, &stage, sizeof(stage));
}

static void take_output(struct vmhost *h)
{
	char bytes[4096];
	ssize_t n = read(h->output, bytes, sizeof(bytes));

	if (n <= 0) {
		h->output = n < 0 && errno == EINTR ? h->output : close_fd(h->output);
		return;
	}
	if (vmwords_add(&h->words, bytes, (size_t)n) && !bridge_greeted(h->bridge))
		tell_stage(h);
	vmlive_progress(&h->live, guest_now_ms(), vmlive_cpu_ms(h->qemu));
}

static void take_children(struct vmhost *h)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	(void)!read(h->children, &info, sizeof(info));
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (h->fs > 0 && pid == h->fs) {
			h->fs = 0;
			h->fs_status = status;
			h->fs_failed = !h->ended;
		}
		if (pid != h->qemu)
			continue;
		h->ended = true;
		h->status = status;
	}
}

static void put_time(uint8_t payload[MSG_TIME_BYTES], bool was_set)
{
	uint64_t now = vmclock_now();

	frame_put32(payload, (uint32_t)now);
	frame_put32(payload + 4, (uint32_t)(now >> 32));
	payload[8] = was_set;
}

/* The machine's clock, from its firmware's, has whole seconds. */
static void on_hello(void *user)
{
	struct vmhost *h = user;
	uint8_t payload[MSG_TIME_BYTES];

	if (vmstart_is_warm(h))
		vmstart_done(h);
	if (h->options.agent)
		bridge_accept(h->bridge);
	put_time(payload, true);
	(void)bridge_tell_remote_first(h->bridge, FRAME_TIME, payload, sizeof(payload));
}

static void on_shutdown(void *user, uint32_t grace_ms)
{
	struct vmhost *h = user;

	if (h->stop_by > 0)
		return;
	h->asked_at = guest_now_ms();
	h->stop_by = h->asked_at + grace_ms + SETTLE_MS;
}

static void take_clock(struct vmhost *h)
{
	enum vmclock_news news = vmclock_take(h->clock);
	uint8_t payload[MSG_TIME_BYTES];

	if (news == VMCLOCK_NOTHING || !bridge_greeted(h->bridge) || bridge_remote_ended(h->bridge))
		return;
	put_time(payload, news == VMCLOCK_SET);
	(void)bridge_tell_remote(h->bridge, FRAME_TIME, payload, sizeof(payload));
}

int vmhost_step(struct vmhost *h, int timeout_ms)
{
	struct pollfd extra[] = {{.fd = h->children, .events = POLLIN},
				 {.fd = h->output, .events = POLLIN},
				 {.fd = h->clock, .events = POLLIN},
				 {.fd = h->monitor.fd, .events = POLLIN},
				 {.fd = h->port, .events = POLLOUT}};
	int r = bridge_step(h->bridge, extra, ARRAY_SIZE(extra), timeout_ms);

	if (extra[1].revents)
		take_output(h);
	if (extra[0].revents)
		take_children(h);
	if (extra[2].revents)
		take_clock(h);
	if (extra[3].revents)
		vmqmp_read(&h->monitor);
	if (extra[4].revents && h->port >= 0)
		vmstart_give(h);
	return r;
}

/* QEMU listens there as soon as it has started. */
static int dial_socket(const char *path)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (!path || fd < 0 || strlen(path) >= sizeof(to.sun_path))
		return -1;
	memcpy(to.sun_path, path, strlen(path));
	return connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ? -1 : take_fd(&fd);
}

static int dial_screen(void *user)
{
	const struct vmhost *h = user;

	return dial_socket(h->options.screen);
}

static int dial_agent(void *user)
{
	const struct vmhost *h = user;

	return dial_socket(h->options.agent);
}

void vmhost_leave(int code)
{
	guest_kill_all(SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	_exit(code);
}

void vmhost_say_err(struct vmhost *h, int errnum, enum msg_stage stage, const char *words, size_t n)
{
	const struct msg_err m = {.errnum = (uint32_t)errnum, .stage = stage};
	uint8_t payload[MSG_ERR_BYTES + FRAME_WORDS_MAX];

	msg_put_err(payload, &m);
	if (n > 0)
		memcpy(payload + MSG_ERR_BYTES, words, n);
	bridge_say_last(h->bridge, FRAME_ERR, payload, MSG_ERR_BYTES + n, WORDS_MS);
}

void vmhost_add_last_words(const struct vmhost *h, struct str *s)
{
	size_t n;
	const char *line = vmwords_last_line(&h->words, &n);

	if (n == 0 || strncmp(line, VMSTAGE_LINE, sizeof(VMSTAGE_LINE) - 1) == 0)
		return;
	str_adds(s, s->len > 0 ? ": " : "");
	str_add(s, line, n);
}

void vmhost_add_end(struct str *s, int status)
{
	str_addf(s, WIFSIGNALED(status) ? "killed by signal %d" : "ended with code %d",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* QEMU has ended, and there is no guest to speak with (any more): why. */
void vmhost_say_ended(struct vmhost *h)
{
	struct str s = STR_INIT;

	while (h->output >= 0 && is_readable(h->output))
		take_output(h);
	if (h->fs_failed)
		str_adds(&s, "virtiofsd, by which it has its files: ");
	if (h->fs_failed)
		vmhost_add_end(&s, h->fs_status);
	else if (h->words.panic[0])
		str_addf(&s, "its kernel panicked: %s", h->words.panic);
	else if (h->status == 0) /* -no-reboot */
		str_adds(&s, "its kernel came to an end before it had started");
	else
		vmhost_add_end(&s, h->status);
	if (!h->words.panic[0] && !(h->fs_failed && WIFSIGNALED(h->fs_status)))
		vmhost_add_last_words(h, &s);
	vmhost_say_err(h, EIO, MSG_STAGE_MACHINE, str_text(&s), s.len);
	str_release(&s);
}

/* It does not get as far as HELLO. */
static void ATTR_NORETURN give_up(struct vmhost *h, const char *why)
{
	static const char *const stages[VMSTAGES] = {"QEMU was started", "its init was started",
						     "its modules were loaded", "its port was opened",
						     "its file systems were mounted"};
	struct str s = STR_INIT;

	str_addf(&s, "%s after %s", why, stages[h->words.stage]);
	vmhost_add_last_words(h, &s);
	vmhost_say_err(h, ETIMEDOUT, MSG_STAGE_MACHINE, str_text(&s), s.len);
	vmhost_leave(0);
}

static const char *stuck(const struct vmhost *h, int64_t now)
{
	static char spins[64];

	switch (vmlive_check(&h->live, now, vmlive_cpu_ms(h->qemu))) {
	case VMLIVE_SPINS:
		(void)snprintf(spins, sizeof(spins), "%d s of processor time went by",
			       (int)(vmlive_spin_ms(&h->live) / 1000));
		return spins;
	case VMLIVE_IDLES:
		return "it has done nothing for long";
	default:
		return h->hello_by > 0 && now >= h->hello_by ? "it took too long" : NULL;
	}
}

/* What is looked at while it starts. */
int vmhost_watch(struct vmhost *h)
{
	int64_t now = guest_now_ms();
	const char *why = stuck(h, now);

	if (why && vmstart_is_warm(h))
		return vmstart_cold(h, why);
	if (why)
		give_up(h, why);
	if (now - h->told_at >= LOOK_MS) {
		h->told_at = now;
		tell_stage(h);
	}
	return 0;
}

/* QEMU has ended, or the machine said why it will not do, before HELLO. */
static int start_over(struct vmhost *h)
{
	struct str why = STR_INIT;
	int64_t end = guest_now_ms() + AFTER_MS;
	int r = 0;

	/* The end of its port may be seen before its own. */
	while (r == 0 && !h->ended && guest_now_ms() < end)
		r = vmhost_step(h, (int)(end - guest_now_ms()));
	while (h->output >= 0 && is_readable(h->output))
		take_output(h);
	if (h->ended && h->status == 0)
		str_adds(&why, "its kernel came to an end");
	else if (h->ended)
		vmhost_add_end(&why, h->status);
	else
		str_adds(&why, "it gave up");
	vmhost_add_last_words(h, &why);
	if (r == 0)
		r = vmstart_cold(h, str_text(&why));
	str_release(&why);
	return r;
}

/* QEMU itself has stopped the machine, as it does when a disk's file cannot be written. Nobody would go on. */
static void ATTR_NORETURN say_stopped(struct vmhost *h)
{
	static const char disk[] = "QEMU stopped it: a disk cannot be written, because no space is left on this host";
	static const char other[] = "QEMU stopped it: a device of it failed";
	const char *words = h->monitor.no_space ? disk : other;

	vmhost_say_err(h, h->monitor.no_space ? ENOSPC : EIO, MSG_STAGE_MACHINE, words, strlen(words));
	vmhost_leave(0);
}

/* The time of one step of the stop is over. */
static void stop_harder(struct vmhost *h)
{
	if (h->stop == MSG_STOPPED_ITSELF)
		vmqmp_quit(&h->monitor);
	else
		(void)kill(h->qemu, SIGKILL);
	h->stop = h->stop == MSG_STOPPED_ITSELF ? MSG_STOPPED_TOLD : MSG_STOPPED_KILLED;
	h->stop_by = guest_now_ms() + QUIT_MS;
}

static void say_how_stopped(struct vmhost *h)
{
	const struct msg_stopped m = {.how = h->stop, .ms = (uint32_t)(guest_now_ms() - h->asked_at)};
	uint8_t payload[MSG_STOPPED_BYTES];

	msg_put_stopped(payload, &m);
	bridge_say_last(h->bridge, FRAME_STOPPED, payload, sizeof(payload), WORDS_MS);
}

/* QEMU has ended: what came before that is still passed on. */
static void ATTR_NORETURN finish(struct vmhost *h)
{
	int64_t end = guest_now_ms() + LAST_MS;
	int r = 0;

	while (r == 0 && !bridge_local_ended(h->bridge) && guest_now_ms() < end &&
	       (!bridge_remote_ended(h->bridge) || !bridge_idle(h->bridge)))
		r = vmhost_step(h, (int)(end - guest_now_ms()));
	while (h->output >= 0 && is_readable(h->output))
		take_output(h);
	if (!bridge_local_ended(h->bridge)) {
		if (h->stop_by > 0)
			say_how_stopped(h);
		/* A machine that was switched off ends with 0. */
		if (h->fs_failed || (h->stop == MSG_STOPPED_ITSELF &&
				     (!bridge_greeted(h->bridge) || h->status != 0 || h->words.panic[0])))
			vmhost_say_ended(h);
	}
	vmhost_leave(r < 0 ? EXIT_BROKEN : 0);
}

/* Its port is gone, and soon so is QEMU itself. */
static int end_qemu(struct vmhost *h)
{
	int r = 0;

	vmqmp_quit(&h->monitor);
	for (int64_t end = guest_now_ms() + LAST_MS; r == 0 && !h->ended && guest_now_ms() < end;)
		r = vmhost_step(h, (int)(end - guest_now_ms()));
	(void)kill(h->qemu, SIGKILL);
	while (r == 0 && !h->ended)
		r = vmhost_step(h, -1);
	return r;
}

/* QEMU without its files: nothing in the machine would come to an end. When both end, virtiofsd may be seen first. */
static int end_without_fs(struct vmhost *h)
{
	int64_t end = guest_now_ms() + AFTER_MS;
	int r = 0;

	while (r == 0 && !h->ended && guest_now_ms() < end)
		r = vmhost_step(h, (int)(end - guest_now_ms()));
	if (h->ended && h->status == 0)
		h->fs_failed = false;
	if (!h->ended)
		(void)kill(h->qemu, SIGKILL);
	while (r == 0 && !h->ended)
		r = vmhost_step(h, -1);
	return r;
}

static int run(struct vmhost *h)
{
	int r = 0;

	while (r == 0) {
		bool lost = vmstart_is_warm(h) && (h->ended || bridge_remote_lost(h->bridge));
		bool starts = !bridge_greeted(h->bridge);
		int64_t left = h->stop_by > 0 ? h->stop_by - guest_now_ms() : -1;

		if (lost && h->stop_by == 0) {
			r = start_over(h);
			continue;
		}
		if (h->ended)
			break;
		if (h->stop_by > 0 && left <= 0) {
			stop_harder(h);
			continue;
		}
		if (starts && (left < 0 || left > LOOK_MS))
			left = LOOK_MS;
		r = vmhost_step(h, (int)left);
		if (bridge_local_ended(h->bridge))
			vmhost_leave(0);
		if (r == 0 && h->fs_failed) {
			r = end_without_fs(h);
			continue;
		}
		if (r == 0 && starts && !bridge_greeted(h->bridge) && !h->ended)
			r = vmhost_watch(h);
		if (h->monitor.stopped && h->stop_by == 0 && !h->ended)
			say_stopped(h);
		if (r == 0 && bridge_remote_ended(h->bridge) && !h->ended)
			r = end_qemu(h);
	}
	return r;
}

void vmhost_run(const char *fd, char **argv)
{
	struct vmhost *h = xcalloc(1, sizeof(*h));
	int r;

	guest_set_signals();
	vmoptions_take(argv, &h->options);
	h->ops = (struct bridge_ops){.on_hello = on_hello,
				     .on_shutdown = on_shutdown,
				     .on_own_dial = dial_screen,
				     .on_accept = dial_agent,
				     .user = h};
	h->port = -1;
	vmfds_keep(fd, &h->options);
	r = vmstart_begin(h, vmfsd_take_argv(&h->options.argv));
	if (r < 0)
		guest_die("cannot start QEMU");
	if (h->options.keep)
		vmkeep_run(h);
	r = run(h);
	if (r < 0) {
		vmhost_say_err(h, EPROTO, MSG_STAGE_PROTOCOL, NULL, 0);
		vmhost_leave(EXIT_BROKEN);
	}
	finish(h);
}
