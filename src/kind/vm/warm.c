#include "kind/vm/warm.h"

#include "base/log.h"
#include "box/dirs.h"
#include "guest/image.h"
#include "kind/vm/template.h"
#include "kind/vm/templatebox.h"
#include "sys/childreport.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOCK "template.lock"

enum { JOB_S = 600, IOPRIO_WHO_PROCESS = 1, IOPRIO_IDLE = 3 << 13 };

/* Of this process's machine. */
static struct {
	uint64_t key;
	bool missing; /* to be made when it has started */
	bool used;    /* it goes on from it */
	size_t n_disks;
	bool read_only[VMHOST_DISKS_MAX];
	struct strv argv;
	char *qemu;
	char *kernel;
	char *initrd;
	bool kvm;
} own = {.argv = STRV_INIT};

int warm_parse(const char *name, enum warm_mode *ret, struct err **e)
{
	static const char *const names[] = {"auto", "cold", "warm"};

	if (!name)
		name = getenv("IGLOO_VM_START");
	if (!str_has(name))
		name = NULL;
	*ret = WARM_AUTO;
	for (size_t i = 0; name && i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*ret = (enum warm_mode)i;
			return 0;
		}
	return name ? err_set(e, EINVAL, "how a machine starts is none of: auto, cold, warm") : 0;
}

int warm_cache(struct vmcache *ret, char **ret_path, struct err **e)
{
	int fd = dirs_open(DIRS_CACHE, "kernels", e);
	int r = fd < 0 ? fd : dirs_path(DIRS_CACHE, "kernels", ret_path, e);

	if (r < 0) {
		(void)close_fd(fd);
		return r;
	}
	*ret = (struct vmcache){.dir = fd, .path = *ret_path};
	return 0;
}

int warm_look(bool drop, size_t *ret_n, uint64_t *ret_bytes, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	struct vmcache cache;
	int r = warm_cache(&cache, &path, e);

	if (r < 0)
		return r;
	template_count(&cache, ret_n, ret_bytes);
	if (drop)
		template_drop_all(&cache);
	(void)close_fd(cache.dir);
	return 0;
}

/* --- making ------------------------------------------------------------------------------------------------------- */

static int make(const struct vmcache *cache, struct err **e)
{
	struct enclosure enclosure = {.qemu = own.qemu, .kernel = own.kernel, .initrd = own.initrd, .kvm = own.kvm};
	struct templatebox t = {
		.cache = cache, .key = own.key, .enclosure = &enclosure, .argv = &own.argv, .n_disks = own.n_disks};

	memcpy(t.read_only, own.read_only, sizeof(t.read_only));
	return templatebox_make(&t, e);
}

