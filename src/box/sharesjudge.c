/* What sharing a folder of the host would give away (box/shares.h). */
#include "box/shares.h"

#include "base/mem.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#ifndef DEBUGFS_MAGIC
#define DEBUGFS_MAGIC 0x64626720
#endif
#ifndef TRACEFS_MAGIC
#define TRACEFS_MAGIC 0x74726163
#endif
#ifndef EFIVARFS_MAGIC
#define EFIVARFS_MAGIC 0xde5e81e4
#endif

enum { ANY_DEPTH = 99 };

/* The file systems by which a kernel is told things. */
static const unsigned long kernels_own[] = {
	PROC_SUPER_MAGIC, SYSFS_MAGIC,  CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,      TRACEFS_MAGIC,
	EFIVARFS_MAGIC,   BPF_FS_MAGIC, SECURITYFS_MAGIC,   SELINUX_MAGIC,       DEVPTS_SUPER_MAGIC,
};

/* `depth`: how far below it the same is true. */
struct place {
	const char *path;
	unsigned depth;
	const char *why;
};

static const struct place refused[] = {
	{"/", 0, "it is the whole machine"},           {"/boot", ANY_DEPTH, "it has what this machine starts"},
	{"/sys", ANY_DEPTH, "it is the kernel's own"}, {"/proc", ANY_DEPTH, "it is the kernel's own"},
	{"/dev", 0, "it has this machine's devices"},
};

static const struct place asked[] = {
	{"/etc", ANY_DEPTH, "it is the configuration of this machine"},
	{"/usr", ANY_DEPTH, "it has this machine's programs"},
	{"/bin", ANY_DEPTH, "it has this machine's programs"},
	{"/sbin", ANY_DEPTH, "it has this machine's programs"},
	{"/lib", ANY_DEPTH, "it has this machine's programs"},
	{"/lib32", ANY_DEPTH, "it has this machine's programs"},
	{"/lib64", ANY_DEPTH, "it has this machine's programs"},
	{"/libx32", ANY_DEPTH, "it has this machine's programs"},
	{"/nix", ANY_DEPTH, "it is this machine's Nix store"},
	{"/run", ANY_DEPTH, "it has what this machine's services listen at"},
	{"/root", 0, "it is root's home"},
	{"/home", 1, "it has whole homes, with their keys and logins"},
	{"/var", 1, "it has the data of this machine's services"},
	{"/opt", 0, "it holds more than a project"},
	{"/srv", 0, "it holds more than a project"},
	{"/mnt", 0, "it holds more than a project"},
	{"/media", 0, "it holds more than a project"},
	{"/tmp", 0, "it holds what every program of this machine leaves there"},
};

/* In a home. */
static const char *const logins[] = {".ssh",           ".gnupg",   ".aws",       ".azure",
				     ".kube",          ".docker",  ".netrc",     ".password-store",
				     ".config/gcloud", ".mozilla", ".config/gh", ".local/share/keyrings"};

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* How many parts of `path` lie below `folder`; -1 when it is not in it. */
static int depth_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	int depth = 0;

	if (strcmp(folder, "/") == 0)
		n = 0;
	if (strncmp(path, folder, n) != 0 || (path[n] != '/' && path[n] != '\0'))
		return -1;
	for (const char *p = path + n; *p; p++)
		if (*p == '/' && p[1] && p[1] != '/')
			depth++;
	return depth;
}

/* By its path, and by what it is: a bind mount has another path, and is the same file. */
static const char *find(const struct place *places, size_t n, const char *path, const struct stat *st)
{
	for (size_t i = 0; i < n; i++) {
		int depth = depth_below(path, places[i].path);
		struct stat here;

		if ((depth >= 0 && (unsigned)depth <= places[i].depth) ||
		    (stat(places[i].path, &here) == 0 && same_file(&here, st)))
			return places[i].why;
	}
	return NULL;
}

/* Is one of the folders on the way to `path`, or that itself, the file? */
static bool leads_through(const char *path, const struct stat *st)
{
	_cleanup_free_ char *part = xstrdup(path);
	struct stat here;

	for (char *end = part + strlen(part); end > part; end = strrchr(part, '/')) {
		*end = '\0';
		if (stat(part, &here) == 0 && same_file(&here, st))
			return true;
	}
	return stat("/", &here) == 0 && same_file(&here, st);
}

static bool is_kernels_own(int fd)
{
	struct statfs fs;

	for (size_t i = 0; fstatfs(fd, &fs) == 0 && i < ARRAY_SIZE(kernels_own); i++)
		if ((unsigned long)fs.f_type == kernels_own[i])
			return true;
	return false;
}

/* Grants, secrets, records: whoever writes them decides what boxes may, and reads what no box has. */
static char *touches_own(const char *path, const struct stat *st, const char *const *own)
{
	for (; own && *own; own++) {
		struct stat here;

		if (depth_below(*own, path) >= 0 || leads_through(*own, st))
			return xasprintf("igloo's own '%s' lies in it", *own);
		if (depth_below(path, *own) >= 0 || (stat(*own, &here) == 0 && leads_through(path, &here)))
			return xasprintf("it lies in igloo's own '%s'", *own);
	}
	return NULL;
}

static const char *find_login(const char *path, const struct stat *st, const char *home)
{
	struct stat here;

	if (stat(home, &here) == 0 && same_file(&here, st))
		return "it is your whole home, with its keys and logins";
	for (size_t i = 0; i < ARRAY_SIZE(logins); i++) {
		_cleanup_free_ char *place = xasprintf("%s/%s", home, logins[i]);

		if (depth_below(path, place) >= 0 || (lstat(place, &here) == 0 && leads_through(place, st)))
			return "it has keys or logins of yours";
	}
	return NULL;
}

enum shares_verdict shares_judge(const char *path, int fd, const struct shares_places *places, char **ret_why)
{
	const char *why = NULL;
	char *own;
	struct stat st;

	if (fstat(fd, &st) < 0) {
		*ret_why = xstrdup(strerror(errno));
		return SHARES_REFUSED;
	}
	if (is_kernels_own(fd))
		why = "it is the kernel's own";
	else if (depth_below(path, "/dev/shm") <= 0 && depth_below(path, "/dev") > 0)
		why = "it is one of this machine's devices";
	else
		why = find(refused, ARRAY_SIZE(refused), path, &st);
	own = why ? xstrdup(why) : touches_own(path, &st, places->own);
	if (own) {
		*ret_why = own;
		return SHARES_REFUSED;
	}
	why = find(asked, ARRAY_SIZE(asked), path, &st);
	if (!why && places->home)
		why = find_login(path, &st, places->home);
	if (!why)
		return SHARES_FINE;
	*ret_why = xstrdup(why);
	return SHARES_ASK;
}
