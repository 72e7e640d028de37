#include "kind/vm/kernel.h"

#include "kind/vm/kimagearm.h"
#include "kind/vm/vmlinux.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* A bzImage's release is in its setup sectors. */
enum { HEAD_BYTES = 65536, CANDIDATES_MAX = 64 };

/* Images, and folders with a folder of modules for each release, that belong together. */
struct group {
	const char *from;
	struct strv images;
	struct strv roots;
};

static void group_release(struct group *g)
{
	strv_release(&g->images);
	strv_release(&g->roots);
}
#define _cleanup_group_ ATTR_CLEANUP(group_release)

struct candidates {
	struct kernel v[CANDIDATES_MAX]; /* modules is NULL where there are none */
	size_t n;
	struct str why; /* a line for each that is none */
};

static void candidates_release(struct candidates *c)
{
	for (size_t i = 0; i < c->n; i++)
		kernel_release(&c->v[i]);
	str_release(&c->why);
}
#define _cleanup_candidates_ ATTR_CLEANUP(candidates_release)

void kernel_release(struct kernel *k)
{
	free(k->image);
	free(k->modules);
	free(k->release);
	*k = (struct kernel){0};
}

/* Where two releases part: is this one's rest that of a release candidate? */
static bool is_candidate(const char *rest, bool behind_dash)
{
	return str_starts(rest, behind_dash ? "rc" : "-rc");
}

int kernel_compare(const char *a, const char *b)
{
	const char *start = a;

	while (*a || *b) {
		bool dash = a > start && a[-1] == '-';

		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			size_t n;
			size_t m;
			int c;

			a += strspn(a, "0");
			b += strspn(b, "0");
			n = strspn(a, "0123456789");
			m = strspn(b, "0123456789");
			c = n != m ? (n < m ? -1 : 1) : strncmp(a, b, n);
			if (c)
				return c;
			a += n;
			b += m;
		} else if (*a == *b) {
			a++;
			b++;
		} else if (is_candidate(a, dash) != is_candidate(b, dash)) {
			return is_candidate(a, dash) ? -1 : 1;
		} else {
			return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
		}
	}
	return 0;
}

static bool is_type(const char *path, mode_t type)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

/* Adds DIR/<entry><tail> for each entry that begins with `prefix` and is then a regular file. */
static void add_images(struct group *g, const char *dir, const char *prefix, const char *tail)
{
	DIR *d = opendir(dir);
	const struct dirent *ent;

	while (d && (ent = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("%s/%s%s", dir, ent->d_name, tail);

		if (ent->d_name[0] != '.' && str_starts(ent->d_name, prefix) && is_type(path, S_IFREG))
			strv_add(&g->images, path);
	}
	if (d)
		(void)closedir(d);
}

/* What a package, or a system, has where packages have it. */
static void add_folder(struct group *g, const char *dir)
{
	static const char *const images[] = {"bzImage", "vmlinuz", "vmlinux", "Image", "Image.gz"};
	static const char *const roots[] = {"lib/modules", "usr/lib/modules"};
	_cleanup_free_ char *boot = xasprintf("%s/boot", dir);

	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, images[i]);

		if (is_type(path, S_IFREG))
			strv_add(&g->images, path);
	}
	add_images(g, boot, "vmlinuz-", "");
	add_images(g, dir, "vmlinuz-", "");
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++) {
		_cleanup_free_ char *root = xasprintf("%s/%s", dir, roots[i]);

		if (!is_type(root, S_IFDIR))
			continue;
		add_images(g, root, "", "/vmlinuz");
		strv_add_take(&g->roots, take_ptr(root));
	}
}

static void add_reason(struct candidates *c, const char *image, const char *why)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, image, strlen(image), false);
	str_addf(&c->why, "%s: %s\n", str_text(&shown), why);
}

/* Of an image that has to be read to its end: by its banner. */
static char *read_banner(int fd, struct err **e)
{
	_cleanup_str_ struct str all = STR_INIT;
	char *release = NULL;

	if (fd_read_all(fd, KIMAGE_FILE_MAX, &all, e) == 0)
		release = kimage_is_elf(all.p, all.len) ? kimage_version(all.p, all.len)
							: kimagearm_version(all.p, all.len);
	if (!release)
		(void)err_set(e, EBADMSG, "does not say which Linux it is");
	return release;
}

/* Of a packed Image: it is unpacked for good. */
static char *read_packed(const struct kernel_search *s, const char *image, struct err **e)
{
	_cleanup_close_ int fd = -1;
	char *unpacked = NULL;

	if (s->cache && vmlinux_get(s->cache, image, &unpacked, e) == 0)
		fd = file_open_user(unpacked, O_RDONLY | O_NOCTTY);
	free(unpacked);
	return fd < 0 ? NULL : read_banner(fd, e);
}

