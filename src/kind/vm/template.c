#include "kind/vm/template.h"

#include "base/str.h"
#include "guest/image.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "template-"
#define REFUSED ".no"

enum {
	NAME_DIGITS = 16,
	HEADER = VMHOST_STATE_OFFSET,
	CPUINFO_MAX = 16384,
	WHY_MAX = 4096,
	REFUSED_S = 24 * 3600,
	COPY = 1 << 20,
	LISTED_MAX = 256,
};
#define BYTES_MAX ((int64_t)4 << 30)

/* --- the key ------------------------------------------------------------------------------------------------------ */

/* What igloo has made has its content's key in its name, and a time that says when it was used. */
static int add_file(const struct vmcache *c, const char *path, uint64_t *key, struct err **e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_errno(e, errno, "%s", path);
	if (str_starts(path, c->path) && path[strlen(c->path)] == '/' && !strchr(path + strlen(c->path) + 1, '/')) {
		vmcache_key_add_text(key, path + strlen(c->path));
		vmcache_key_add(key, &st.st_size, sizeof(st.st_size));
	} else {
		vmcache_key_add_text(key, path);
		vmcache_key_add_state(key, &st);
	}
	return 0;
}

/* The first processor, without how fast it is just now. */
static void add_processor(const char *cpuinfo, uint64_t *key)
{
	while (*cpuinfo && *cpuinfo != '\n') {
		size_t n = strcspn(cpuinfo, "\n");

		if (!memmem(cpuinfo, n, "MHz", 3) && strncasecmp(cpuinfo, "bogomips", 8) != 0)
			vmcache_key_add(key, cpuinfo, n);
		cpuinfo += n + (cpuinfo[n] == '\n');
	}
}

static void add_own_processor(uint64_t *key)
{
	_cleanup_close_ int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	char text[CPUINFO_MAX];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	struct utsname host;

	text[n < 0 ? 0 : n] = '\0';
	add_processor(text, key);
	/* With KVM part of the machine is the host's kernel. */
	if (uname(&host) == 0)
		vmcache_key_add_text(key, host.release);
}

int template_key(const struct vmcache *c, const struct template_of *of, uint64_t *ret, struct err **e)
{
	uint64_t key = VMCACHE_KEY_INIT;
	int r;

	vmcache_key_add_text(&key, "template 1");
	r = add_file(c, of->qemu, &key, e);
	if (r == 0)
		r = add_file(c, of->kernel, &key, e);
	if (r == 0)
		r = add_file(c, of->initrd, &key, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < of->argv->n; i++)
		vmcache_key_add_text(&key, of->argv->v[i]);
	if (of->cpuinfo)
		add_processor(of->cpuinfo, &key);
	else
		add_own_processor(&key);
	*ret = key;
	return 0;
}

/* --- those there are ---------------------------------------------------------------------------------------------- */

static char *name_of(uint64_t key, const char *suffix)
{
	return xasprintf(PREFIX "%016" PRIx64 "%s", key, suffix);
}

static void put_header(uint64_t key, int64_t bytes, char header[HEADER])
{
	memset(header, 0, HEADER);
	(void)snprintf(header, HEADER, "igloo-template 1 %016" PRIx64 " %" PRId64 "\n", key, bytes);
}

static bool is_whole(int fd, uint64_t key)
{
	char header[HEADER];
	char wanted[HEADER];
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= HEADER || st.st_uid != geteuid() ||
	    pread(fd, header, HEADER, 0) != HEADER)
		return false;
	put_header(key, st.st_size, wanted);
	return memcmp(header, wanted, HEADER) == 0;
}

char *template_find(const struct vmcache *c, uint64_t key)
{
	_cleanup_free_ char *name = name_of(key, "");
	_cleanup_close_ int fd = file_open_beneath(c->dir, name, O_RDONLY | O_NONBLOCK, 0);

	if (fd < 0)
		return NULL;
	if (!is_whole(fd, key)) {
		(void)unlinkat(c->dir, name, 0);
		return NULL;
	}
	(void)futimens(fd, NULL);
	return xasprintf("%s/%s", c->path, name);
}

void template_drop(const struct vmcache *c, uint64_t key, const char *why)
{
	_cleanup_free_ char *name = name_of(key, "");
	_cleanup_free_ char *no = name_of(key, REFUSED);

	(void)unlinkat(c->dir, name, 0);
	if (why)
		(void)file_replace(c->dir, no, why, strlen(why), 0600, false, NULL);
	else
		(void)unlinkat(c->dir, no, 0);
}

