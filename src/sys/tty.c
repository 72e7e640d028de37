#include "sys/tty.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>

void tty_save(struct tty_saved *ret)
{
	ret->fd = -1;
	for (int fd = 0; fd < 3 && ret->fd < 0; fd++)
		if (tcgetattr(fd, &ret->settings) == 0)
			ret->fd = fd;
	ret->foreground = 0;
	if (ret->fd >= 0 && tcgetpgrp(ret->fd) == getpgrp())
		ret->foreground = getpgrp();
}

void tty_restore(const struct tty_saved *saved)
{
	sigset_t ttou;
	sigset_t old;

	if (saved->fd < 0)
		return;
	/* A shell in the box leaves its own, now dead, process group in front; taking the terminal back from the
	 * background would stop us. */
	(void)sigemptyset(&ttou);
	(void)sigaddset(&ttou, SIGTTOU);
	(void)sigprocmask(SIG_BLOCK, &ttou, &old);
	if (saved->foreground > 0)
		(void)tcsetpgrp(saved->fd, saved->foreground);
	(void)tcsetattr(saved->fd, TCSADRAIN, &saved->settings);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
}

int tty_raw(const struct tty_saved *saved)
{
	struct termios raw = saved->settings;

	cfmakeraw(&raw);
	return tcsetattr(saved->fd, TCSADRAIN, &raw) < 0 ? -errno : 0;
}

void tty_size(int fd, uint16_t *ret_rows, uint16_t *ret_cols)
{
	struct winsize size = {0};

	(void)ioctl(fd, TIOCGWINSZ, &size);
	*ret_rows = size.ws_row ? size.ws_row : 24;
	*ret_cols = size.ws_col ? size.ws_col : 80;
}

int tty_set_size(int fd, uint16_t rows, uint16_t cols)
{
	struct winsize size = {.ws_row = rows, .ws_col = cols};

	return ioctl(fd, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}
