/* /init of a machine; vm.h and vmconf.h say what it is told.
 *
 * Theory of operation. The initrd has this program and the modules. When these are loaded it finds the port to the host
 * and waits for the configuration. That is where a machine may be kept and go on in another QEMU (vm.h): up to there it
 * is nobody's, and what it reads then is for the box that it is for now. First come the clock and the random numbers,
 * which other machines from the same memory have too; then the devices whose other side is the box's (vmlate.h).
 * Then it makes the machine, and forks the guest proper into PID and IPC namespaces of its own: so that one has no
 * other children than the box's processes, and its "everything" is the box. What is left for PID 1 of the machine is
 * the bridge between the port and the guest. When the guest ends, the machine is switched off.
 *
 * When something fails before that, the words go to the host as an ERR in place of HELLO, if the port is there, and to
 * the kernel's log. */
#include "base/str.h"
#include "guest/guest.h"
#include "guest/vm.h"
#include "guest/vmbind.h"
#include "guest/vmclock.h"
#include "guest/vmgiven.h"
#include "guest/vmlate.h"
#include "guest/vmlimits.h"
#include "guest/vmroot.h"
#include "guest/vmwords.h"
#include "sys/fd.h"
#include "wire/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PORT_MS = 10000, LAST_MS = 3000, FILES_SOFT = 1024, FILES_HARD = 524288 };

static struct vmconf conf;
static int port = -1;
static struct bridge *bridge;
static bool limits_told;

/* --- telling ------------------------------------------------------------------------------------------------------ */

static void put_words(struct str *s, const char *what, const char *about, int errnum)
{
	str_adds(s, what);
	str_adds(s, ": ");
	str_adds(s, about);
	str_adds(s, ": ");
	str_adds(s, strerror(errnum));
}

static void log_line(const struct str *words)
{
	_cleanup_close_ int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	_cleanup_str_ struct str s = STR_INIT;

	str_adds(&s, "<3>igloo: ");
	str_adds(&s, str_text(words));
	if (fd >= 0)
		(void)!write(fd, s.p, s.len);
}

/* On the console, which is all there is before the port. */
static void tell_stage(enum vmstage stage)
{
	static int console = -1;
	char line[] = VMSTAGE_LINE "0\n";

	if (console < 0)
		console = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	line[sizeof(line) - 3] = (char)('0' + stage);
	if (console >= 0)
		(void)!write(console, line, sizeof(line) - 1);
}

static void note(const char *what, int errnum)
{
	_cleanup_str_ struct str s = STR_INIT;

	put_words(&s, "not as it should be", what, errnum);
	log_line(&s);
}

/* Nothing else is sent by this side when there was no HELLO, so a whole frame goes out. */
static void tell_host(const struct str *words, int errnum)
{
	const struct msg_err m = {.errnum = (uint32_t)errnum, .stage = MSG_STAGE_MACHINE};
	uint8_t head[FRAME_HEADER + MSG_ERR_BYTES];
	struct pollfd p = {.fd = port, .events = POLLOUT};

	frame_put_header(head, 0, FRAME_ERR, 0, (uint32_t)(MSG_ERR_BYTES + words->len));
	msg_put_err(head + FRAME_HEADER, &m);
	if (poll(&p, 1, LAST_MS) == 1 && write(port, head, sizeof(head)) == sizeof(head))
		(void)!write(port, words->p, words->len);
	/* The host's side is to have read it before the machine is gone. */
	(void)poll(&p, 1, LAST_MS);
}

static void ATTR_NORETURN switch_off(void)
{
	sync();
	(void)reboot(RB_POWER_OFF);
	(void)reboot(RB_AUTOBOOT);
	for (;;)
		(void)pause();
}

static void ATTR_NORETURN fail(const char *what, const char *about, int r)
{
	struct str s = STR_INIT;

	put_words(&s, what, about, -r);
	log_line(&s);
	if (port >= 0)
		tell_host(&s, -r);
	switch_off();
}

