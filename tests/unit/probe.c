/* What this machine can enforce. Each refusal is brought about for real, in a child: by a limit in a user
 * namespace, a chroot, a system call filter, a covered /proc. Needs root for most, and says so. */
#include "test.h"

#include "sys/probe.h"
#include "sys/probe_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CANNOT 77

/* Runs f in a child; true when it returned 0, or could not be set up here. */
static bool in_child(int (*f)(void))
{
	int status = -1;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int r = f();

		(void)fflush(stdout);
		_exit(r);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return false;
	if (WEXITSTATUS(status) == CANNOT)
		printf("# skipped: this user cannot bring that about\n");
	return WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CANNOT;
}

/* The fact must be in that state with a reason and a remedy that hold these words. */
static bool fact_is(const char *id, enum probe_state state, const char *why, const char *fix)
{
	_cleanup_probe_ struct probe_facts facts = {NULL, 0};
	const struct probe_fact *fact;

	probe_all(&facts);
	fact = probe_find(&facts, id);
	if (!fact)
		return false;
	printf("# %s: %s (%s) %s\n", id, probe_state_name(fact->state), fact->why ? fact->why : "-",
	       fact->fix ? fact->fix : "-");
	if (fact->state != state || probe_sandbox_runs(&facts) != (state == PROBE_YES))
		return false;
	return (!why || (fact->why && strstr(fact->why, why))) && (!fix || (fact->fix && strstr(fact->fix, fix)));
}

TEST(every_fact_is_whole)
{
	_cleanup_probe_ struct probe_facts facts = {NULL, 0};

	probe_all(&facts);
	CHECK(facts.n > 10);
	for (size_t i = 0; i < facts.n; i++) {
		const struct probe_fact *f = &facts.v[i];

		printf("# %-12s %-7s %s%s%s\n", f->id, probe_state_name(f->state), f->what, f->why ? " - " : "",
		       f->why ? f->why : "");
		CHECK(str_has(f->what) && str_has(f->title));
		CHECK((f->state == PROBE_YES) == !f->why);
		CHECK(f->state != PROBE_YES || !f->fix);
		CHECK(probe_find(&facts, f->id) == f);
	}
	CHECK(!probe_find(&facts, "nothing"));
	CHECK(probe_find(&facts, "userns")->needed && !probe_find(&facts, "kvm")->needed);
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	(void)close_fd(fd);
	return ok;
}

static bool map_root(void)
{
	return write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", "0 0 1") &&
	       write_file("/proc/self/gid_map", "0 0 1");
}

static int switched_off(void)
{
	_cleanup_err_ struct err *e = NULL;

	if (unshare(CLONE_NEWUSER) < 0 || !map_root() || !write_file("/proc/sys/user/max_user_namespaces", "0"))
		return CANNOT;
	if (probe_explain_userns(ENOSPC, &e) != -ENOSPC || !strstr(err_message(e), "switched off") ||
	    !strstr(err_hints(e), "sudo sysctl -w user.max_user_namespaces="))
		return 1;
	printf("# %s\n# %s\n", err_message(e), err_hints(e));
	return !fact_is("userns", PROBE_NO, "user.max_user_namespaces is 0",
			"sysctl -w user.max_user_namespaces=65536");
}

TEST(user_namespaces_switched_off)
{
	CHECK(in_child(switched_off));
}

/* In mounts of its own, as an ordinary user: a sysctl of a kernel that has others than ours. */
static bool sysctl_says(const char *name, const char *value)
{
	_cleanup_free_ char *path = xasprintf("/proc/sys/kernel/%s", name);
	_cleanup_free_ char *map = xasprintf("1000 %d 1", (int)geteuid());
	_cleanup_free_ char *groups = xasprintf("1000 %d 1", (int)getegid());
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || !write_file("/proc/self/setgroups", "deny") ||
	    !write_file("/proc/self/uid_map", map) || !write_file("/proc/self/gid_map", groups) ||
	    mount("tmpfs", "/proc/sys/kernel", "tmpfs", 0, NULL) < 0)
		return false;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	(void)close_fd(fd);
	return fd >= 0 && write_file(path, value);
}

