/*
 * Some programs are compiled to use paths that do not exist beside a store: /bin/sh for system(),
 * a folder below /usr that is read at start. This library is made the first one that such a
 * program needs, and answers for those paths with others.
 *
 * `redirect.map` beside the library has a line "OLD NEW" for each. What lies below OLD moves along.
 * A path below /etc is left alone when it exists: that is somebody's configuration.
 */
#define _GNU_SOURCE
#include <alloca.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_RULES = 256 };

static struct rule {
	const char *old, *new;
	size_t length;
} rules[MAX_RULES];
static size_t rule_count;
static char text[65536];

__attribute__((constructor)) static void read_map(void)
{
	Dl_info self;
	char path[PATH_MAX], *line, *slash;
	ssize_t size;
	int fd;

	if (rule_count || !dladdr((void *)read_map, &self))
		return;
	if (snprintf(path, sizeof path - 16, "%s", self.dli_fname) >= (int)sizeof path - 16)
		return;
	slash = strrchr(path, '/');
	strcpy(slash ? slash + 1 : path, "redirect.map");
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	size = read(fd, text, sizeof text - 1);
	close(fd);
	if (size <= 0)
		return;
	text[size] = '\0';
	for (line = text; *line && rule_count < MAX_RULES;) {
		char *end = line + strcspn(line, "\n"), *blank = strchr(line, ' ');

		if (!*end || !blank || blank > end)
			break;
		*end = *blank = '\0';
		rules[rule_count].old = line;
		rules[rule_count].new = blank + 1;
		rules[rule_count++].length = (size_t)(blank - line);
		line = end + 1;
	}
}

/* `path`, or where it is now, written to `buffer`. */
static const char *moved(const char *path, char buffer[PATH_MAX])
{
	size_t i;

	if (!path || *path != '/')
		return path;
	for (i = 0; i < rule_count; i++) {
		const struct rule *r = &rules[i];

		if (strncmp(path, r->old, r->length) != 0)
			continue;
		if (path[r->length] != '/' && path[r->length] != '\0')
			continue;
		if (strncmp(path, "/etc/", 5) == 0 && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0)
			return path;
		if (snprintf(buffer, PATH_MAX, "%s%s", r->new, path + r->length) < PATH_MAX)
			return buffer;
	}
	return path;
}

/* A shell command whose first word, perhaps in quotes, is a path that has moved. */
static char *command_moved(const char *command, char buffer[PATH_MAX])
{
	char word[PATH_MAX], *result;
	const char *start = command, *now;
	size_t length;

	if (*start == '"')
		start++;
	length = strcspn(start, "\" \t\n;&|<>()$`\\'");
	if (*start != '/' || length >= sizeof word)
		return NULL;
	memcpy(word, start, length);
	word[length] = '\0';
	now = moved(word, buffer);
	if (now == word)
		return NULL;
	if (asprintf(&result, "%.*s%s%s", (int)(start - command), command, now, start + length) < 0)
		return NULL;
	return result;
}

