#include "sys/stdio.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHUNK = 65536 };

static volatile sig_atomic_t ended;

static void on_term(int signo)
{
	(void)signo;
	ended = 1;
}

/* Copies until the end, or, once told that the command has ended, until nothing is left. */
static void ATTR_NORETURN pump(int from, int to, bool out)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTTOU};
	struct sigaction term = {.sa_handler = on_term};
	char bytes[CHUNK];
	sigset_t none;

	(void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	(void)prctl(PR_SET_NAME, "igloo-stdio", 0, 0, 0);
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)signal(SIGPIPE, SIG_DFL);
	if (out)
		(void)sigaction(SIGTERM, &term, NULL);
	else
		(void)signal(SIGTERM, SIG_DFL);
	/* Out of the way of each other's new numbers first; everything else goes, the locks above all. */
	from = fcntl(from, F_DUPFD_CLOEXEC, 16);
	to = fcntl(to, F_DUPFD_CLOEXEC, 16);
	if (dup2(from, 3) < 0 || dup2(to, 4) < 0)
		_exit(1);
	fd_close_from(5);
	for (int fd = 0; fd < 3; fd++)
		(void)close(fd);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (;;) {
		ssize_t n;

		if (ended)
			(void)fd_set_nonblock(3, true);
		n = read(3, bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || fd_write_all(4, bytes, (size_t)n) < 0)
			_exit(0);
	}
}

static bool needs_pump(int fd, bool stays)
{
	struct stat st;

	if (isatty(fd))
		return stays;
	return fd == STDIN_FILENO && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) &&
	       (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
}

int stdio_guard_make(bool stays, struct stdio_guard *ret, struct err **e)
{
	static const int own[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
	struct stdio_guard g = STDIO_GUARD_INIT;
	int r = stdio_check(own, e);

	for (int i = 0; i < 3 && r == 0; i++) {
		int p[2];

		if (!needs_pump(i, stays)) {
			g.fds[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
			if (g.fds[i] < 0)
				r = err_errno(e, errno, "cannot hand over descriptor %d", i);
			continue;
		}
		if (pipe2(p, O_CLOEXEC) < 0) {
			r = err_errno(e, errno, "cannot make a pipe");
			break;
		}
		g.pumps[i] = fork();
		if (g.pumps[i] == 0)
			pump(i == 0 ? 0 : p[0], i == 0 ? p[1] : i, i != 0);
		g.fds[i] = p[i != 0];
		(void)close(p[i == 0]);
		if (g.pumps[i] < 0)
			r = err_errno(e, errno, "cannot fork");
	}
	if (r < 0)
		stdio_guard_end(&g);
	else
		*ret = g;
	return r;
}

void stdio_guard_handed(struct stdio_guard *g)
{
	for (int i = 0; i < 3; i++)
		g->fds[i] = close_fd(g->fds[i]);
}

void stdio_guard_end(struct stdio_guard *g)
{
	stdio_guard_handed(g);
	for (int i = 0; i < 3; i++) {
		if (g->pumps[i] <= 0)
			continue;
		(void)kill(g->pumps[i], SIGTERM);
		while (waitpid(g->pumps[i], NULL, 0) < 0 && errno == EINTR)
			;
		g->pumps[i] = 0;
	}
}