static char *read_release(const struct kernel_search *s, const char *image, struct err **e)
{
	_cleanup_close_ int fd = file_open_user(image, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *head = xmalloc(HEAD_BYTES);
	bool arm = s->arch->elf_machine == EM_AARCH64;
	char *release = NULL;
	ssize_t n;

	if (fd < 0) {
		(void)err_errno(e, -fd, "cannot be opened");
		return NULL;
	}
	n = pread(fd, head, HEAD_BYTES, 0);
	if (n < 0) {
		(void)err_errno(e, errno, "cannot be read");
		return NULL;
	}
	if (arm && kimagearm_is_packed(head, (size_t)n))
		release = read_packed(s, image, e);
	else if (arm ? kimagearm_is_image(head, (size_t)n) : kimage_is_elf(head, (size_t)n))
		release = read_banner(fd, e);
	else
		release = arm ? NULL : kimage_version(head, (size_t)n);
	if (!release)
		(void)err_set(e, EBADMSG, "is not %s", s->arch->image);
	return release;
}

static char *find_modules(const struct group *g, const char *release)
{
	for (size_t i = 0; i < g->roots.n; i++) {
		char *path = xasprintf("%s/%s", g->roots.v[i], release);

		if (is_type(path, S_IFDIR))
			return path;
		free(path);
	}
	return NULL;
}

/* Makes candidates of a group's images. */
static void take_group(const struct kernel_search *s, struct group *g, struct candidates *c)
{
	strv_sort_unique(&g->images);
	for (size_t i = 0; i < g->images.n && c->n < CANDIDATES_MAX; i++) {
		_cleanup_err_ struct err *why = NULL;
		struct kernel k = {.from = g->from, .release = read_release(s, g->images.v[i], &why)};

		if (!k.release) {
			add_reason(c, g->images.v[i], err_message(why));
			continue;
		}
		k.image = xstrdup(g->images.v[i]);
		k.modules = find_modules(g, k.release);
		c->v[c->n++] = k;
	}
}

static void gather_user(const struct kernel_search *s, struct candidates *c)
{
	_cleanup_group_ struct group g = {.from = "--kernel"};
	_cleanup_free_ char *path = realpath(s->user, NULL);

	if (!path) {
		add_reason(c, s->user, strerror(errno));
		return;
	}
	if (is_type(path, S_IFDIR)) {
		add_folder(&g, path);
		if (!g.images.n)
			add_reason(c, path, "has no bzImage, vmlinux, Image or boot/vmlinuz-* in it");
	} else {
		_cleanup_free_ char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));

		strv_add(&g.images, path);
		strv_addf(&g.roots, "%s/lib/modules", dir);
		strv_addf(&g.roots, "%s/../lib/modules", dir);
	}
	strv_addf(&g.roots, "%s/lib/modules", s->root);
	take_group(s, &g, c);
}

static void gather_cache(const struct kernel_search *s, struct candidates *c)
{
	DIR *d = s->cache ? opendir(s->cache->path) : NULL;
	const struct dirent *ent;

	while (d && (ent = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("%s/%s", s->cache->path, ent->d_name);
		_cleanup_group_ struct group g = {.from = "cache"};

		if (ent->d_name[0] == '.' || !is_type(path, S_IFDIR))
			continue;
		add_folder(&g, path);
		take_group(s, &g, c);
	}
	if (d)
		(void)closedir(d);
}

static void gather(const struct kernel_search *s, struct candidates *c)
{
	_cleanup_group_ struct group store = {.from = "store"};
	_cleanup_group_ struct group host = {.from = "system"};

	if (s->user) {
		gather_user(s, c);
		return;
	}
	for (char *const *p = s->store_paths; p && *p; p++)
		add_folder(&store, *p);
	take_group(s, &store, c);
	add_folder(&host, s->root);
	take_group(s, &host, c);
	gather_cache(s, c);
}

static bool usable(const struct kernel_search *s, const struct kernel *k, struct candidates *c)
{
	_cleanup_modules_ struct modules *m = NULL;
	_cleanup_err_ struct err *why = NULL;

	if (!k->modules) {
		_cleanup_free_ char *text = xasprintf("its modules, lib/modules/%s, are not there", k->release);

		add_reason(c, k->image, text);
		return false;
	}
	if (modules_open(k->modules, &m, &why) == 0 && modules_check(m, s->want, s->n_want, &why) == 0)
		return true;
	add_reason(c, k->image, err_message(why));
	return false;
}

static int none(const struct kernel_search *s, const struct candidates *c, struct err **e)
{
	if (s->user)
		(void)err_set(e, ENOENT, "--kernel %s: it cannot be used for a machine", s->user);
	else if (c->why.len)
		(void)err_set(e, ENOENT, "none of the kernels here can be used for a machine");
	else
		(void)err_set(e, ENOENT, "there is no kernel for a machine");
	if (c->why.len)
		(void)err_detail(e, c->why.p);
	(void)err_hint(
		e,
		"a kernel for %s with all modules is in Debian's package %s (linux-image-cloud-%s has no 9p), and "
		"in nixpkgs' linuxPackages.kernel",
		s->arch->name, s->arch->kernel_package, s->arch->other);
	if (s->cache)
		(void)err_hint(e,
			       "without installing it: apt-get download linux-image-RELEASE && dpkg-deb -x "
			       "linux-image-*.deb %s/debian",
			       s->cache->path);
	return err_hint(e,
			"or name one: --kernel PATH, %s with its lib/modules/RELEASE beside it, or a folder with "
			"both",
			s->arch->image);
}

int kernel_find(const struct kernel_search *s, struct kernel *ret, struct err **e)
{
	_cleanup_candidates_ struct candidates c = {.n = 0};
	bool tried[CANDIDATES_MAX] = {false};

	gather(s, &c);
	for (size_t round = 0; round < c.n; round++) {
		size_t best = CANDIDATES_MAX;

		for (size_t i = 0; i < c.n; i++)
			if (!tried[i] &&
			    (best == CANDIDATES_MAX || kernel_compare(c.v[i].release, c.v[best].release) > 0))
				best = i;
		tried[best] = true;
		if (usable(s, &c.v[best], &c)) {
			*ret = c.v[best];
			c.v[best] = (struct kernel){0};
			return 0;
		}
	}
	return none(s, &c, e);
}
