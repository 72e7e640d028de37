#include "box/control.h"

#include "box/dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* By way of the folder's descriptor, since a socket's name is at most 107 bytes and XDG folders may be longer. */
static int address_of(const char *name, struct sockaddr_un *address, int *ret_dir, struct err **e)
{
	int dir = dirs_open(DIRS_RUNTIME, "sockets", e);

	if (dir < 0)
		return dir;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", dir, name);
	*ret_dir = dir;
	return 0;
}

int control_listen(const char *name, struct err **e)
{
	struct sockaddr_un address;
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int sock = -1;
	int r = address_of(name, &address, &dir, e);

	if (r < 0)
		return r;
	(void)unlinkat(dir, name, 0);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The folder is 0700; the socket's own mode is set before anybody can connect. */
	if (sock < 0 || fchmod(sock, 0600) < 0 || bind(sock, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(sock, 64) < 0)
		return err_errno(e, errno, "cannot make the box's socket");
	return take_fd(&sock);
}

int control_connect(const char *name, struct err **e)
{
	struct sockaddr_un address;
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int sock = -1;
	int r = address_of(name, &address, &dir, e);

	if (r < 0)
		return r;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || connect(sock, (struct sockaddr *)&address, sizeof(address)) < 0)
		return err_errno(e, errno, "cannot reach box '%s'", name);
	return take_fd(&sock);
}

void control_remove(const char *name)
{
	_cleanup_close_ int dir = dirs_open(DIRS_RUNTIME, "sockets", NULL);

	if (dir >= 0)
		(void)unlinkat(dir, name, 0);
}