/* The same for the arguments of a shell; `copy` holds four pointers. */
static char *const *arguments_moved(const char *path, char *const argv[], char *copy[4], char buffer[PATH_MAX])
{
	if (!path || strcmp(path, "/bin/sh") != 0 || !argv || !argv[0] || !argv[1] || !argv[2])
		return argv;
	if (strcmp(argv[1], "-c") != 0 || argv[3])
		return argv;
	copy[0] = argv[0];
	copy[1] = argv[1];
	copy[2] = command_moved(argv[2], buffer);
	copy[3] = NULL;
	return copy[2] ? copy : argv;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* -- files ------------------------------------------------------------------------------------ */

static int takes_mode(int flags)
{
	return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

#define OPEN(name)                                                   \
	int name(const char *path, int flags, ...)                   \
	{                                                            \
		char buffer[PATH_MAX];                               \
		va_list args;                                        \
		mode_t mode;                                         \
                                                                     \
		va_start(args, flags);                               \
		mode = takes_mode(flags) ? va_arg(args, mode_t) : 0; \
		va_end(args);                                        \
		return NEXT(name)(moved(path, buffer), flags, mode); \
	}

#define OPENAT(name)                                                     \
	int name(int at, const char *path, int flags, ...)               \
	{                                                                \
		char buffer[PATH_MAX];                                   \
		va_list args;                                            \
		mode_t mode;                                             \
                                                                         \
		va_start(args, flags);                                   \
		mode = takes_mode(flags) ? va_arg(args, mode_t) : 0;     \
		va_end(args);                                            \
		return NEXT(name)(at, moved(path, buffer), flags, mode); \
	}

#define FOPEN(name)                                           \
	FILE *name(const char *path, const char *mode)        \
	{                                                     \
		char buffer[PATH_MAX];                        \
                                                              \
		return NEXT(name)(moved(path, buffer), mode); \
	}

#define STAT(name, type)                                        \
	int name(const char *path, struct type *result)         \
	{                                                       \
		char buffer[PATH_MAX];                          \
                                                                \
		return NEXT(name)(moved(path, buffer), result); \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
STAT(stat, stat)
STAT(stat64, stat64)
STAT(lstat, stat)
STAT(lstat64, stat64)

#define ACCESS(name)                                          \
	int name(const char *path, int mode)                  \
	{                                                     \
		char buffer[PATH_MAX];                        \
                                                              \
		return NEXT(name)(moved(path, buffer), mode); \
	}

ACCESS(access)
ACCESS(eaccess)
ACCESS(euidaccess)

int fstatat(int at, const char *path, struct stat *result, int flags)
{
	char buffer[PATH_MAX];

	return NEXT(fstatat)(at, moved(path, buffer), result, flags);
}

int fstatat64(int at, const char *path, struct stat64 *result, int flags)
{
	char buffer[PATH_MAX];

	return NEXT(fstatat64)(at, moved(path, buffer), result, flags);
}

int faccessat(int at, const char *path, int mode, int flags)
{
	char buffer[PATH_MAX];

	return NEXT(faccessat)(at, moved(path, buffer), mode, flags);
}

int statx(int at, const char *path, int flags, unsigned mask, struct statx *result)
{
	char buffer[PATH_MAX];

	return NEXT(statx)(at, moved(path, buffer), flags, mask, result);
}

DIR *opendir(const char *path)
{
	char buffer[PATH_MAX];

	return NEXT(opendir)(moved(path, buffer));
}

int chdir(const char *path)
{
	char buffer[PATH_MAX];

	return NEXT(chdir)(moved(path, buffer));
}

ssize_t readlink(const char *path, char *result, size_t size)
{
	char buffer[PATH_MAX];

	return NEXT(readlink)(moved(path, buffer), result, size);
}

char *realpath(const char *path, char *resolved)
{
	char buffer[PATH_MAX];

	return NEXT(realpath)(moved(path, buffer), resolved);
}

/* -- programs --------------------------------------------------------------------------------- */

#define EXEC(name, parameters, arguments)                         \
	int name parameters                                       \
	{                                                         \
		char buffer[PATH_MAX], *copy[4];                  \
                                                                  \
		argv = arguments_moved(path, argv, copy, buffer); \
		path = moved(path, buffer);                       \
		return NEXT(name) arguments;                      \
	}

EXEC(execve, (const char *path, char *const argv[], char *const env[]), (path, argv, env))
EXEC(execv, (const char *path, char *const argv[]), (path, argv))
EXEC(execvp, (const char *path, char *const argv[]), (path, argv))
EXEC(execvpe, (const char *path, char *const argv[], char *const env[]), (path, argv, env))
EXEC(posix_spawn,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
      char *const argv[], char *const env[]),
     (pid, path, actions, attributes, argv, env))
EXEC(posix_spawnp,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
      char *const argv[], char *const env[]),
     (pid, path, actions, attributes, argv, env))

#define EXECL(name, run, with_environment)                 \
	int name(const char *path, const char *first, ...) \
	{                                                  \
		char *const *env = environ;                \
		char **argv;                               \
		size_t count = 1, i;                       \
		va_list args;                              \
                                                           \
		va_start(args, first);                     \
		while (va_arg(args, char *))               \
			count++;                           \
		va_end(args);                              \
		argv = alloca((count + 1) * sizeof *argv); \
		argv[0] = (char *)first;                   \
		va_start(args, first);                     \
		for (i = 1; i <= count; i++)               \
			argv[i] = va_arg(args, char *);    \
		if (with_environment)                      \
			env = va_arg(args, char *const *); \
		va_end(args);                              \
		return run(path, argv, env);               \
	}

EXECL(execl, execve, 0)
EXECL(execle, execve, 1)
EXECL(execlp, execvpe, 0)

static const char *shell(char buffer[PATH_MAX])
{
	return moved("/bin/sh", buffer);
}

/* libc's own system() does not look here, so this is another. */
int system(const char *command)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, interrupt, quit;
	char buffer[PATH_MAX], *argv[] = {"sh", "-c", (char *)command, NULL}, *changed = NULL;
	posix_spawnattr_t attributes;
	sigset_t block, mask, restored;
	int status = -1, error;
	pid_t child;

	if (!command)
		return 1;
	changed = command_moved(command, buffer);
	if (changed)
		argv[2] = changed;
	sigaction(SIGINT, &ignore, &interrupt);
	sigaction(SIGQUIT, &ignore, &quit);
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_BLOCK, &block, &mask);
	sigemptyset(&restored);
	if (interrupt.sa_handler != SIG_IGN)
		sigaddset(&restored, SIGINT);
	if (quit.sa_handler != SIG_IGN)
		sigaddset(&restored, SIGQUIT);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &mask);
	posix_spawnattr_setsigdefault(&attributes, &restored);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	error = NEXT(posix_spawn)(&child, shell(buffer), NULL, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	free(changed);
	if (error)
		status = 127 << 8;
	else
		while (waitpid(child, &status, 0) < 0)
			if (errno != EINTR) {
				status = -1;
				break;
			}
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGQUIT, &quit, NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return status;
}

