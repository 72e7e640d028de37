/* The launcher: how a distribution's program runs in a box that has none of its libraries.
 *
 * igloo copies a program, its libraries and its loader into one folder (nix/bundle.h) and puts a copy of
 * this static program where the program's name is expected:
 *
 *     ROOT/bin/NAME          a copy of the launcher (or below any other folder of ROOT)
 *     ROOT/programs/NAME     the real program
 *     ROOT/lib/ld.so         its loader, and its libraries beside
 *     ROOT/environment       lines KEY=path below ROOT; may be missing
 *
 * The launcher finds itself by /proc/self/exe (so symbolic links to it work, and argv[0] still tells a
 * program of many names which was meant), takes the nearest folder above that holds lib/ld.so as ROOT, sets
 * KEY to ROOT/path for each line, and executes
 *
 *     ROOT/lib/ld.so --library-path ROOT/lib --argv0 ARGV0 ROOT/programs/NAME ARGUMENTS…
 *
 * with which LD_LIBRARY_PATH does not reach the program. Nothing in it depends on where ROOT is. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>

enum { LEVELS = 6, ENVIRONMENT_MAX = 4096 };

static _Noreturn void fail(const char *what, const char *path)
{
	(void)dprintf(2, "igloo launcher: %s '%s': %s\n", what, path, strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void join(char to[static PATH_MAX], const char *root, const char *below, const char *name)
{
	int n = snprintf(to, PATH_MAX, "%s/%s%s", root, below, name);

	if (n < 0 || n >= PATH_MAX) {
		errno = ENAMETOOLONG;
		fail("cannot run", root);
	}
}

/* Shortens `path` to the folder that holds lib/ld.so. */
static void find_root(char path[static PATH_MAX])
{
	char loader[PATH_MAX];

	for (int i = 0; i < LEVELS; i++) {
		char *slash = strrchr(path, '/');

		if (!slash || slash == path)
			break;
		*slash = '\0';
		join(loader, path, "lib/ld.so", "");
		if (access(loader, X_OK) == 0)
			return;
	}
	errno = ENOENT;
	fail("no lib/ld.so above", "/proc/self/exe");
}

static void set_environment(const char *root)
{
	char path[PATH_MAX];
	char text[ENVIRONMENT_MAX + 1];
	char *line = text;
	ssize_t n;
	int fd;

	join(path, root, "environment", "");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return;
	n = fd < 0 ? -1 : read(fd, text, ENVIRONMENT_MAX);
	if (n < 0)
		fail("cannot read", path);
	(void)close(fd);
	text[n] = '\0';
	while (*line) {
		char *end = strchr(line, '\n');
		char *equals;

		if (!end)
			break;
		*end = '\0';
		equals = strchr(line, '=');
		if (equals) {
			*equals = '\0';
			join(path, root, "", equals + 1);
			if (setenv(line, path, 1) < 0)
				fail("cannot set", line);
		}
		line = end + 1;
	}
}

int main(int argc, char **argv)
{
	static char option_path[] = "--library-path";
	static char option_argv0[] = "--argv0";
	static char root[PATH_MAX];
	static char loader[PATH_MAX];
	static char libraries[PATH_MAX];
	static char program[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", root, sizeof(root) - 1);
	const char *slash;
	char *name;
	char **args = calloc((size_t)argc + 8, sizeof(*args));
	int k = 0;

	if (n < 0 || !args)
		fail("cannot read", "/proc/self/exe");
	root[n] = '\0';
	slash = strrchr(root, '/');
	name = strdup(slash ? slash + 1 : root);
	if (!name)
		fail("cannot run", root);
	find_root(root);
	set_environment(root);
	join(loader, root, "lib/ld.so", "");
	join(libraries, root, "lib", "");
	join(program, root, "programs/", name);
	args[k++] = loader;
	args[k++] = option_path;
	args[k++] = libraries;
	args[k++] = option_argv0;
	args[k++] = argc > 0 ? argv[0] : name;
	args[k++] = program;
	for (int i = 1; i < argc; i++)
		args[k++] = argv[i];
	(void)execv(loader, args);
	fail("cannot run", loader);
}
