/* Throw-away folders and git repositories for tests. */
#ifndef IGLOO_TESTS_GITREPO_H
#define IGLOO_TESTS_GITREPO_H

#include "base/str.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

/* Runs a program with its output to /dev/null; true when it exits with 0. */
static inline bool run_program(const char *const *argv)
{
	posix_spawn_file_actions_t fa;
	_cleanup_strv_ struct strv v = STRV_INIT;
	int status = -1;
	pid_t pid;

	for (size_t i = 0; argv[i]; i++)
		strv_add(&v, argv[i]);
	(void)posix_spawn_file_actions_init(&fa);
	(void)posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	if (!getenv("TEST_VERBOSE"))
		(void)posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, v.v[0], &fa, NULL, v.v, environ) == 0)
		(void)waitpid(pid, &status, 0);
	(void)posix_spawn_file_actions_destroy(&fa);
	return status == 0;
}

#define RUN(...) run_program((const char *const[]){__VA_ARGS__, NULL})
#define GIT(dir, ...)                                                                                         \
	RUN("git", "-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c",                    \
	    "protocol.file.allow=always", "-c", "init.defaultBranch=main", "-c", "advice.detachedHead=false", \
	    __VA_ARGS__)

/* A fresh folder, canonical; the caller removes it with remove_dir(). */
static inline char *make_dir(void)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *path = xasprintf("%s/igloo-test-XXXXXX", tmp ? tmp : "/tmp");

	if (!mkdtemp(path))
		abort();
	(void)setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	(void)setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	return realpath(path, NULL);
}

static inline void remove_dirp(char **path)
{
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	/* It takes paths beneath a folder only. */
	if (*path)
		(void)file_remove_tree(root, *path + 1, NULL);
	free(*path);
}
#define _cleanup_dir_ ATTR_CLEANUP(remove_dirp)

static inline char *in(const char *dir, const char *name)
{
	static char *kept[8];
	static unsigned next;

	next = (next + 1) % 8;
	free(kept[next]);
	kept[next] = xasprintf("%s/%s", dir, name);
	return kept[next];
}

static inline bool put(const char *dir, const char *name, const char *text)
{
	_cleanup_close_ int fd = open(in(dir, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd >= 0 && fd_write_all(fd, text, strlen(text)) == 0;
}

static inline void wait_ms(long ms)
{
	(void)nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* A repository at `dir`/`name` with a committed flake.nix and src/a.c; its path. */
static inline char *make_repo(const char *dir, const char *name)
{
	char *repo = xasprintf("%s/%s", dir, name);

	if (mkdir(repo, 0755) < 0 || !GIT(repo, "init", "-q") || mkdir(in(repo, "src"), 0755) < 0 ||
	    !put(repo, "flake.nix", "{ outputs = _: { }; }\n") || !put(repo, "src/a.c", "int a;\n") ||
	    !GIT(repo, "add", "-A") || !GIT(repo, "commit", "-q", "-m", "one"))
		abort();
	return repo;
}

#endif