/* --- configuration ------------------------------------------------------------------------------------------------ */

static char text[VMGIVEN_SEED * 2 + 64 + VMCONF_BYTES_MAX + 1];

static void parse_conf(const char *from, size_t n)
{
	const char *line = "";

	text[n] = '\0';
	if (vmconf_parse(text, &conf, &line) < 0)
		fail(from, line, -EINVAL);
}

static void read_conf(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

	if (n < 0)
		fail("cannot read", path, -errno);
	if (n == (ssize_t)sizeof(text))
		fail("cannot read", path, -EFBIG);
	parse_conf(path, (size_t)n);
}

static void set_clock(int64_t ns, bool back)
{
	const struct timespec to = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
	struct timespec now;

	if (back || (clock_gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec < to.tv_sec))
		(void)clock_settime(CLOCK_REALTIME, &to);
}

static void open_port(const char *name)
{
	const char *what = "";

	port = vmroot_port(name, PORT_MS, &what);
	if (port < 0)
		fail("the port to the host", what, port);
	tell_stage(VMSTAGE_PORT);
}

/* Until there is an answer this may take any time, and be a matter of several machines. */
static void take_conf(void)
{
	int n;
	int r;

	open_port(VM_PORT_NAME);
	n = vmgiven_read(port, text, sizeof(text) - 1);
	if (n < 0)
		fail("cannot read", "the configuration", n);
	parse_conf("the configuration", (size_t)n);
	if (conf.time > 0 && vmclock_is_off((uint64_t)conf.time, vmclock_now(), false))
		set_clock(conf.time, true);
	r = conf.seed ? vmgiven_seed(conf.seed) : 0;
	if (r < 0)
		fail("cannot seed", "the random numbers", r);
	if (conf.seed)
		explicit_bzero(conf.seed, strlen(conf.seed));
}

static void make_names(void)
{
	if (port < 0)
		open_port(conf.port);
	if (conf.clock > 0)
		set_clock(conf.clock * 1000000000, false);
	if (conf.hostname && sethostname(conf.hostname, strlen(conf.hostname)) < 0)
		fail("cannot set the host name", conf.hostname, -errno);
}

static void make_network(void)
{
	const char *what = "";
	int r = vmroot_network(&conf, &what);

	if (r < 0)
		fail("cannot set up the network", what, r);
}

static void make_machine(void)
{
	const char *what = "";
	int r;

	make_names();
	r = vmroot_mount(&conf, note, &what);
	if (r < 0)
		fail("cannot mount", what, r);
	r = vmroot_devices(&conf, PORT_MS, &what);
	if (r < 0)
		fail("the machine has no such device", what, r);
	tell_stage(VMSTAGE_ROOT);
	make_network();
	r = vmroot_enter(&what);
	if (r < 0)
		fail("cannot enter", what, r);
}

/* --- the guest and the bridge ------------------------------------------------------------------------------------- */

/* As a login on a distribution has them. */
static void limit_files(rlim_t soft)
{
	const struct rlimit files = {.rlim_cur = soft, .rlim_max = FILES_HARD};

	(void)setrlimit(RLIMIT_NOFILE, &files);
}

/* In a system of its own the guest's /proc is for it alone; all other mounts are the system's, as they come and go. */
static pid_t start_guest(int sock, bool in_system)
{
	char number[16];
	int spaces = CLONE_NEWPID | (in_system ? CLONE_NEWNS : CLONE_NEWIPC);
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD | spaces, 0, 0, 0, 0);

	if (pid != 0)
		return pid;
	if (in_system && mount(NULL, "/proc", NULL, MS_PRIVATE, NULL) < 0)
		_exit(1);
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		_exit(1);
	(void)snprintf(number, sizeof(number), "%d", sock);
	guest_run(number, conf.agent);
}