char *template_refused(const struct vmcache *c, uint64_t key)
{
	_cleanup_free_ char *no = name_of(key, REFUSED);
	_cleanup_str_ struct str why = STR_INIT;
	_cleanup_str_ struct str shown = STR_INIT;
	time_t now = time(NULL);
	struct stat st;

	if (fstatat(c->dir, no, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_mtime > now || st.st_mtime < now - REFUSED_S)
		return NULL;
	if (file_read(c->dir, no, WHY_MAX, &why, NULL) < 0)
		str_clear(&why);
	str_add_printable(&shown, str_text(&why), why.len, false);
	return xstrdup(str_text(&shown));
}

struct listed {
	char name[sizeof(PREFIX) + NAME_DIGITS];
	struct timespec used;
	uint64_t bytes;
};

static int used_later(const void *a, const void *b)
{
	const struct timespec *x = &((const struct listed *)a)->used;
	const struct timespec *y = &((const struct listed *)b)->used;

	if (x->tv_sec != y->tv_sec)
		return x->tv_sec < y->tv_sec ? 1 : -1;
	return x->tv_nsec < y->tv_nsec ? 1 : x->tv_nsec > y->tv_nsec ? -1 : 0;
}

/* Those used last come first. Removes the notes on those that are not made, if `notes`. */
static size_t list(const struct vmcache *c, bool notes, struct listed v[LISTED_MAX])
{
	int fd = file_open_beneath(c->dir, "", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;
	size_t n = 0;

	if (!d) {
		(void)close_fd(fd);
		return 0;
	}
	while (n < LISTED_MAX && (ent = readdir(d))) {
		struct stat st;

		if (!str_starts(ent->d_name, PREFIX))
			continue;
		if (notes && str_ends(ent->d_name, REFUSED))
			(void)unlinkat(fd, ent->d_name, 0);
		if (strlen(ent->d_name) != sizeof(v->name) - 1 ||
		    fstatat(fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		memcpy(v[n].name, ent->d_name, sizeof(v->name));
		v[n].used = st.st_mtim;
		v[n++].bytes = (uint64_t)st.st_blocks * 512;
	}
	(void)closedir(d);
	qsort(v, n, sizeof(*v), used_later);
	return n;
}

void template_count(const struct vmcache *c, size_t *ret_n, uint64_t *ret_bytes)
{
	struct listed *v = xcalloc(LISTED_MAX, sizeof(*v));

	*ret_n = list(c, false, v);
	*ret_bytes = 0;
	for (size_t i = 0; i < *ret_n; i++)
		*ret_bytes += v[i].bytes;
	free(v);
}

static void drop_from(const struct vmcache *c, size_t first, bool notes)
{
	struct listed *v = xcalloc(LISTED_MAX, sizeof(*v));
	size_t n = list(c, notes, v);

	for (size_t i = first; i < n; i++)
		(void)unlinkat(c->dir, v[i].name, 0);
	free(v);
}

void template_drop_all(const struct vmcache *c)
{
	drop_from(c, 0, true);
}

/* --- a new one ---------------------------------------------------------------------------------------------------- */

int template_begin(const struct vmcache *c, struct err **e)
{
	int fd = openat(c->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(e, errno == EISDIR ? EOPNOTSUPP : errno, "cannot make a file in '%s'", c->path);
	if (lseek(fd, HEADER, SEEK_SET) < 0) {
		int r = -errno;

		(void)close_fd(fd);
		return err_errno(e, -r, "cannot make a file in '%s'", c->path);
	}
	return fd;
}

int template_fill(int fd, int from, struct err **e)
{
	_cleanup_free_ char *bytes = xmalloc(COPY);
	int64_t all = 0;

	for (;;) {
		ssize_t n = read(from, bytes, COPY);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "cannot read the machine");
		if (n == 0)
			return all > 0 ? 0 : err_set(e, EPIPE, "there is no machine");
		all += n;
		if (all > BYTES_MAX)
			return err_set(e, EFBIG, "the machine has more than %" PRId64 " GiB", BYTES_MAX >> 30);
		r = fd_write_all(fd, bytes, (size_t)n);
		if (r < 0)
			return err_errno(e, -r, "cannot write the machine to igloo's cache");
	}
}

int template_end(const struct vmcache *c, uint64_t key, int fd, struct err **e)
{
	_cleanup_free_ char *name = name_of(key, "");
	char self[64];
	char header[HEADER];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot write the machine to igloo's cache");
	put_header(key, st.st_size, header);
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (pwrite(fd, header, HEADER, 0) != HEADER || fdatasync(fd) < 0 ||
	    (linkat(AT_FDCWD, self, c->dir, name, AT_SYMLINK_FOLLOW) < 0 && errno != EEXIST))
		return err_errno(e, errno, "cannot write the machine to igloo's cache");
	drop_from(c, TEMPLATES_MAX, false);
	return 0;
}
