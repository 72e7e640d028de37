/* The facts about namespaces, mounts and the kernel's calls. */
#include "sys/probe.h"

#include "sys/nft.h"
#include "sys/probe_impl.h"
#include "sys/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

ATTR_PRINTF(1, 0) static char *vtext(const char *fmt, va_list ap)
{
	char *s = NULL;

	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	return s;
}

struct probe_fact *probe_add(struct probe_facts *facts, const char *id, const char *title, const char *fmt, ...)
{
	struct probe_fact *fact;
	va_list ap;

	facts->v = xrealloc_array(facts->v, facts->n + 1, sizeof(*facts->v));
	fact = &facts->v[facts->n++];
	*fact = (struct probe_fact){.id = id, .title = title, .state = PROBE_YES};
	va_start(ap, fmt);
	fact->what = vtext(fmt, ap);
	va_end(ap);
	return fact;
}

void probe_lacks(struct probe_fact *fact, enum probe_state state, const char *fmt, ...)
{
	va_list ap;

	free(fact->why);
	fact->state = state;
	va_start(ap, fmt);
	fact->why = vtext(fmt, ap);
	va_end(ap);
}

void probe_fix(struct probe_fact *fact, const char *fmt, ...)
{
	va_list ap;

	free(fact->fix);
	va_start(ap, fmt);
	fact->fix = vtext(fmt, ap);
	va_end(ap);
}

/* The first of the trials that failed, 0 when all worked, -1 when one before it kept them from being tried. */
static int first_failure(const int *result, const enum probe_trial *trials, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (result[trials[i]])
			return result[trials[i]];
	return 0;
}

static bool userns_works(const int *result)
{
	static const enum probe_trial steps[] = {TRIAL_USERNS, TRIAL_MAPS, TRIAL_MNTNS, TRIAL_PRIVATE};

	return first_failure(result, steps, ARRAY_SIZE(steps)) == 0;
}

static void add_userns(struct probe_facts *facts, const int *result)
{
	static const enum probe_trial steps[] = {TRIAL_USERNS, TRIAL_MAPS, TRIAL_MNTNS, TRIAL_PRIVATE};
	struct probe_fact *fact = probe_add(facts, "userns", "user namespaces", "user and mount namespaces");
	int errnum = first_failure(result, steps, ARRAY_SIZE(steps));
	_cleanup_str_ struct str why = STR_INIT;
	_cleanup_str_ struct str fix = STR_INIT;

	fact->needed = true;
	if (!errnum)
		return;
	probe_why_userns(errnum, &why, &fix);
	probe_lacks(fact, PROBE_NO, "%s", str_text(&why));
	if (fix.len)
		probe_fix(fact, "%s", fix.p);
}

/* A fact that hangs on the trials alone. NULL when it is YES. */
static struct probe_fact *add_trials(struct probe_facts *facts, const char *id, const char *title, const char *what,
				     const int *result, const enum probe_trial *steps, size_t n, bool needed)
{
	struct probe_fact *fact = probe_add(facts, id, title, "%s", what);
	int errnum = first_failure(result, steps, n);

	fact->needed = needed;
	if (!errnum)
		return NULL;
	if (errnum == TRIAL_NOT_TRIED || !userns_works(result)) {
		probe_lacks(fact, PROBE_UNKNOWN, "could not be tried without user namespaces");
		return NULL;
	}
	probe_lacks(fact, PROBE_NO, "%s", strerror(errnum));
	return fact;
}

