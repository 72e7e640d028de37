#include "nix/source.h"

#include "nix/gitrun.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#if defined(__aarch64__)
#define EXAMPLE_SYSTEM "aarch64-linux"
#else
#define EXAMPLE_SYSTEM "x86_64-linux"
#endif

static const char example_flake[] = "write a flake.nix there (and `git add -N flake.nix`), for example:\n"
				    "  {\n"
				    "    inputs.nixpkgs.url = \"github:NixOS/nixpkgs/nixos-unstable\";\n"
				    "    outputs = { nixpkgs, ... }: {\n"
				    "      devShells." EXAMPLE_SYSTEM
				    ".default = with nixpkgs.legacyPackages." EXAMPLE_SYSTEM "; mkShell {\n"
				    "        packages = [ hello ];\n"
				    "      };\n"
				    "    };\n"
				    "  }";

enum { GITFILE_MAX = 16384 };

static char *printable(const char *path)
{
	struct str s = STR_INIT;

	str_add_printable(&s, path, strlen(path), false);
	return str_take(&s);
}

static char *join(const char *dir, const char *name)
{
	if (*name == '/')
		return xstrdup(name);
	return xasprintf("%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name);
}

static bool exists_in(const char *dir, const char *name)
{
	_cleanup_free_ char *path = join(dir, name);
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Cuts the last component off; "/a" becomes "/". */
static void to_parent(char *path)
{
	char *slash = strrchr(path, '/');

	slash[slash == path ? 1 : 0] = '\0';
}

/* The first line of a small file without its line end; -EINVAL when it is empty or holds a NUL. */
static int read_line(const char *path, struct str *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	r = fd_read_all(fd, GITFILE_MAX, ret, NULL);
	if (r < 0)
		return r;
	while (ret->len > 0 && (ret->p[ret->len - 1] == '\n' || ret->p[ret->len - 1] == '\r'))
		ret->p[--ret->len] = '\0';
	return ret->len == 0 || strlen(ret->p) != ret->len ? -EINVAL : 0;
}

static int not_a_repository(const char *dot_git, const char *why, struct err **e)
{
	_cleanup_free_ char *shown = printable(dot_git);

	(void)err_set(e, EINVAL, "'%s' is not a git repository: %s", shown, why);
	(void)err_hint(e, "repair it, or remove it if the folder is not meant to be one");
	return -EINVAL;
}

int source_git_dirs(const char *work_dir, char **ret_git_dir, char **ret_common_dir, struct err **e)
{
	_cleanup_free_ char *dot_git = join(work_dir, ".git");
	_cleanup_free_ char *git_dir = NULL;
	_cleanup_free_ char *common_dir = NULL;
	_cleanup_free_ char *commondir_file = NULL;
	_cleanup_str_ struct str line = STR_INIT;
	struct stat st;
	int r;

	if (stat(dot_git, &st) < 0)
		return errno == ENOENT && !exists_in(work_dir, ".git") ? err_errno(e, ENOENT, "no repository")
								       : not_a_repository(dot_git, strerror(errno), e);
	if (S_ISREG(st.st_mode)) {
		_cleanup_free_ char *named = NULL;

		if (read_line(dot_git, &line) < 0 || !str_starts(str_text(&line), "gitdir: ") || line.len == 8)
			return not_a_repository(dot_git, "it is a file without 'gitdir: PATH'", e);
		named = join(work_dir, str_text(&line) + 8);
		git_dir = realpath(named, NULL);
	} else if (S_ISDIR(st.st_mode)) {
		git_dir = realpath(dot_git, NULL);
	} else {
		return not_a_repository(dot_git, "it is neither a folder nor a file", e);
	}
	if (!git_dir)
		return not_a_repository(dot_git, "the folder it names is not there", e);
	if (!exists_in(git_dir, "HEAD"))
		return not_a_repository(dot_git, "it has no HEAD", e);

	str_clear(&line);
	commondir_file = join(git_dir, "commondir");
	r = read_line(commondir_file, &line);
	if (r == 0) {
		_cleanup_free_ char *named = join(git_dir, str_text(&line));

		common_dir = realpath(named, NULL);
		if (!common_dir)
			return not_a_repository(dot_git, "the folder that its 'commondir' names is not there", e);
	} else if (r == -ENOENT) {
		common_dir = xstrdup(git_dir);
	} else {
		return not_a_repository(dot_git, "its 'commondir' cannot be read", e);
	}
	*ret_git_dir = take_ptr(git_dir);
	*ret_common_dir = take_ptr(common_dir);
	return 0;
}

/* Sets *ret to the folder with flake.nix, from `start` (canonical) upward. */
static int find_flake(const char *start, char **ret, struct err **e)
{
	_cleanup_free_ char *dir = xstrdup(start);
	_cleanup_free_ char *shown = printable(start);
	_cleanup_free_ char *top = NULL;
	struct stat st;
	dev_t dev;

	if (stat(dir, &st) < 0)
		return err_errno(e, errno, "cannot look at '%s'", shown);
	dev = st.st_dev;
	for (;;) {
		if (exists_in(dir, "flake.nix")) {
			*ret = take_ptr(dir);
			return 0;
		}
		if (exists_in(dir, ".git") || strcmp(dir, "/") == 0)
			break;
		to_parent(dir);
		if (stat(dir, &st) < 0 || st.st_dev != dev)
			break;
	}
	top = printable(dir);
	if (strcmp(dir, start) == 0)
		(void)err_set(e, ENOENT, "no flake.nix in '%s'", shown);
	else
		(void)err_set(e, ENOENT, "no flake.nix in '%s' nor in the folders above it, up to '%s'", shown, top);
	(void)err_hint(e, "%s", example_flake);
	return -ENOENT;
}

/* Whether `path` (canonical) is `dir` or lies below it. */
static bool is_inside(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Whether `path`, relative to `base`, means the same place as `wanted`. */
static bool means(const char *base, const char *path, const char *wanted)
{
	_cleanup_free_ char *named = join(base, path);
	_cleanup_free_ char *real = realpath(named, NULL);
	_cleanup_free_ char *other = realpath(wanted, NULL);

	return real && other && strcmp(real, other) == 0;
}

/* core.worktree of a git folder, as submodules have it. */
static bool names_work_tree(const char *git_dir, const char *work_dir)
{
	const struct gitrepo repo = {work_dir, git_dir, git_dir};
	_cleanup_free_ char *config = join(git_dir, "config");
	const char *const args[] = {"config", "--no-includes", "--file", config, "--get", "core.worktree", NULL};
	_cleanup_str_ struct str out = STR_INIT;
	int status = 1;

	if (gitrun(&repo, args, GITFILE_MAX, &status, &out, NULL) < 0 || status != 0)
		return false;
	while (out.len > 0 && out.p[out.len - 1] == '\n')
		out.p[--out.len] = '\0';
	return out.len > 0 && strlen(out.p) == out.len && means(git_dir, out.p, work_dir);
}

/* A .git that leads out of the work tree is only a claim, and the repository may be the enemy's: believed, it would be
 * given another project's slot and objects. It counts when what it leads to names this work tree back, which only the
 * owner of that place could have written: a worktree's `gitdir` file, a submodule's core.worktree. */
static int check_claim(const char *work_dir, const char *git_dir, const char *common_dir, struct err **e)
{
	_cleanup_free_ char *dot_git = join(work_dir, ".git");
	_cleanup_free_ char *back = join(git_dir, "gitdir");
	_cleanup_free_ char *worktrees = join(common_dir, "worktrees");
	_cleanup_str_ struct str line = STR_INIT;
	const char *name = strrchr(git_dir, '/');
	struct stat st;

	if (is_inside(git_dir, work_dir) && is_inside(common_dir, work_dir))
		return 0;
	/* A link to the folder itself is no claim that git makes. */
	if (lstat(dot_git, &st) == 0 && S_ISREG(st.st_mode)) {
		if (strlen(worktrees) == (size_t)(name - git_dir) &&
		    strncmp(worktrees, git_dir, strlen(worktrees)) == 0 && read_line(back, &line) == 0 &&
		    means(git_dir, str_text(&line), dot_git))
			return 0;
		if (strcmp(git_dir, common_dir) == 0 && names_work_tree(git_dir, work_dir))
			return 0;
	}
	{
		_cleanup_free_ char *shown = printable(dot_git);
		_cleanup_free_ char *other = printable(common_dir);

		(void)err_set(e, EPERM,
			      "'%s' leads to '%s', which does not name this folder back: it may be another project's",
			      shown, other);
		(void)err_hint(
			e,
			"if it is this project's: git --git-dir '%s' config core.worktree FOLDER; for a worktree: "
			"git worktree repair",
			other);
		return -EPERM;
	}
}

int source_find(const char *start_dir, struct source *ret, struct err **e)
{
	_cleanup_source_ struct source s = {0};
	_cleanup_free_ char *start = realpath(start_dir, NULL);
	struct stat st;
	int r;

	if (!start || stat(start, &st) < 0 || !S_ISDIR(st.st_mode)) {
		_cleanup_free_ char *shown = printable(start_dir);

		return err_errno(e, start ? ENOTDIR : errno, "cannot use '%s' as the project's folder", shown);
	}
	r = find_flake(start, &s.flake_dir, e);
	if (r < 0)
		return r;
	if (strcmp(s.flake_dir, "/") == 0)
		return err_set(e, EINVAL, "the flake in '/' is the whole file system: move it to a folder of its own");

	s.repo_dir = xstrdup(s.flake_dir);
	while (strcmp(s.repo_dir, "/") != 0 && !exists_in(s.repo_dir, ".git"))
		to_parent(s.repo_dir);
	s.is_git = strcmp(s.repo_dir, "/") != 0;
	if (!s.is_git) {
		free(s.repo_dir);
		s.repo_dir = xstrdup(s.flake_dir);
	}
	s.subdir = xstrdup(s.flake_dir + strlen(s.repo_dir) + (strcmp(s.flake_dir, s.repo_dir) == 0 ? 0 : 1));
	if (s.is_git) {
		r = source_git_dirs(s.repo_dir, &s.git_dir, &s.common_dir, e);
		if (r == 0)
			r = check_claim(s.repo_dir, s.git_dir, s.common_dir, e);
		if (r < 0)
			return r;
	}
	*ret = s;
	memset(&s, 0, sizeof(s));
	return 0;
}

void source_release(struct source *s)
{
	free(s->flake_dir);
	free(s->repo_dir);
	free(s->subdir);
	free(s->git_dir);
	free(s->common_dir);
	*s = (struct source){0};
}
