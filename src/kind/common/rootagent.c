/* The socket of a box's SSH agent: in the box's own /run, and its user's alone. Who has it outside serves it. */
#include "kind/common/rootfs.h"

#include "box/sshkeys.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

static const char socket_name[] = "socket";

int rootfs_make_agent(int root, struct err **e)
{
	const struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "socket"};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int run = file_open_beneath(root, "run", O_PATH | O_DIRECTORY, 0);

	if (fd < 0 || run < 0 || mkdirat(run, SSHKEYS_BOX_DIR + strlen("/run/"), 0700) < 0)
		return err_errno(e, errno, "cannot make the box's " SSHKEYS_BOX_DIR);
	dir = file_open_beneath(run, SSHKEYS_BOX_DIR + strlen("/run/"), O_PATH | O_DIRECTORY, 0);
	/* A socket is named by path alone: the folder becomes the working one, which the change of the root undoes. */
	if (dir < 0 || fchdir(dir) < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    fchmodat(dir, socket_name, 0600, 0) < 0 || listen(fd, BACKLOG) < 0)
		return err_errno(e, errno, "cannot make the box's " SSHKEYS_BOX_SOCKET);
	return take_fd(&fd);
}