static void tell_limits(void)
{
	uint8_t payload[MSG_LIMITS_BYTES];
	struct msg_limits m;

	vmlimits_read(&m);
	if (limits_told || (m.oom_kills == 0 && m.forks_refused == 0))
		return;
	limits_told = true;
	msg_put_limits(payload, &m);
	(void)bridge_tell_remote(bridge, FRAME_LIMITS, payload, sizeof(payload));
}

static void on_main_end(void *user)
{
	tell_limits();
	vmroot_settle(&conf);
}

static void on_time(void *user, uint64_t ns, bool was_set)
{
	if (ns <= INT64_MAX && vmclock_is_off(ns, vmclock_now(), was_set))
		set_clock((int64_t)ns, true);
}

static void on_route(void *user, const uint8_t *payload)
{
	struct in_addr to;

	memcpy(&to, payload, sizeof(to));
	if (payload[4] <= 32 && conf.gateway.s_addr != 0)
		vmroot_add_route(&conf, to, payload[4]);
}

static void reap(int children)
{
	struct signalfd_siginfo info;

	(void)!read(children, &info, sizeof(info));
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static int step(struct bridge *b, int children, int timeout_ms)
{
	struct pollfd extra = {.fd = children, .events = POLLIN};
	int r = bridge_step(b, &extra, 1, timeout_ms);

	if (extra.revents)
		reap(children);
	return r;
}

static void serve(int sock, int children)
{
	const struct bridge_ops ops = {.on_main_end = on_main_end, .on_time = on_time, .on_route = on_route};
	struct bridge *b = bridge_new(BRIDGE_GUEST, sock, port, &ops);
	int64_t end;
	int r = 0;

	bridge = b;
	while (r == 0 && !bridge_local_ended(b) && !bridge_remote_ended(b))
		r = step(b, children, -1);
	tell_limits();
	for (end = guest_now_ms() + LAST_MS; r == 0 && !bridge_idle(b) && guest_now_ms() < end;)
		r = step(b, children, (int)(end - guest_now_ms()));
	bridge_free(b);
}

/* The guest, and the bridge to it until one of them ends. */
static void run_guest(bool in_system)
{
	const char *what = "";
	sigset_t set;
	int sock[2];
	int children;
	pid_t pid;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	children = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	limit_files(FILES_SOFT);
	if (children < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) < 0 ||
	    (pid = start_guest(sock[1], in_system)) < 0)
		fail("cannot start", "the guest", -errno);
	r = vmlimits_set(conf.pids, pid, &what);
	if (r < 0)
		fail("cannot limit the number of processes", what, r);
	limit_files(FILES_HARD);
	(void)close(sock[1]);
	serve(sock[0], children);
	vmroot_settle(&conf);
}

void vminit_run(void)
{
	const char *what = "";
	int null;
	int r;

	guest_set_signals();
	r = vmroot_begin(&what);
	null = open("/dev/null", O_RDWR);
	while (null >= 0 && null <= STDERR_FILENO)
		null = dup(null);
	(void)close_fd(null);
	if (r < 0)
		fail("cannot mount", what, r);
	tell_stage(VMSTAGE_INIT);
	r = vmroot_modules(note, &what);
	if (r < 0)
		fail("cannot load modules", what, r);
	tell_stage(VMSTAGE_MODULES);
	if (access("/igloo.conf", F_OK) == 0)
		read_conf("/igloo.conf");
	else
		take_conf();
	vmlate_probe();
	make_machine();
	run_guest(false);
	switch_off();
}

void vminit_serve(const char *path, const char *box)
{
	const char *what = "";
	int r;

	guest_set_signals();
	(void)prctl(PR_SET_DUMPABLE, 0);
	(void)prctl(PR_SET_NAME, "igloo-guest");
	read_conf(path);
	make_names();
	r = vmbind_all(&conf, box, &what);
	if (r < 0)
		fail("cannot show the box's", what, r);
	r = vmroot_devices(&conf, PORT_MS, &what);
	if (r < 0)
		fail("the machine has no such device", what, r);
	make_network();
	run_guest(true);
	_exit(0);
}
