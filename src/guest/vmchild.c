#include "guest/vmchild.h"

#include "guest/image.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* In order, from VMHOST_PORT_FD on. */
static bool set_inherited(const int *fds, int n)
{
	enum { HIGH = 16 };
	int high[VMCHILD_FDS_MAX];

	for (int i = 0; i < n; i++) {
		high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, HIGH);
		if (fds[i] >= 0 && high[i] < 0)
			return false;
	}
	/* Else a number that it does not get could be one of this process's. */
	for (int fd = VMHOST_PORT_FD; fd < HIGH; fd++)
		(void)close(fd);
	for (int i = 0; i < n; i++)
		if (high[i] >= 0 && dup2(high[i], VMHOST_PORT_FD + i) < 0)
			return false;
	return true;
}

void vmchild_run(char **argv, char **env, const int *fds, int n, int output)
{
	static const char failed[] = "cannot execute ";
	const char *why;
	sigset_t none;

	/* A ^C or ^Z is not for the machine, however its commands take it. */
	(void)setsid();
	if (dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0 || !set_inherited(fds, n))
		_exit(126);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execve(argv[0], argv, env);
	why = strerror(errno);
	(void)!write(STDERR_FILENO, failed, sizeof(failed) - 1);
	(void)!write(STDERR_FILENO, argv[0], strlen(argv[0]));
	(void)!write(STDERR_FILENO, ": ", 2);
	(void)!write(STDERR_FILENO, why, strlen(why));
	_exit(127);
}