static bool explains(int errnum, const char *why, const char *hint)
{
	_cleanup_err_ struct err *e = NULL;

	if (probe_explain_userns(errnum, &e) != -errnum)
		return false;
	printf("# %s\n# %s\n", err_message(e), err_hints(e));
	return strstr(err_message(e), why) && strstr(err_hints(e), hint);
}

static int for_root_only(void)
{
	if (!sysctl_says("unprivileged_userns_clone", "0\n"))
		return CANNOT;
	return !explains(EPERM, "kernel.unprivileged_userns_clone is 0",
			 "sudo sysctl -w kernel.unprivileged_userns_clone=1\n");
}

TEST(user_namespaces_for_root_only)
{
	CHECK(in_child(for_root_only));
}

static int for_profiles_only(void)
{
	if (!sysctl_says("apparmor_restrict_unprivileged_userns", "1\n"))
		return CANNOT;
	/* EPERM where the namespace is refused, EACCES where its first privileged step is. */
	return !explains(EPERM, "AppArmor", "sudo tee /etc/apparmor.d/igloo && sudo apparmor_parser -r") ||
	       !explains(EACCES, "kernel.apparmor_restrict_unprivileged_userns is 1",
			 "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0");
}

TEST(user_namespaces_for_programs_with_a_profile_only)
{
	CHECK(in_child(for_profiles_only));
}

static int net_namespaces_off(void)
{
	if (unshare(CLONE_NEWUSER) < 0 || !map_root() || !write_file("/proc/sys/user/max_net_namespaces", "0"))
		return CANNOT;
	return !fact_is("netns", PROBE_NO, "No space", "user.max_net_namespaces");
}

TEST(network_namespaces_switched_off)
{
	CHECK(in_child(net_namespaces_off));
}

static char chroot_dir[] = "/tmp/igloo-probe-XXXXXX";

static int chrooted(void)
{
	_cleanup_free_ char *proc = xasprintf("%s/proc", chroot_dir);

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", proc, "proc", 0, NULL) < 0 || chroot(chroot_dir) < 0 || chdir("/") < 0)
		return CANNOT;
	return !fact_is("userns", PROBE_NO, "chroot", "pivot_root");
}

TEST(in_a_chroot)
{
	_cleanup_free_ char *proc = NULL;
	bool ok;

	CHECK(mkdtemp(chroot_dir));
	proc = xasprintf("%s/proc", chroot_dir);
	CHECK(mkdir(proc, 0755) == 0);
	ok = in_child(chrooted);
	CHECK(rmdir(proc) == 0 && rmdir(chroot_dir) == 0);
	CHECK(ok);
}

/* As docker's default profile: clone3 is not there, clone with CLONE_NEWUSER is not permitted. */
static int filtered(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return CANNOT;
	return !fact_is("userns", PROBE_NO, "system call filter", "seccomp=unconfined");
}

TEST(under_a_container_filter)
{
	CHECK(in_child(filtered));
}

static int covered_proc(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("/dev/null", "/proc/version", NULL, MS_BIND, NULL) < 0)
		return CANNOT;
	return !fact_is("procfs", PROBE_NO, "covered", "systempaths=unconfined");
}

TEST(proc_covered_by_a_container_engine)
{
	CHECK(in_child(covered_proc));
}

static int as_nobody(void)
{
	if (geteuid() != 0 || setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return CANNOT;
	/* prctl: a process that changed its ids may not be looked at through /proc by itself otherwise. */
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		return CANNOT;
	return !fact_is("userns", PROBE_YES, NULL, NULL);
}

TEST(an_ordinary_user_can_run_sandboxes_here)
{
	_cleanup_probe_ struct probe_facts facts = {NULL, 0};

	probe_all(&facts);
	if (!probe_sandbox_runs(&facts))
		return;
	CHECK(in_child(as_nobody));
}

TEST_MAIN()
