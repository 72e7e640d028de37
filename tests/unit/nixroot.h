/* For tests that need a /nix of their own: runs the test program again inside bubblewrap, with an empty
 * folder as /nix and the rest of the machine as it is. Skips the whole program where that cannot be. */
#ifndef IGLOO_TESTS_NIXROOT_H
#define IGLOO_TESTS_NIXROOT_H

#include "base/str.h"
#include "sys/file.h"
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static inline int shell(const char *script, struct str *out)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_err_ struct err *e = NULL;
	struct spawn s = {.file = "/bin/sh", .max_output = 1 << 24, .time_limit_ms = 120000};
	int r;

	strv_add(&argv, "sh");
	strv_add(&argv, "-ec");
	strv_add(&argv, script);
	s.argv = argv.v;
	r = spawn_check(&s, out, &e);
	if (r < 0)
		printf("# %s\n# %s\n", err_message(e), err_details(e));
	while (out && out->len > 0 && out->p[out->len - 1] == '\n')
		out->p[--out->len] = '\0';
	return r;
}

static inline void nixroot_skip(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(0);
}

/* /proc after the root, which would cover it: LeakSanitizer looks for its process there. */
#define NIXROOT_BWRAP "bwrap --unshare-pid --dev-bind / / --proc /proc --tmpfs /nix "

static inline void nixroot_enter(void)
{
	char self[4096];
	char dir[] = "/tmp/igloo-nixroot-XXXXXX";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int status = 1;
	pid_t pid;

	if (getenv("IGLOO_TEST_NIXROOT"))
		return;
	if (access("/nix", F_OK) < 0)
		nixroot_skip("no Nix on this machine");
	if (shell(NIXROOT_BWRAP "true", NULL) < 0)
		nixroot_skip("bubblewrap does not work here");
	/* In an empty /nix: as an ordinary user it may not open that of the machine without a daemon. */
	if (shell(NIXROOT_BWRAP "nix-store --version", NULL) < 0)
		nixroot_skip("no Nix on this machine, or one in /nix/store itself");
	if (n < 0 || !mkdtemp(dir) || chmod(dir, 0755) < 0)
		nixroot_skip("no temporary folder");
	self[n] = '\0';
	(void)setenv("IGLOO_TEST_NIXROOT", dir, 1);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (geteuid() == 0)
			(void)execlp("bwrap", "bwrap", "--die-with-parent", "--unshare-pid", "--cap-add", "ALL",
				     "--dev-bind", "/", "/", "--proc", "/proc", "--bind", dir, "/nix", self,
				     (char *)NULL);
		else
			(void)execlp("bwrap", "bwrap", "--die-with-parent", "--unshare-pid", "--dev-bind", "/", "/",
				     "--proc", "/proc", "--bind", dir, "/nix", self, (char *)NULL);
		_exit(1);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	(void)file_remove_tree(open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir + strlen("/tmp/"), NULL);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Before the tests of the file that includes this. */
__attribute__((constructor(101))) static void nixroot_first(void)
{
	nixroot_enter();
}

#endif
