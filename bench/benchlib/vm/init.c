/* The least that a machine can be started for: /init of the bare machine that igloo's is compared with. Says `ready` on
 * the serial port and ends the machine as igloo's guest does. Static. */
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

int main(void)
{
	int fd;

	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, 0);
	fd = open("/dev/ttyS0", O_WRONLY | O_NOCTTY);
	if (write(fd, "ready\n", 6) == 6)
		tcdrain(fd);
	sync();
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
