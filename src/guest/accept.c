/* The socket of a box's SSH agent where the box is a machine: it has to be of the machine's kernel, and whom it leads
 * to is outside. Elsewhere the supervisor itself listens (box/boxagent.h). */
#include "guest/guest.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

/* As the folder that it is in. */
static int give_away(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat st;

	memcpy(dir, path, strlen(path) + 1);
	*strrchr(dir, '/') = '\0';
	return chmod(path, 0600) < 0 || stat(dir, &st) < 0 ? -1 : chown(path, st.st_uid, st.st_gid);
}

int accept_listen(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(path) >= sizeof(at.sun_path))
		return -ENAMETOOLONG;
	memcpy(at.sun_path, path, strlen(path));
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || give_away(path) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -errno;
	return take_fd(&fd);
}

int accept_start(struct guest *g, uint32_t stream)
{
	if (g->accepts || command_find(g, stream) || dial_has(g, stream))
		return -EPROTO;
	if (g->listener < 0 || g->closing)
		guest_send_err(g, stream, g->closing ? ESHUTDOWN : EOPNOTSUPP, MSG_STAGE_DIAL);
	else
		g->accepts = stream;
	return 0;
}

void accept_resolve(struct guest *g)
{
	const uint8_t port[2] = {0};
	int fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	guest_send(g, g->accepts, FRAME_DIALED, port, sizeof(port), fd);
	g->accepts = 0;
}
