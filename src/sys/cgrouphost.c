/* Where this process stands in the cgroup hierarchies, from /proc/self/cgroup and /proc/self/mountinfo. */
#include "sys/cgroup_impl.h"

#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <linux/magic.h>
#include <sys/vfs.h>

const char *const cgroup_controller_names[CG_COUNT] = {"cpu", "memory", "pids", "freezer"};

/* The next line of *text without its end, or NULL; the caller frees. */
static char *next_line(const char **text)
{
	const char *start = *text;
	size_t n = strcspn(start, "\n");

	if (!*start)
		return NULL;
	*text = start + n + (start[n] == '\n');
	return xstrndup(start, n);
}

/* Undoes the \ooo of mountinfo in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

static bool has_item(const char *list, const char *item)
{
	_cleanup_strv_ struct strv items = STRV_INIT;

	strv_split(&items, list, ',');
	return strv_has(&items, item);
}

/* This process's path in the hierarchy of the controller ("" for v2), or NULL. The caller frees. */
static char *own_path(const char *cgroup, const char *controller)
{
	for (;;) {
		_cleanup_free_ char *line = next_line(&cgroup);
		char *list;
		char *path;

		if (!line)
			return NULL;
		list = strchr(line, ':');
		path = list ? strchr(list + 1, ':') : NULL;
		if (!path)
			continue;
		*path++ = '\0';
		list++;
		if (*controller ? has_item(list, controller) : !*list)
			return xstrdup(path);
	}
}

/* What is left of `own` below a mount whose root is `root`, without slashes around it; NULL when the
 * mount does not show it. */
static char *below(const char *own, const char *root)
{
	size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (!own || strncmp(own, root, n) != 0 || (own[n] && own[n] != '/'))
		return NULL;
	own += n;
	own += strspn(own, "/");
	if (str_starts(own, "..")) /* outside of this cgroup namespace */
		return NULL;
	return xstrdup(own);
}

/* Takes the mount when it is the first, or the first that shows this process's cgroup. */
static void take_mount(struct cgroup_mount *m, const char *dir, const char *root, const char *own)
{
	_cleanup_free_ char *rest = below(own, root);

	if (m->dir && (m->own || !rest))
		return;
	free(m->dir);
	free(m->own);
	m->dir = xstrdup(dir);
	m->own = take_ptr(rest);
}

/* mountinfo: id parent major:minor root dir options [optional…] - type source superoptions */
static void parse_mount(const char *line, const char *cgroup, struct cgroup_host *host)
{
	_cleanup_strv_ struct strv w = STRV_INIT;
	size_t dash = 6;

	strv_split(&w, line, ' ');
	while (dash < w.n && strcmp(w.v[dash], "-") != 0)
		dash++;
	if (dash + 3 >= w.n)
		return;
	unescape(w.v[3]);
	unescape(w.v[4]);
	if (strcmp(w.v[dash + 1], "cgroup2") == 0) {
		_cleanup_free_ char *own = own_path(cgroup, "");

		take_mount(&host->v2, w.v[4], w.v[3], own);
	} else if (strcmp(w.v[dash + 1], "cgroup") == 0) {
		for (int c = 0; c < CG_COUNT; c++) {
			_cleanup_free_ char *own = own_path(cgroup, cgroup_controller_names[c]);

			if (own && has_item(w.v[dash + 3], cgroup_controller_names[c]))
				take_mount(&host->v1[c], w.v[4], w.v[3], own);
		}
	}
}

void cgroup_host_parse(const char *cgroup, const char *mountinfo, struct cgroup_host *ret)
{
	*ret = (struct cgroup_host){.fake = 0};
	for (;;) {
		_cleanup_free_ char *line = next_line(&mountinfo);

		if (!line)
			return;
		parse_mount(line, cgroup, ret);
	}
}

static int read_proc(const char *path, struct str *to, struct err **e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "cannot open %s", path);
	r = fd_read_all(fd, 16 << 20, to, e);
	return r < 0 ? err_wrap(e, "%s", path) : 0;
}

int cgroup_host_read(struct cgroup_host *ret, struct err **e)
{
	_cleanup_str_ struct str cgroup = STR_INIT;
	_cleanup_str_ struct str mountinfo = STR_INIT;
	int r = read_proc("/proc/self/mountinfo", &mountinfo, e);

	if (r < 0)
		return r;
	r = read_proc("/proc/self/cgroup", &cgroup, e);
	if (r == -ENOENT) /* a kernel without cgroups */
		err_clear(e);
	else if (r < 0)
		return r;
	cgroup_host_parse(str_text(&cgroup), str_text(&mountinfo), ret);
	return 0;
}

void cgroup_host_release(struct cgroup_host *host)
{
	free(host->v2.dir);
	free(host->v2.own);
	for (int c = 0; c < CG_COUNT; c++) {
		free(host->v1[c].dir);
		free(host->v1[c].own);
	}
	*host = (struct cgroup_host){.fake = 0};
}

int cgroup_open(const struct cgroup_host *host, const struct cgroup_mount *m, const char *path)
{
	_cleanup_close_ int root = open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs;

	if (root < 0)
		return -errno;
	if (!host->fake) { /* another mount may lie over it */
		if (fstatfs(root, &fs) < 0)
			return -errno;
		if (fs.f_type != CGROUP2_SUPER_MAGIC && fs.f_type != CGROUP_SUPER_MAGIC)
			return -ENOTDIR;
	}
	if (!*path)
		return take_fd(&root);
	return file_open_beneath(root, path, O_RDONLY | O_DIRECTORY, 0);
}

char *cgroup_path(const struct cgroup_mount *m, const char *below_dir)
{
	_cleanup_free_ char *path = xasprintf("%s%s%s", m->dir, *below_dir ? "/" : "", below_dir);
	struct str s = STR_INIT;

	str_add_printable(&s, path, strlen(path), false);
	return str_take(&s);
}