/* It sheds what this process may need, and is not to outlive it. */
static int make_in_child(const struct vmcache *cache, struct err **e)
{
	int report[2];
	pid_t pid;
	int r;

	if (pipe2(report, O_CLOEXEC) < 0)
		return err_errno(e, errno, "cannot make a pipe");
	pid = fork();
	if (pid == 0) {
		_cleanup_err_ struct err *why = NULL;

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		report[0] = close_fd(report[0]);
		if (make(cache, &why) < 0)
			childreport_fail(report[1], why);
		_exit(0);
	}
	(void)close_fd(report[1]);
	r = pid < 0 ? err_errno(e, errno, "cannot fork") : childreport_wait(report[0], NULL, e);
	(void)close_fd(report[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

static int make_now(const struct vmcache *cache, struct err **e)
{
	_cleanup_close_ int lock = file_lock(cache->dir, LOCK, false, true, e);
	_cleanup_free_ char *there = lock < 0 ? NULL : template_find(cache, own.key);

	if (lock < 0)
		return lock;
	if (there)
		return 0;
	log_verbose("a machine is kept in memory first");
	return make_in_child(cache, e);
}

static void ATTR_NORETURN job(void)
{
	const struct sched_param priority = {0};
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *there = NULL;
	struct vmcache cache;
	int lock;

	(void)prctl(PR_SET_NAME, "igloo-template");
	(void)sched_setscheduler(0, SCHED_IDLE, &priority);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	(void)alarm(JOB_S);
	if (warm_cache(&cache, &path, NULL) < 0)
		_exit(1);
	lock = file_lock(cache.dir, LOCK, false, false, NULL);
	there = lock < 0 ? NULL : template_find(&cache, own.key);
	if (lock < 0 || there)
		_exit(0);
	if (make(&cache, &e) < 0)
		template_drop(&cache, own.key, e ? err_message(e) : "it could not be made");
	_exit(0);
}

/* Nothing of the supervisor's is left in it: no descriptor (and so no lock of a box or slot), no terminal, no signal
 * that it ignores, no working folder. */
static void begin_job(void)
{
	pid_t pid = fork();
	sigset_t none;
	int null;

	if (pid != 0) {
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return;
	}
	fd_close_from(0);
	null = open("/dev/null", O_RDWR);
	while (null >= 0 && null < STDERR_FILENO)
		null = dup(null);
	log_set_level(LOG_QUIET);
	for (int sig = 1; sig < 32; sig++)
		(void)signal(sig, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (setsid() < 0 || chdir("/") < 0)
		_exit(1);
	pid = fork();
	if (pid == 0)
		job();
	_exit(0);
}

void warm_started(void)
{
	if (own.missing)
		begin_job();
	own.missing = own.used = false;
}

void warm_spoiled(const char *why)
{
	_cleanup_free_ char *path = NULL;
	struct vmcache cache;

	if (!own.used || warm_cache(&cache, &path, NULL) < 0)
		return;
	template_drop(&cache, own.key, why);
	(void)close_fd(cache.dir);
	own.used = false;
}

/* --- choosing ----------------------------------------------------------------------------------------------------- */

static void forget(void)
{
	strv_release(&own.argv);
	free(own.qemu);
	free(own.kernel);
	free(own.initrd);
	memset(&own, 0, sizeof(own));
}

/* The same machine, with nothing behind its devices. What is behind a network device is no part of its memory. */
static int describe(const struct warm_wish *w, struct err **e)
{
	struct machine m = *w->machine;

	forget();
	m.netdev = m.netdev ? "hubport,hubid=0" : NULL;
	for (size_t i = 0; i < m.n_disks && i < VMHOST_DISKS_MAX; i++)
		own.read_only[own.n_disks++] = m.disks[i].read_only;
	own.kvm = w->kvm;
	own.qemu = xstrdup(m.qemu);
	own.kernel = xstrdup(w->kernel);
	own.initrd = xstrdup(w->initrd);
	strv_add(&own.argv, "igloo-guest");
	strv_add(&own.argv, "3");
	strv_add(&own.argv, "--vm");
	for (size_t i = 0; i < own.n_disks; i++)
		strv_add(&own.argv, "--disk");
	strv_add(&own.argv, "--keep");
	strv_add(&own.argv, "--hello-ms");
	strv_addf(&own.argv, "%d", w->hello_ms);
	return machine_argv(&m, &own.argv, e);
}

/* It is there, or made now. */
static int must(const struct vmcache *cache, char **ret, struct err **e)
{
	int r;

	template_drop(cache, own.key, NULL);
	r = make_now(cache, e);
	if (r < 0)
		return err_wrap(e, "no machine can be kept in memory to start from");
	*ret = template_find(cache, own.key);
	return *ret ? 0 : err_set(e, EIO, "the machine that was kept in memory is gone again");
}

static int choose(const struct warm_wish *w, const struct vmcache *cache, char **ret, struct err **e)
{
	const struct template_of of = {
		.qemu = w->machine->qemu, .kernel = w->kernel, .initrd = w->initrd, .argv = &own.argv};
	_cleanup_free_ char *refused = NULL;
	int r = describe(w, e);

	if (r == 0)
		r = template_key(cache, &of, &own.key, e);
	if (r < 0)
		return r;
	*ret = template_find(cache, own.key);
	if (!*ret && w->mode == WARM_MUST) {
		r = must(cache, ret, e);
		if (r < 0)
			return r;
	}
	own.used = *ret;
	if (*ret) {
		log_verbose("the machine goes on from memory: %s", *ret);
		return 0;
	}
	refused = template_refused(cache, own.key);
	own.missing = !refused;
	if (refused)
		log_verbose("the machine boots; none is kept in memory before tomorrow: %s", refused);
	else
		log_verbose("the machine boots; when it has, one like it is kept in memory");
	return 0;
}

int warm_choose(const struct warm_wish *w, char **ret_template, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	struct vmcache cache;
	int r;

	*ret_template = NULL;
	own.missing = own.used = false;
	if (w->mode == WARM_NEVER)
		return 0;
	if (w->why_not && w->mode == WARM_MUST)
		return err_set(e, EOPNOTSUPP, "--start warm: the machine cannot go on from memory: %s", w->why_not);
	if (w->why_not) {
		log_verbose("the machine boots and does not go on from memory: %s", w->why_not);
		return 0;
	}
	r = warm_cache(&cache, &path, e);
	if (r < 0)
		return r;
	r = choose(w, &cache, ret_template, e);
	(void)close_fd(cache.dir);
	return r;
}
