#include "sys/tty.h"

#include "sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* What would end or stop igloo while the terminal does not show what is typed. Who ignores one keeps ignoring it: an
 * ignored signal is never pending. */
static void signals_of_terminals(sigset_t *set)
{
	static const int numbers[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP};

	(void)sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		(void)sigaddset(set, numbers[i]);
}

/* TCSAFLUSH: what was typed before the question is no answer to it. */
static int echo_off(int fd, const struct termios *before)
{
	struct termios hidden = *before;

	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
	hidden.c_lflag |= ICANON | ISIG | ECHONL;
	return tcsetattr(fd, TCSAFLUSH, &hidden) < 0 ? -errno : 0;
}

/* The signal does what it would have done, on a terminal that is as it was. Comes back after a stop, or from a handler
 * of the caller's. */
static void suffer(int signals)
{
	struct signalfd_siginfo info;
	sigset_t one;

	if (read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	(void)sigemptyset(&one);
	(void)sigaddset(&one, (int)info.ssi_signo);
	(void)raise((int)info.ssi_signo);
	(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
	(void)sigprocmask(SIG_BLOCK, &one, NULL);
}

/* 1: a line, or what there is of one, was read; 0: ask again. */
static int ask_once(int fd, int signals, const struct termios *before, const char *prompt, char *buf, size_t size,
		    size_t *ret_n)
{
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	ssize_t n = -1;
	int r = echo_off(fd, before);

	if (r < 0)
		return r;
	(void)fd_write_all(STDERR_FILENO, prompt, strlen(prompt));
	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	if (!fds[0].revents) {
		do
			n = read(fd, buf, size);
		while (n < 0 && errno == EINTR);
		r = n < 0 ? -errno : 1;
	}
	(void)tcsetattr(fd, TCSAFLUSH, before);
	if (fds[0].revents) {
		(void)fd_write_all(STDERR_FILENO, "\n", 1);
		suffer(signals);
	}
	if (n >= 0)
		*ret_n = (size_t)n;
	return r;
}

int tty_ask_hidden(int fd, const char *prompt, char *buf, size_t size, size_t *ret_n)
{
	struct termios before;
	sigset_t set;
	sigset_t old;
	int signals;
	int r = 0;

	if (tcgetattr(fd, &before) < 0)
		return -errno;
	signals_of_terminals(&set);
	(void)sigprocmask(SIG_BLOCK, &set, &old);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		r = -errno;
	while (r == 0)
		r = ask_once(fd, signals, &before, prompt, buf, size, ret_n);
	(void)close_fd(signals);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	return r < 0 ? r : 0;
}
