#include "guest/vmlimits.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUPS "/sys/fs/cgroup"
#define BOX CGROUPS "/box"

static int put(const char *path, const char *text, const char **ret_what)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) >= 0)
		return 0;
	*ret_what = path;
	return -errno;
}

int vmlimits_set(int64_t pids, pid_t guest, const char **ret_what)
{
	char number[24];
	int r;

	if (pids == 0)
		return 0;
	r = put(CGROUPS "/cgroup.subtree_control", "+pids", ret_what);
	if (r == 0 && mkdir(BOX, 0755) < 0) {
		*ret_what = BOX;
		return -errno;
	}
	(void)snprintf(number, sizeof(number), "%lld", (long long)pids);
	if (r == 0)
		r = put(BOX "/pids.max", number, ret_what);
	(void)snprintf(number, sizeof(number), "%d", (int)guest);
	return r < 0 ? r : put(BOX "/cgroup.procs", number, ret_what);
}

/* The number behind `key` and a blank, at the beginning of a line. */
static uint32_t count(const char *path, const char *key)
{
	static char text[16384];
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t k = 0;

	while (fd >= 0 && n < sizeof(text) - 1 && (k = read(fd, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)k;
	text[n] = '\0';
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ' ')
			return (uint32_t)strtoul(line + strlen(key), NULL, 10);
	}
	return 0;
}

void vmlimits_read(struct msg_limits *ret)
{
	ret->oom_kills = count("/proc/vmstat", "oom_kill");
	ret->forks_refused = count(BOX "/pids.events", "max");
}
