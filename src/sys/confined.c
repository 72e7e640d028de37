#include "sys/confined.h"

#include "sys/childreport.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int compare_int(const void *a, const void *b)
{
	int x = *(const int *)a;
	int y = *(const int *)b;

	return (x > y) - (x < y);
}

/* Closes all but these and 0 to 2, which become /dev/null. */
static int keep_only(int *fds, size_t n)
{
	int from = 3;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (null != i && dup2(null, i) < 0)
			return -errno;
	qsort(fds, n, sizeof(*fds), compare_int);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] < from)
			continue;
		if (fds[i] > from && syscall(SYS_close_range, (unsigned)from, (unsigned)fds[i] - 1, 0) < 0)
			for (int fd = from; fd < fds[i]; fd++)
				(void)close(fd);
		from = fds[i] + 1;
	}
	fd_close_from(from);
	return 0;
}

static int become(const struct confined *what, int control, int report, pid_t parent, struct err **e)
{
	_cleanup_free_ int *fds = xcalloc(what->nfds + 2, sizeof(*fds));
	struct rlimit limit;
	sigset_t none;
	int r;

	(void)prctl(PR_SET_NAME, what->name);
	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN);
	/* A Ctrl-C is for the box, whose supervisor ends this. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		return err_set(e, ESRCH, "%s: the supervisor is gone", what->what);
	fds[0] = control;
	fds[1] = report;
	for (size_t i = 0; i < what->nfds; i++)
		fds[i + 2] = what->fds[i];
	r = keep_only(fds, what->nfds + 2);
	if (r < 0)
		return err_errno(e, -r, "%s: cannot close other descriptors", what->what);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	return 0;
}

static void run(const struct confined *what, void *arg, int control, int report, pid_t parent) ATTR_NORETURN;
static void run(const struct confined *what, void *arg, int control, int report, pid_t parent)
{
	struct err *e = NULL;
	int r = become(what, control, report, parent, &e);

	if (r == 0 && what->prepare)
		r = what->prepare(arg, control, &e);
	/* The supervisor's: its caller's variables. */
	for (char **v = environ; v && *v; v++)
		explicit_bzero(*v, strlen(*v));
	if (r == 0)
		r = confine_close(what->walls, &e);
	/* It may have gone while the death signal was cleared by the change of user. */
	if (r == 0 && getppid() != parent)
		r = err_set(&e, ESRCH, "%s: the supervisor is gone", what->what);
	if (r == 0 && what->arrive)
		r = what->arrive(arg, &e);
	if (r < 0)
		childreport_fail(report, e);
	childreport_pid(report, getpid());
	(void)close(report);
	what->serve(arg);
	_exit(0);
}

static int started(const struct confined *what, pid_t pid, int report, struct err **e)
{
	pid_t told = 0;
	int r = childreport_wait(report, &told, e);

	if (r == 0 && told != pid)
		r = err_set(e, EPIPE, "%s: the process for it ended before it served", what->what);
	if (r < 0)
		(void)confined_end(pid);
	return r;
}

int confined_start(const struct confined *what, void *arg, pid_t *ret_pid, int *ret_control, struct err **e)
{
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int report_in = -1;
	pid_t parent = getpid();
	int report[2];
	int pair[2];
	pid_t pid;
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return err_errno(e, errno, "%s: cannot make a socket", what->what);
	ours = pair[0];
	if (pipe2(report, O_CLOEXEC) < 0) {
		r = err_errno(e, errno, "%s: cannot make a pipe", what->what);
		(void)close_fd(pair[1]);
		return r;
	}
	report_in = report[0];
	pid = fork();
	if (pid == 0)
		run(what, arg, pair[1], report[1], parent);
	r = pid < 0 ? err_errno(e, errno, "%s: cannot start the process for it", what->what) : 0;
	(void)close_fd(pair[1]);
	(void)close_fd(report[1]);
	if (r == 0)
		r = started(what, pid, report_in, e);
	if (r < 0)
		return r;
	*ret_pid = pid;
	*ret_control = take_fd(&ours);
	return 0;
}

int confined_end(pid_t pid)
{
	int status = 0;

	if (pid <= 0)
		return 0;
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}
