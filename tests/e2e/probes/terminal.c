/* The terminal that the box was given, and descriptors that came with it. */
#include "probe.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#ifndef TIOCLINUX
#define TIOCLINUX 0x541C
#endif

int main(void)
{
	const char *text = "echo IGLOO-INJECTED\n";
	int discipline = 2;
	char paste = 3;

	if (!isatty(0)) {
		result(false, "a terminal", "stdin is none");
		return 1;
	}
	for (int i = 0; text[i]; i++) {
		if (ioctl(0, TIOCSTI, text + i) == 0)
			result(false, "TIOCSTI", "it works");
		if (syscall(SYS_ioctl, 0, TIOCSTI | (1UL << 32), text + i) == 0)
			result(false, "TIOCSTI with high bits", "it works");
	}
	refused("TIOCSTI", ioctl(0, TIOCSTI, text), EPERM);
	refused("TIOCSTI with high bits", syscall(SYS_ioctl, 0, TIOCSTI | (1UL << 32), text), EPERM);
	refused("TIOCLINUX", ioctl(0, TIOCLINUX, &paste), EPERM);
	refused("TIOCSETD", ioctl(0, TIOCSETD, &discipline), EPERM);
	refused("TIOCCONS", ioctl(0, TIOCCONS, NULL), EPERM);
	refused("taking the terminal away", ioctl(0, TIOCSCTTY, 1), 0);
	{
		int tty = open("/dev/tty", O_RDWR);

		if (tty >= 0)
			refused("TIOCSTI on /dev/tty", ioctl(tty, TIOCSTI, text), EPERM);
	}
	return 0;
}
