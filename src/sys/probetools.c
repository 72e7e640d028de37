/* The facts about limits and about what else a box needs from its host. */
#include "sys/cgroup.h"
#include "sys/fd.h"
#include "sys/probe_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define NIX_DAEMON "/nix/var/nix/daemon-socket/socket"
#define VERSION_MS 3000

static void add_limit(struct probe_facts *facts, const char *id, const char *title, const struct cgroup_limits *limits)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct probe_fact *fact = probe_add(facts, id, title, "enforced by cgroups");
	int r = cgroup_plan(limits, &argv, &e);

	if (r == 0)
		return;
	if (r > 0) {
		free(fact->what);
		fact->what = xstrdup("enforced by cgroups, in a scope of the user's systemd");
		return;
	}
	probe_lacks(fact, PROBE_NO, "%s", err_message(e));
	if (str_has(err_hints(e)))
		probe_fix(fact, "%s", err_hints(e));
}

static void add_limits(struct probe_facts *facts)
{
	const struct cgroup_limits cpu = {.cpu_milli = 1000};
	const struct cgroup_limits memory = {.memory = 1 << 30};
	const struct cgroup_limits pids = {.pids = 1000};

	add_limit(facts, "limit_cpu", "limit of processors", &cpu);
	add_limit(facts, "limit_memory", "limit of memory", &memory);
	add_limit(facts, "limit_pids", "limit of processes", &pids);
}

/* The absolute path of a program in $PATH, or NULL. The caller frees. */
static char *find_program(const char *name)
{
	const char *path = getenv("PATH");
	_cleanup_strv_ struct strv dirs = STRV_INIT;

	strv_split(&dirs, path ? path : "/usr/local/bin:/usr/bin:/bin", ':');
	for (size_t i = 0; i < dirs.n; i++) {
		_cleanup_free_ char *file = xasprintf("%s/%s", dirs.v[i], name);
		struct stat st;

		if (file[0] == '/' && stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0)
			return take_ptr(file);
	}
	return NULL;
}

