#include "sys/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int stdio_check(const int fds[3], struct err **e)
{
	static const char *const names[] = {"stdin", "stdout", "stderr"};

	for (int i = 0; i < 3; i++) {
		int flags = fcntl(fds[i], F_GETFL);
		struct stat st;

		if (flags < 0 || fstat(fds[i], &st) < 0)
			return err_errno(e, errno, "cannot look at %s", names[i]);
		if (S_ISDIR(st.st_mode) || (flags & O_PATH))
			return err_set(e, EINVAL, "%s is a folder: a box would reach out of its walls through it",
				       names[i]);
	}
	return 0;
}