static void add_mounts(struct probe_facts *facts, const int *result)
{
	static const enum probe_trial tmpfs[] = {TRIAL_TMPFS};
	static const enum probe_trial proc[] = {TRIAL_PIDNS, TRIAL_PROC};
	static const enum probe_trial api[] = {TRIAL_TMPFS, TRIAL_OPEN_TREE, TRIAL_MOVE_MOUNT, TRIAL_SETATTR};
	struct probe_fact *fact;

	fact = add_trials(facts, "tmpfs", "private files in memory", "tmpfs mounts in a user namespace", result, tmpfs,
			  ARRAY_SIZE(tmpfs), true);
	if (fact)
		probe_fix(
			fact,
			"use a kernel since 3.8 with CONFIG_TMPFS=y, and allow mount(2) where a container filters it");
	fact = add_trials(facts, "procfs", "own processes", "process namespace with a /proc of its own", result, proc,
			  ARRAY_SIZE(proc), true);
	if (fact && fact->state == PROBE_NO && result[TRIAL_PROC] == EPERM) {
		probe_lacks(fact, PROBE_NO,
			    "parts of /proc are covered here, as container engines do it, so the kernel "
			    "allows no fresh /proc");
		probe_fix(fact, "docker: --security-opt systempaths=unconfined; podman: --security-opt unmask=ALL\n"
				"Kubernetes: securityContext.procMount: Unmasked (with hostUsers: false)");
	}
	fact = add_trials(facts, "mount_api", "mounts by descriptor", "open_tree, move_mount, mount_setattr", result,
			  api, ARRAY_SIZE(api), false);
	if (fact) {
		probe_lacks(fact, PROBE_PARTLY, "%s: paths are bound one by one instead, which is slower",
			    result[TRIAL_OPEN_TREE] == ENOSYS || result[TRIAL_SETATTR] == ENOSYS
				    ? "the kernel is older than 5.12, or a filter hides the calls"
				    : fact->why);
		probe_fix(fact, "use Linux 5.12 or later");
	}
}

static void add_namespaces(struct probe_facts *facts, const int *result)
{
	static const enum probe_trial others[] = {TRIAL_IPCUTSNS, TRIAL_CGROUPNS};
	static const enum probe_trial net[] = {TRIAL_NETNS, TRIAL_VETH};
	static const enum probe_trial every_port[] = {TRIAL_NETNS, TRIAL_EVERY_PORT};
	static const enum probe_trial time[] = {TRIAL_TIMENS};
	struct probe_fact *fact;

	fact = add_trials(facts, "namespaces", "own IPC, host name, cgroups", "ipc, uts and cgroup namespaces", result,
			  others, ARRAY_SIZE(others), true);
	if (fact)
		probe_fix(
			fact,
			"use a kernel since 4.6 with CONFIG_NAMESPACES, CONFIG_IPC_NS, CONFIG_UTS_NS, CONFIG_CGROUPS");
	fact = add_trials(facts, "netns", "own network", "network namespace with a veth pair", result, net,
			  ARRAY_SIZE(net), true);
	if (fact && result[TRIAL_NETNS] == 0) {
		probe_lacks(fact, PROBE_NO, "no veth pair can be made: %s", strerror(result[TRIAL_VETH]));
		probe_fix(fact, "sudo modprobe veth; for good: echo veth | sudo tee /etc/modules-load.d/igloo.conf");
	} else if (fact) {
		probe_fix(fact, "sudo sysctl -w user.max_net_namespaces=65536 (0 forbids them), or use a kernel with "
				"CONFIG_NET_NS=y");
	}
	fact = add_trials(facts, "every_port", "every port of a host (--allow HOST:*)", "nf_tables with tproxy", result,
			  every_port, ARRAY_SIZE(every_port), false);
	if (fact) {
		probe_lacks(fact, PROBE_NO, "the kernel has no nf_tables with tproxy, or its modules are not loaded");
		probe_fix(fact, "%s", NFT_FIX);
	}
	fact = add_trials(facts, "timens", "own monotonic clock", "time namespace", result, time, ARRAY_SIZE(time),
			  false);
	if (fact)
		probe_fix(fact, "use Linux 5.6 or later with CONFIG_TIME_NS=y");
}

static void add_call(struct probe_facts *facts, const char *id, const char *title, bool there, const char *instead,
		     const char *since)
{
	struct probe_fact *fact = probe_add(facts, id, title, "%s", id);

	if (there)
		return;
	probe_lacks(fact, PROBE_PARTLY, "the kernel is older than %s, or a filter hides the call: %s", since, instead);
	probe_fix(fact, "use Linux %s or later; in a container, a runtime whose filter knows %s", since, id);
}

