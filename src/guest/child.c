/* From fork to execve. Everything the guest itself has open is CLOEXEC except 0, 1 and 2, and its
 * signal dispositions are the default ones except handlers, which execve resets: so there is little
 * to undo here. */
#include "guest/child.h"

#include "wire/msg.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void ATTR_NORETURN fail(const struct child *c, int errnum, enum msg_stage stage)
{
	struct child_report report = {.errnum = (uint32_t)errnum, .stage = stage};

	(void)!write(c->report, &report, sizeof(report));
	_exit(126);
}

/* Descriptors, session and controlling terminal. Returns 0 or errno. */
static int set_terminal(const struct child *c)
{
	if (!(c->x->flags & EXEC_FOREGROUND))
		(void)setsid();
	if ((c->x->flags & EXEC_PTY) && ioctl(c->stdio[0], TIOCSCTTY, 0) < 0)
		return errno;
	for (int i = 0; i < 3 && c->stdio[i] >= 0; i++)
		if (dup2(c->stdio[i], i) < 0)
			return errno;
	return 0;
}

/* Groups can be dropped wherever another user can be taken on, except in a user namespace whose
 * /proc/self/setgroups says "deny": there the kernel lets nobody do it. */
static int set_user(const struct exec *x)
{
	if (setgroups(0, NULL) < 0 && errno != EPERM)
		return errno;
	if (setresgid(x->gid, x->gid, x->gid) < 0 || setresuid(x->uid, x->uid, x->uid) < 0)
		return errno;
	return 0;
}

/* execve; a file that is no program but may be executed is given to /bin/sh, as execvp does. Returns errno. */
static int exec_path(const char *path, const struct exec *x)
{
	size_t argc = 0;
	_cleanup_free_ const char **v = NULL;

	(void)execve(path, x->argv, x->env);
	if (errno != ENOEXEC)
		return errno;
	while (x->argv[argc])
		argc++;
	v = xcalloc(argc + 2, sizeof(*v));
	v[0] = "/bin/sh";
	v[1] = path;
	for (size_t i = 1; i < argc; i++)
		v[i + 1] = x->argv[i];
	(void)execve(v[0], (char *const *)(uintptr_t)v, x->env);
	return ENOEXEC;
}

/* Whether the search goes on with the next folder. */
static bool is_miss(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR || errnum == ENODEV || errnum == ESTALE || errnum == ETIMEDOUT ||
	       errnum == EACCES;
}

/* execvp() with the PATH of the command's environment; without one it is that of confstr(_CS_PATH). An
 * empty folder in it is the current one. Returns errno: EACCES when something of that name was
 * there but could not be executed, ENOENT when nothing was. */
static int exec_search(const struct exec *x)
{
	const char *name = x->argv[0], *path = "/bin:/usr/bin";
	size_t len = strlen(name);
	bool denied = false;
	char buf[PATH_MAX];

	if (strchr(name, '/'))
		return exec_path(name, x);
	if (len == 0)
		return ENOENT;
	if (len > NAME_MAX)
		return ENAMETOOLONG;
	for (size_t i = 0; x->env[i]; i++) {
		if (str_starts(x->env[i], "PATH=")) {
			path = x->env[i] + 5;
			break;
		}
	}
	for (const char *p = path, *end;; p = end + 1) {
		size_t n;
		int errnum;

		end = strchrnul(p, ':');
		n = (size_t)(end - p);
		if (n + len + 2 <= sizeof(buf)) {
			memcpy(buf, p, n);
			if (n > 0)
				buf[n++] = '/';
			memcpy(buf + n, name, len + 1);
			errnum = exec_path(buf, x);
			if (!is_miss(errnum))
				return errnum;
			denied |= errnum == EACCES;
		}
		if (!*end)
			return denied ? EACCES : ENOENT;
	}
}

void child_run(const struct child *c)
{
	sigset_t none;
	int r = set_terminal(c);

	if (r > 0)
		fail(c, r, MSG_STAGE_PTY);
	r = c->set_user ? set_user(c->x) : 0;
	if (r > 0)
		fail(c, r, MSG_STAGE_USER);
	(void)umask(022);
	if (chdir(c->x->cwd) < 0)
		fail(c, errno, MSG_STAGE_CHDIR);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	fail(c, exec_search(c->x), MSG_STAGE_EXEC);
}
