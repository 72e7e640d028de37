#include "guest/vmfsd.h"

#include "base/mem.h"
#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { WORDS_MAX = 99 };

static int read_count(const char *text)
{
	int n = 0;

	for (; *text >= '0' && *text <= '9' && n <= WORDS_MAX; text++)
		n = n * 10 + (*text - '0');
	return *text || n > WORDS_MAX ? 0 : n;
}

char **vmfsd_take_argv(char ***argv)
{
	char **words = *argv;
	int n = words[0] && strcmp(words[0], "--virtiofsd") == 0 && words[1] ? read_count(words[1]) : 0;

	if (n == 0)
		return NULL;
	for (int i = 0; i <= n; i++)
		if (!words[i + 2])
			return NULL;
	memmove(words, words + 2, (size_t)n * sizeof(*words));
	words[n] = NULL;
	*argv = words + n + 2;
	return words;
}

int vmfsd_connect(int *ret_listener)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t n = sizeof(address);
	_cleanup_close_ int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
	    listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&address, &n) < 0 ||
	    connect(fd, (struct sockaddr *)&address, n) < 0)
		return -errno;
	*ret_listener = take_fd(&listener);
	return take_fd(&fd);
}