static void exec_version(const char *program, int out)
{
	const char *const argv[] = {program, "--version", NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(null, 2) < 0)
		_exit(126);
	(void)execv(program, (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Adds the first line that `program --version` prints; nothing when it prints none in time. */
static void add_version(struct str *s, const char *program)
{
	_cleanup_close_ int in = -1;
	_cleanup_close_ int out = -1;
	char line[128];
	const char *end;
	struct pollfd ready = {.events = POLLIN};
	ssize_t n = 0;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	in = fds[0];
	out = fds[1];
	pid = fork();
	if (pid == 0)
		exec_version(program, out);
	(void)close_fd(take_fd(&out));
	ready.fd = in;
	if (pid > 0 && poll(&ready, 1, VERSION_MS) > 0)
		n = read(in, line, sizeof(line));
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;
	if (end)
		str_add_printable(s, line, (size_t)(end - line), false);
}

static void add_program_text(struct str *s, const char *path)
{
	str_add_printable(s, path, strlen(path), false);
}

static void add_nix(struct probe_facts *facts)
{
	_cleanup_free_ char *program = find_program("nix");
	_cleanup_free_ char *real = program ? realpath(program, NULL) : NULL;
	_cleanup_str_ struct str what = STR_INIT;
	struct probe_fact *fact;
	bool answers;

	if (!program) {
		fact = probe_add(facts, "nix", "Nix", "nix in PATH");
		probe_lacks(fact, PROBE_NO, "there is no nix in PATH, so no environment can be evaluated");
		probe_fix(fact, "install Nix (https://nixos.org/download), or a distribution's: apt install nix-bin");
		return;
	}
	add_version(&what, real ? real : program);
	answers = what.len;
	if (!answers)
		str_adds(&what, "nix");
	str_adds(&what, " at ");
	add_program_text(&what, program);
	if (real && str_starts(real, "/nix/store/"))
		str_adds(&what, ", from the host's store with its closure");
	else
		str_adds(&what, ", the distribution's, with the distribution's libraries");
	fact = probe_add(facts, "nix", "Nix", "%s", what.p);
	if (answers)
		return;
	probe_lacks(fact, PROBE_PARTLY, "it does not answer `nix --version` for this user");
	probe_fix(fact, "run nix --version yourself: it says what it lacks");
}

static void add_store(struct probe_facts *facts)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = NIX_DAEMON};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct probe_fact *fact = probe_add(facts, "nix_store", "host's Nix store",
					    "/nix/store, its paths can be mounted");

	if (access("/nix/store", R_OK | X_OK) < 0) {
		probe_lacks(fact, PROBE_NO, "/nix/store: %s; boxes fetch or build what they need, once per slot",
			    strerror(errno));
		return;
	}
	fact = probe_add(facts, "nix_daemon", "host's Nix daemon", "answers the host (boxes never reach it)");
	if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		probe_lacks(fact, PROBE_NO, NIX_DAEMON ": %s; fine where the host's Nix is of a single user",
			    strerror(errno));
}

static void add_git(struct probe_facts *facts)
{
	_cleanup_free_ char *program = find_program("git");
	_cleanup_str_ struct str what = STR_INIT;
	struct probe_fact *fact;

	if (program) {
		add_version(&what, program);
		str_adds(&what, what.len ? " at " : "git at ");
		add_program_text(&what, program);
	}
	fact = probe_add(facts, "git", "git", "%s", program ? what.p : "git in PATH");
	if (program)
		return;
	probe_lacks(fact, PROBE_NO, "there is no git in PATH, so --clone, diff and merge do not work");
	probe_fix(fact, "install git: apt install git, dnf install git, or nix profile install nixpkgs#git");
}

/* Makes an empty virtual machine, which goes with its descriptor. 0 or an errno. A device that opens proves
 * nothing: containers pass it on, and a processor without virtualization fails only here. */
static int try_kvm(int fd)
{
	_cleanup_close_ int vm = -1;

	if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return errno ? errno : ENODEV;
	vm = ioctl(fd, KVM_CREATE_VM, 0);
	return vm < 0 ? errno : 0;
}

static void add_kvm(struct probe_facts *facts)
{
	_cleanup_close_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int errnum = fd < 0 ? errno : try_kvm(fd);
	struct probe_fact *fact = probe_add(facts, "kvm", "KVM", "/dev/kvm makes virtual machines (none was run)");

	if (!errnum)
		return;
	probe_lacks(fact, PROBE_NO, "/dev/kvm%s: %s; needed for boxes of kind vm only",
		    fd < 0 ? "" : " makes no machine", strerror(errnum));
	if (fd < 0 && (errnum == EACCES || errnum == EPERM))
		probe_fix(fact, "sudo usermod -aG kvm $USER, then log in anew");
	else
		probe_fix(
			fact,
			"load the module (sudo modprobe kvm_intel or kvm_amd), with virtualization switched on in the "
			"firmware, or nested virtualization in the machine around this one");
}

/* Whether a user's boxes outlive the last log-out: loginctl(1). */
static void add_linger(struct probe_facts *facts)
{
	struct passwd *user = getpwuid(geteuid());
	_cleanup_free_ char *file = NULL;
	struct probe_fact *fact;

	if (geteuid() == 0 || access("/run/systemd/system", F_OK) < 0 || !user || strchr(user->pw_name, '/'))
		return;
	file = xasprintf("/var/lib/systemd/linger/%s", user->pw_name);
	fact = probe_add(facts, "linger", "boxes outlive log-out", "lingering is on for this user");
	if (access(file, F_OK) == 0)
		return;
	probe_lacks(fact, PROBE_NO, "systemd may end this user's processes at the last log-out");
	probe_fix(fact, "loginctl enable-linger");
}

void probe_tools(struct probe_facts *facts)
{
	add_limits(facts);
	add_nix(facts);
	add_store(facts);
	add_git(facts);
	add_kvm(facts);
	add_linger(facts);
}
