#include "guest/vmqmp.h"

#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A few short lines go into this socket: it has room for them. */
static void say(struct vmqmp *q, const char *line)
{
	if (q->fd >= 0 && send(q->fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		q->fd = close_fd(q->fd);
}

void vmqmp_begin(struct vmqmp *q, int fd)
{
	q->fd = fd;
	say(q, "{\"execute\":\"qmp_capabilities\"}\n");
}

void vmqmp_quit(struct vmqmp *q)
{
	say(q, "{\"execute\":\"quit\"}\n");
}

/* One line goes with the descriptor: fd:NAME wants it handed over that way (monitor_get_fd() of QEMU's monitor/fds.c).
 * The machine runs until the last of it is written, since one that was stopped would be so again where it goes on; it
 * does nothing, so that is soon. */
void vmqmp_keep(struct vmqmp *q, int fd)
{
	static const char getfd[] = "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"state\"}}\n";

	q->keeps = true;
	say(q, "{\"execute\":\"migrate-set-capabilities\",\"arguments\":{\"capabilities\":"
	       "[{\"capability\":\"events\",\"state\":true}]}}\n");
	say(q, "{\"execute\":\"migrate-set-parameters\",\"arguments\":{\"max-bandwidth\":1099511627776}}\n");
	if (q->fd >= 0 && fd_send(q->fd, getfd, sizeof(getfd) - 1, &fd, 1) < 0)
		q->fd = close_fd(q->fd);
	say(q, "{\"execute\":\"migrate\",\"arguments\":{\"uri\":\"fd:state\"}}\n");
}

static void take_event(struct vmqmp *q)
{
	if (strstr(q->line, "\"event\": \"STOP\""))
		q->stopped = true;
	else if (strstr(q->line, "\"event\": \"RESUME\""))
		q->stopped = false;
	else if (strstr(q->line, "\"event\": \"BLOCK_IO_ERROR\"") && strstr(q->line, "\"nospace\": true"))
		q->no_space = true;
	else if (strstr(q->line, "\"event\": \"MIGRATION\"")) {
		q->kept |= strstr(q->line, "\"status\": \"completed\"") != NULL;
		q->not_kept |= strstr(q->line, "\"status\": \"failed\"") != NULL;
	} else if (q->keeps && strncmp(q->line, "{\"error\": {", 11) == 0) {
		q->not_kept = true;
	}
}

void vmqmp_feed(struct vmqmp *q, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n') {
			q->line[q->n] = '\0';
			q->n = 0;
			take_event(q);
		} else if (bytes[i] != '\0' && q->n + 1 < sizeof(q->line)) {
			q->line[q->n++] = bytes[i];
		}
	}
}

void vmqmp_read(struct vmqmp *q)
{
	char bytes[1024];
	ssize_t n = recv(q->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0)
		vmqmp_feed(q, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		q->fd = close_fd(q->fd);
}