/* The same for popen(); a short list stands for what libc keeps in its FILE. */
static struct stream {
	struct stream *next;
	FILE *file;
	pid_t child;
} * streams;

FILE *popen(const char *command, const char *mode)
{
	char buffer[PATH_MAX], *argv[] = {"sh", "-c", (char *)command, NULL}, *changed = NULL;
	int reading = mode[0] == 'r', ends[2], mine, theirs, error;
	posix_spawn_file_actions_t actions;
	struct stream *stream, *other;

	if (!reading && mode[0] != 'w') {
		errno = EINVAL;
		return NULL;
	}
	stream = malloc(sizeof *stream);
	if (!stream)
		return NULL;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		free(stream);
		return NULL;
	}
	mine = ends[reading ? 0 : 1];
	theirs = ends[reading ? 1 : 0];
	posix_spawn_file_actions_init(&actions);
	for (other = streams; other; other = other->next)
		posix_spawn_file_actions_addclose(&actions, fileno(other->file));
	posix_spawn_file_actions_adddup2(&actions, theirs, reading ? 1 : 0);
	changed = command_moved(command, buffer);
	if (changed)
		argv[2] = changed;
	error = NEXT(posix_spawn)(&stream->child, shell(buffer), &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	free(changed);
	close(theirs);
	stream->file = error ? NULL : fdopen(mine, reading ? "r" : "w");
	if (!stream->file) {
		close(mine);
		free(stream);
		if (error)
			errno = error;
		return NULL;
	}
	if (!strchr(mode, 'e'))
		fcntl(mine, F_SETFD, 0);
	stream->next = streams;
	streams = stream;
	return stream->file;
}

int pclose(FILE *file)
{
	struct stream **link, *stream;
	int status = -1;

	for (link = &streams; *link && (*link)->file != file; link = &(*link)->next)
		;
	stream = *link;
	if (!stream) {
		errno = ECHILD;
		return -1;
	}
	*link = stream->next;
	fclose(file);
	while (waitpid(stream->child, &status, 0) < 0 && errno == EINTR)
		;
	free(stream);
	return status;
}
