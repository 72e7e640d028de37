#include "sys/scope.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The numbers are the same on every architecture; the C library's headers may be older than the kernel. */
enum { NR_CREATE_RULESET = 444, NR_RESTRICT_SELF = 446, CREATE_RULESET_VERSION = 1, SCOPES_ABI = 6 };

/* linux/landlock.h as of ABI 6. */
struct ruleset {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1, SCOPE_SIGNAL = 2 };

bool scope_available(void)
{
	return syscall(NR_CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION) >= SCOPES_ABI;
}

int scope_load(void)
{
	const struct ruleset rules = {.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL};
	long fd;
	int r;

	if (!scope_available())
		return 0;
	fd = syscall(NR_CREATE_RULESET, &rules, sizeof(rules), 0);
	if (fd < 0)
		return -errno;
	r = syscall(NR_RESTRICT_SELF, (int)fd, 0) < 0 ? -errno : 1;
	(void)close((int)fd);
	return r;
}