static void add_calls(struct probe_facts *facts)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int same = (int)syscall(SYS_openat2, root, ".", &how, sizeof(how));
	_cleanup_close_ int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	bool clone3 = syscall(SYS_clone3, NULL, 0) == 0 || errno != ENOSYS;

	add_call(facts, "openat2", "safe path lookup", same >= 0, "paths are walked step by step", "5.6");
	add_call(facts, "clone3", "processes born confined", clone3, "clone is used", "5.3");
	add_call(facts, "pidfd", "processes by descriptor", self >= 0, "process numbers are used", "5.3");
}

static void add_filters(struct probe_facts *facts)
{
	__u32 notify = SECCOMP_RET_USER_NOTIF;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int errnum = errno;
	struct probe_fact *fact = probe_add(facts, "seccomp", "system call filter", "seccomp");

	fact->needed = true;
	if (prctl(PR_GET_SECCOMP) < 0) {
		probe_lacks(fact, PROBE_NO, "the kernel was built without seccomp");
		probe_fix(fact, "use a kernel with CONFIG_SECCOMP_FILTER=y");
	} else if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &notify) < 0) {
		probe_lacks(fact, PROBE_PARTLY, "filters work, but cannot ask a supervisor (%s)", strerror(errno));
		fact->needed = false;
	}
	fact = probe_add(facts, "landlock", "Landlock", abi > 0 ? "Landlock, version %ld" : "Landlock", abi);
	if (abi > 0)
		return;
	probe_lacks(fact, PROBE_NO, "%s",
		    errnum == EOPNOTSUPP ? "it was not switched on at boot" : "the kernel was built without it");
	probe_fix(fact, "%s",
		  errnum == EOPNOTSUPP
			  ? "add landlock to the list lsm= of the kernel command line (see "
			    "/sys/kernel/security/lsm)"
			  : "use Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK=y (igloo's boxes do not need it)");
}

static void add_scopes(struct probe_facts *facts)
{
	struct probe_fact *fact = probe_add(facts, "landlock_scopes", "signals and abstract sockets end at the box",
					    "Landlock's scopes");

	if (scope_available())
		return;
	probe_lacks(fact, PROBE_NO,
		    "the kernel has no Landlock, version 6: kill(0) from a command in the foreground reaches what was "
		    "started together with igloo, and a box with the host's network its abstract sockets");
	probe_fix(fact, "use Linux 6.12 or later with Landlock");
}

void probe_all(struct probe_facts *ret)
{
	int result[TRIALS];
	struct utsname name;

	*ret = (struct probe_facts){NULL, 0};
	probe_try(result);
	if (uname(&name) == 0)
		(void)probe_add(ret, "kernel", "kernel", "%s %s, %s", name.sysname, name.release, name.machine);
	add_userns(ret, result);
	add_mounts(ret, result);
	add_namespaces(ret, result);
	add_filters(ret);
	add_scopes(ret);
	add_calls(ret);
	probe_tools(ret);
}

void probe_release(struct probe_facts *facts)
{
	for (size_t i = 0; i < facts->n; i++) {
		free(facts->v[i].what);
		free(facts->v[i].why);
		free(facts->v[i].fix);
	}
	free(facts->v);
	*facts = (struct probe_facts){NULL, 0};
}

const struct probe_fact *probe_find(const struct probe_facts *facts, const char *id)
{
	for (size_t i = 0; i < facts->n; i++)
		if (strcmp(facts->v[i].id, id) == 0)
			return &facts->v[i];
	return NULL;
}

bool probe_sandbox_runs(const struct probe_facts *facts)
{
	for (size_t i = 0; i < facts->n; i++)
		if (facts->v[i].needed && facts->v[i].state != PROBE_YES)
			return false;
	return true;
}

const char *probe_state_name(enum probe_state state)
{
	static const char *const names[] = {"yes", "no", "partly", "unknown"};

	return names[state];
}
