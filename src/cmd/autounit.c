#include "cmd/autounit.h"

#include "base/name.h"
#include "box/dirs.h"
#include "sys/file.h"
#include "sys/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char head[] = "# igloo autostart: ";
static const char prefix[] = "igloo-";
static const char suffix[] = ".service";
#define WANTS "default.target.wants"
enum { UNIT_MAX_BYTES = 65536, RELOAD_MS = 10000 };

/* --- the text ------------------------------------------------------------------------------------------------------
 */

/* One word in double quotes: C escapes, and "%" doubled, which begins a specifier. */
static void add_word(struct str *to, const char *text)
{
	str_addc(to, '"');
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			str_addf(to, "\\%c", c);
		else if (c == '%')
			str_adds(to, "%%");
		else if (c < 0x20 || c == 0x7f)
			str_addf(to, "\\x%02x", c);
		else
			str_addc(to, (char)c);
	}
	str_addc(to, '"');
}

/* systemd refuses a program whose name has quotes and the like, and expands "$" in arguments but behind ":". */
static void add_program(struct str *to, const char *program)
{
	size_t plain = strspn(program, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-=");

	if (program[plain])
		str_adds(to, ":/usr/bin/env ");
	add_word(to, program);
}

void autounit_add(struct str *to, const char *name, const char *program, char *const *env)
{
	str_addf(to,
		 "%s%s\n"
		 "[Unit]\nDescription=igloo box %s\nDocumentation=man:igloo(1)\n\n"
		 "[Service]\nType=forking\n"
		 /* Its cgroup is the box's to divide: limits are set below it. */
		 "Delegate=yes\n"
		 /* An environment that changed is built before the box runs. */
		 "TimeoutStartSec=1h\nTimeoutStopSec=45s\n",
		 head, name, name);
	for (; *env; env++) {
		str_adds(to, "Environment=");
		add_word(to, *env);
		str_addc(to, '\n');
	}
	str_adds(to, "ExecStart=");
	add_program(to, program);
	str_addf(to, " start %s\nExecStop=", name);
	add_program(to, program);
	str_addf(to, " stop %s\n\n[Install]\nWantedBy=default.target\n", name);
}

/* What igloo and the Nix it finds depend on, and a user's systemd may have otherwise. */
static void add_environment(struct strv *env)
{
	static const char *const passed[] = {"PATH", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
					     "XDG_DATA_HOME"};

	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		if (str_has(getenv(passed[i])))
			strv_addf(env, "%s=%s", passed[i], getenv(passed[i]));
}

/* --- the files -----------------------------------------------------------------------------------------------------
 */

static int units_path(char **ret, struct err **e)
{
	_cleanup_free_ char *own = NULL;
	int r = dirs_path(DIRS_CONFIG, "", &own, e);

	if (r < 0)
		return r;
	/* Ours lies beside systemd's. */
	*strrchr(own, '/') = '\0';
	*ret = xasprintf("%s/systemd/user", own);
	return 0;
}

/* -ENOENT when there is none and `make` is false. */
static int open_units(bool make, char **ret_path, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	int fd;
	int r = units_path(&path, e);

	if (r < 0)
		return r;
	fd = make ? file_make_dirs_abs(path, 0755, e) : file_open_user(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return make ? fd : err_errno(e, -fd, "cannot open '%s'", path);
	if (ret_path)
		*ret_path = take_ptr(path);
	return fd;
}

/* 1: ours, 0: there is none, -EEXIST: another's. */
static int whose(int units, const char *file, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;
	struct stat st;

	if (fstatat(units, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "cannot look at '%s'", file);
	if (file_read(units, file, UNIT_MAX_BYTES, &text, NULL) == 0 && str_starts(str_text(&text), head))
		return 1;
	(void)err_set(e, EEXIST, "the systemd unit '%s' was not written by igloo", file);
	return err_hint(e, "remove it, or give the box another name");
}

static char *link_name(const char *file)
{
	return xasprintf(WANTS "/%s", file);
}

int autounit_write(const char *name, struct err **e)
{
	_cleanup_free_ char *file = xasprintf("%s%s%s", prefix, name, suffix);
	_cleanup_free_ char *link = link_name(file);
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *target = NULL;
	_cleanup_close_ int units = open_units(true, &path, e);
	_cleanup_close_ int wants = units < 0 ? -1 : file_make_dirs(units, WANTS, 0755, e);
	_cleanup_strv_ struct strv env = STRV_INIT;
	_cleanup_str_ struct str text = STR_INIT;
	char *const none[] = {NULL};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int r = units < 0 ? units : wants < 0 ? wants : whose(units, file, e);

	if (r < 0)
		return r;
	if (n < 0)
		return err_errno(e, errno, "cannot find igloo's own program");
	self[n] = '\0';
	add_environment(&env);
	autounit_add(&text, name, self, env.v ? env.v : none);
	r = file_replace(units, file, text.p, text.len, 0644, true, e);
	if (r < 0)
		return err_wrap(e, "cannot write the unit of box '%s'", name);
	target = xasprintf("%s/%s", path, file);
	(void)unlinkat(units, link, 0);
	if (symlinkat(target, units, link) < 0 && errno != EEXIST)
		return err_errno(e, errno, "cannot enable the unit of box '%s'", name);
	return 0;
}

int autounit_remove(const char *name, bool *ret_was, struct err **e)
{
	_cleanup_free_ char *file = xasprintf("%s%s%s", prefix, name, suffix);
	_cleanup_free_ char *link = link_name(file);
	_cleanup_err_ struct err *problem = NULL;
	_cleanup_close_ int units = open_units(false, NULL, &problem);
	int r;

	*ret_was = false;
	if (units == -ENOENT)
		return 0;
	if (units < 0)
		return err_set(e, -units, "%s", err_message(problem));
	r = whose(units, file, e);
	if (r <= 0)
		return r;
	/* The link first: what is left of a removal that was killed is a unit that nothing starts. */
	(void)unlinkat(units, link, 0);
	if (unlinkat(units, file, 0) < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot remove the unit of box '%s'", name);
	*ret_was = true;
	return 0;
}

int autounit_list(struct strv *ret, struct err **e)
{
	_cleanup_err_ struct err *problem = NULL;
	_cleanup_close_ int units = open_units(false, NULL, &problem);
	_cleanup_close_ int copy = units < 0 ? -1 : openat(units, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *ent;
	DIR *d;

	if (units == -ENOENT)
		return 0;
	if (units < 0)
		return err_set(e, -units, "%s", err_message(problem));
	d = copy < 0 ? NULL : fdopendir(copy);
	if (!d)
		return err_errno(e, errno, "cannot list systemd's units");
	(void)take_fd(&copy);
	while ((ent = readdir(d))) {
		_cleanup_free_ char *link = link_name(ent->d_name);
		_cleanup_free_ char *name = NULL;
		struct stat st;

		if (!str_starts(ent->d_name, prefix) || !str_ends(ent->d_name, suffix))
			continue;
		name = xstrndup(ent->d_name + sizeof(prefix) - 1,
				strlen(ent->d_name) - (sizeof(prefix) - 1) - (sizeof(suffix) - 1));
		if (name_is_valid(name) && fstatat(units, link, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    whose(units, ent->d_name, NULL) == 1)
			strv_add(ret, name);
	}
	(void)closedir(d);
	strv_sort_unique(ret);
	return 0;
}

void autounit_reload(void)
{
	_cleanup_free_ char *systemctl = spawn_find("systemctl", NULL, NULL);
	char name[] = "systemctl", user[] = "--user", reload[] = "daemon-reload";
	char *const argv[] = {name, user, reload, NULL};
	const struct spawn s = {.file = systemctl, .argv = argv, .max_output = 4096, .time_limit_ms = RELOAD_MS};

	if (systemctl)
		(void)spawn_check(&s, NULL, NULL);
}
