#include "box/dirs.h"

#include "base/str.h"
#include "sys/file.h"

#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *variable;
	const char *below_home;
} kinds[] = {
	[DIRS_STATE] = {"XDG_STATE_HOME", ".local/state"}, [DIRS_CACHE] = {"XDG_CACHE_HOME", ".cache"},
	[DIRS_CONFIG] = {"XDG_CONFIG_HOME", ".config"},    [DIRS_DATA] = {"XDG_DATA_HOME", ".local/share"},
	[DIRS_RUNTIME] = {"XDG_RUNTIME_DIR", NULL},
};

static const char *home_folder(void)
{
	const char *home = getenv("HOME");
	const struct passwd *pw;

	if (home && *home == '/')
		return home;
	/* Only without HOME: the look-up loads name service libraries. */
	pw = getpwuid(getuid());
	return pw && pw->pw_dir && *pw->pw_dir == '/' ? pw->pw_dir : NULL;
}

static bool is_private_folder(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022);
}

int dirs_path(enum dirs_kind kind, const char *sub, char **ret, struct err **e)
{
	/* XDG: a relative path in these variables is to be ignored. */
	const char *base = getenv(kinds[kind].variable);
	const char *slash = *sub ? "/" : "";
	const char *home;

	if (base && *base == '/' && (kind != DIRS_RUNTIME || is_private_folder(base))) {
		*ret = xasprintf("%s/igloo%s%s", base, slash, sub);
		return 0;
	}
	if (kind == DIRS_RUNTIME) {
		_cleanup_free_ char *run = xasprintf("/run/user/%u", (unsigned)geteuid());
		_cleanup_free_ char *state = NULL;
		int r;

		if (is_private_folder(run)) {
			*ret = xasprintf("%s/igloo%s%s", run, slash, sub);
			return 0;
		}
		/* Root has no /run/user/0 without a login session, but all of /run. */
		if (geteuid() == 0 && is_private_folder("/run")) {
			*ret = xasprintf("/run/igloo%s%s", slash, sub);
			return 0;
		}
		r = dirs_path(DIRS_STATE, "run", &state, e);
		if (r == 0)
			*ret = xasprintf("%s%s%s", state, slash, sub);
		return r;
	}
	home = home_folder();
	if (!home) {
		(void)err_set(e, ENOENT, "no home folder: HOME is not set and the user database has none");
		return err_hint(e, "set HOME, or %s to an absolute path", kinds[kind].variable);
	}
	*ret = xasprintf("%s/%s/igloo%s%s", home, kinds[kind].below_home, slash, sub);
	return 0;
}

int dirs_open(enum dirs_kind kind, const char *sub, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	r = dirs_path(kind, sub, &path, e);
	if (r < 0)
		return r;
	fd = file_make_dirs_abs(path, 0700, e);
	if (fd < 0)
		return err_hint(e, "igloo keeps its files there; set %s to a folder you may write",
				kinds[kind].variable);
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
		return err_set(e, EPERM, "'%s' belongs to another user", path);
	return take_fd(&fd);
}
