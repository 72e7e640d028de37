/* A delegated scope from the user's systemd (systemd-run(1), systemd.resource-control(5)). */
#include "sys/cgroup_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* The path below the mount of the user manager's cgroup: what precedes in this process's own path, or
 * where systemd puts it. The caller frees. */
static char *manager_path(const char *own)
{
	_cleanup_free_ char *name = xasprintf("user@%u.service", (unsigned)geteuid());
	const char *at = own ? strstr(own, name) : NULL;

	if (at)
		return xstrndup(own, (size_t)(at - own) + strlen(name));
	return xasprintf("user.slice/user-%u.slice/%s", (unsigned)geteuid(), name);
}

/* The absolute path of a program of the user's $PATH, or NULL. The caller frees. */
static char *find_program(const char *name)
{
	const char *path = getenv("PATH");
	_cleanup_strv_ struct strv dirs = STRV_INIT;

	strv_split(&dirs, path ? path : "/usr/bin:/bin", ':');
	for (size_t i = 0; i < dirs.n; i++) {
		_cleanup_free_ char *file = xasprintf("%s/%s", dirs.v[i], name);

		if (dirs.v[i][0] == '/' && access(file, X_OK) == 0)
			return take_ptr(file);
	}
	return NULL;
}

static int check_manager(const struct cgroup_host *host, struct err **e)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	_cleanup_free_ char *private = NULL;
	struct stat st;

	if (!host->v2.dir)
		return err_set(e, ENOTSUP,
			       "the user's systemd can set limits under cgroup v2 only, which is not mounted");
	if (geteuid() == 0)
		return err_set(e, ENOTSUP, "root needs no scope of systemd for limits");
	if (host->v2.own && strstr(host->v2.own, "/igloo-") && strstr(host->v2.own, ".scope"))
		return err_set(e, ENOTSUP, "igloo runs in a scope of systemd already, and it was not delegated");
	private = xasprintf("%s/systemd/private", runtime ? runtime : "");
	if (!str_has(runtime) || stat(private, &st) < 0) {
		(void)err_set(e, ENOTSUP, "no systemd of user %u is running%s", (unsigned)geteuid(),
			      str_has(runtime) ? "" : " (XDG_RUNTIME_DIR is not set)");
		(void)err_hint(e, "as root: loginctl enable-linger %u", (unsigned)geteuid());
		return err_hint(e, "then: export XDG_RUNTIME_DIR=/run/user/%u", (unsigned)geteuid());
	}
	return 0;
}

int cgroup_systemd_argv_on(const struct cgroup_host *host, const struct cgroup_limits *limits, struct strv *argv,
			   struct err **e)
{
	_cleanup_free_ char *program = find_program("systemd-run");
	_cleanup_free_ char *manager = NULL;
	_cleanup_free_ char *shown = NULL;
	_cleanup_close_ int fd = -1;
	int r = check_manager(host, e);

	if (r < 0)
		return r;
	if (!program) {
		(void)err_set(e, ENOTSUP, "systemd-run is not in PATH");
		return err_hint(e, "add the folder of systemd-run to PATH (it comes with systemd)");
	}
	manager = manager_path(host->v2.own);
	shown = cgroup_path(&host->v2, manager);
	fd = cgroup_open(host, &host->v2, manager);
	if (fd < 0)
		return err_set(e, ENOTSUP, "the cgroup of the user's systemd, %s, is not there", shown);
	r = cgroup_has_controllers(fd, shown, limits, e);
	if (r < 0)
		return r;
	strv_add_take(argv, take_ptr(program));
	strv_add(argv, "--user");
	strv_add(argv, "--scope");
	strv_add(argv, "--collect");
	strv_add(argv, "-q");
	strv_addf(argv, "--unit=igloo-%d-%lld.scope", (int)getpid(), (long long)cgroup_now_ms());
	strv_add(argv, "-p");
	strv_add(argv, "Delegate=yes");
	strv_add(argv, "--");
	return 0;
}
