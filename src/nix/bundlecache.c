#include "nix/bundlecache.h"

#include "base/log.h"
#include "launcher/image.h"
#include "nix/nar.h"
#include "nix/storepath.h"
#include "sys/file.h"
#include "sys/spawn.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

enum { FORMAT = 1, INDEX_MAX = 1 << 20, VERSION_MAX = 64, DEPTH_MAX = 16, TIME_LIMIT_MS = 30000 };

void bundle_made_release(struct bundle_made *m)
{
	free(m->base);
	free(m->version);
	free(m->nar_sha256);
	free(m->nar_size);
	*m = (struct bundle_made){0};
}

/* FNV-1a; only to tell files of igloo's own apart. */
static uint64_t fnv(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return h;
}

static char *index_name(const struct bundle_recipe *recipe, const char *program)
{
	return xasprintf("index-%s-%016" PRIx64, recipe->what, fnv(program, strlen(program)));
}

static void add_head(struct str *to, const char *program)
{
	str_addf(to, "igloo-bundle %d %016" PRIx64 "\nprogram %s\n", FORMAT, fnv(launcher_image, launcher_image_size),
		 program);
}

char *bundle_version(const char *text)
{
	static const char more[] = "+-._?=";
	const char *p = text;
	size_t n = 0;

	while (*p && !(isdigit((unsigned char)*p) && (p == text || p[-1] == ' ')))
		p++;
	while (p[n] && n < VERSION_MAX && (isalnum((unsigned char)p[n]) || strchr(more, p[n])))
		n++;
	return n ? xstrndup(p, n) : NULL;
}

/* The value of the line "key value" at *at, which moves behind it; NULL when that is another line. */
static char *take_value(char **at, const char *key)
{
	size_t n = strlen(key);
	char *end = strchr(*at, '\n');
	char *value = *at + n + 1;

	if (!end || strncmp(*at, key, n) != 0 || (*at)[n] != ' ')
		return NULL;
	*end = '\0';
	*at = end + 1;
	return value;
}

/* Whether the file of a state line is as it was. The line is spelled anew and compared. */
static bool unchanged(int bundle_dir, const char *line)
{
	_cleanup_str_ struct str now = STR_INIT;
	const char *path = line;
	struct stat st;

	for (int i = 0; i < 5; i++) {
		path = strchr(path, ' ');
		if (!path)
			return false;
		path++;
	}
	if (line[0] == 'S' ? stat(path, &st) < 0 : fstatat(bundle_dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	bundle_add_state(&now, line[0], &st, path);
	now.p[now.len - 1] = '\0';
	return strcmp(now.p, line) == 0;
}

static bool load_index(const struct bundlecache *c, const struct bundle_recipe *recipe, const char *program,
		       struct bundle_made *ret)
{
	_cleanup_free_ char *name = index_name(recipe, program);
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_str_ struct str head = STR_INIT;
	_cleanup_close_ int dir = -1;
	char *version;
	char *sha256;
	char *size;
	char *base;
	char *at;

	if (file_read(c->dir, name, INDEX_MAX, &text, NULL) < 0)
		return false;
	add_head(&head, program);
	if (!str_starts(str_text(&text), head.p))
		return false;
	at = text.p + head.len;
	version = take_value(&at, "version");
	sha256 = version ? take_value(&at, "nar-sha256") : NULL;
	size = sha256 ? take_value(&at, "nar-size") : NULL;
	base = size ? take_value(&at, "base") : NULL;
	if (!base || !storepath_base_ok(base) || !str_ends(text.p + text.len - 4, "end\n"))
		return false;
	dir = file_open_beneath(c->dir, base, O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return false;
	while (strcmp(at, "end\n") != 0) {
		char *end = strchr(at, '\n');

		if (!end)
			return false;
		*end = '\0';
		if (!unchanged(dir, at)) {
			log_debug("%s is made anew: changed: %s", base, at);
			return false;
		}
		at = end + 1;
	}
	*ret = (struct bundle_made){xstrdup(base), xstrdup(version), xstrdup(sha256), xstrdup(size)};
	return true;
}

/* A state line for everything below dir (used up), whose place in the bundle is `prefix`. */
static int add_states(int dir_fd, const char *prefix, unsigned depth, struct str *to)
{
	_cleanup_close_ int fd = dir_fd;
	DIR *d = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 3));
	struct dirent *entry;
	int r = 0;

	if (!d)
		return -errno;
	while (r >= 0 && (entry = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("%s%s", prefix, entry->d_name);
		struct stat st;

		if (strcmp(entry->d_name, "..") == 0)
			continue;
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			r = -errno;
			break;
		}
		if (!S_ISDIR(st.st_mode) || strcmp(entry->d_name, ".") == 0) {
			bundle_add_state(to, 'M', &st, path);
		} else {
			_cleanup_free_ char *below = xasprintf("%s/", path);
			int sub = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			r = sub < 0 ? -errno : depth == 0 ? -ELOOP : add_states(sub, below, depth - 1, to);
		}
	}
	(void)closedir(d);
	return r;
}

static int store_index(const struct bundlecache *c, const struct bundle_recipe *recipe, const char *program,
		       const struct bundle *b, const struct bundle_made *m, struct err **e)
{
	_cleanup_free_ char *name = index_name(recipe, program);
	_cleanup_str_ struct str text = STR_INIT;
	int dir = file_open_beneath(c->dir, m->base, O_RDONLY | O_DIRECTORY, 0);
	int r;

	add_head(&text, program);
	str_addf(&text, "version %s\nnar-sha256 %s\nnar-size %s\nbase %s\n", m->version, m->nar_sha256, m->nar_size,
		 m->base);
	str_add(&text, b->made_of.p, b->made_of.len);
	r = dir < 0 ? dir : add_states(dir, "", DEPTH_MAX, &text);
	if (r < 0)
		return err_errno(e, -r, "cannot read '%s/%s'", c->path, m->base);
	str_adds(&text, "end\n");
	return file_replace(c->dir, name, text.p, text.len, 0600, true, e);
}

/* The version that the program prints in its new home: the proof that it runs there. */
static int run_version(const struct bundlecache *c, const char *temp, const char *what, char **ret, struct err **e)
{
	_cleanup_free_ char *file = xasprintf("%s/%s/bin/%s", c->path, temp, what);
	_cleanup_free_ char *name = xasprintf("%s --version", what);
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv envp = STRV_INIT;
	_cleanup_str_ struct str out = STR_INIT;
	struct spawn s = {.file = file, .name = name, .dir = "/", .max_output = 4096, .time_limit_ms = TIME_LIMIT_MS};
	int r;

	strv_add(&argv, what);
	strv_add(&argv, "--version");
	strv_add(&envp, "HOME=/nonexistent");
	s.argv = argv.v;
	s.envp = envp.v;
	r = spawn_check(&s, &out, e);
	if (r < 0)
		return r;
	*ret = bundle_version(str_text(&out));
	return *ret ? 0 : err_set(e, EBADMSG, "%s prints no version", name);
}

static int describe(const struct bundlecache *c, const char *temp, const char *what, struct bundle_made *m,
		    struct err **e)
{
	char hex[DIGEST_SHA256_HEX + 1];
	char path[STOREPATH_SIZE];
	uint8_t sha256[DIGEST_SHA256_BYTES];
	_cleanup_free_ char *name = NULL;
	uint64_t size = 0;
	int r = run_version(c, temp, what, &m->version, e);

	if (r < 0)
		return r;
	r = nar_hash(c->dir, temp, sha256, &size, e);
	if (r < 0)
		return r;
	name = xasprintf("igloo-%s-%s", what, m->version);
	r = storepath_fixed(true, DIGEST_SHA256, sha256, name, path, e);
	if (r < 0)
		return r;
	digest_hex(sha256, sizeof(sha256), hex);
	m->base = xstrdup(storepath_base(path));
	m->nar_sha256 = xstrdup(hex);
	m->nar_size = xasprintf("%" PRIu64, size);
	return 0;
}

/* Puts the finished folder in its place. One that is there already and whole stays: boxes may use it. */
static int install(const struct bundlecache *c, const char *temp, const struct bundle_made *m, struct err **e)
{
	char hex[DIGEST_SHA256_HEX + 1];
	uint8_t sha256[DIGEST_SHA256_BYTES];
	uint64_t size;

	if (nar_hash(c->dir, m->base, sha256, &size, NULL) == 0) {
		digest_hex(sha256, sizeof(sha256), hex);
		if (strcmp(hex, m->nar_sha256) == 0)
			return file_remove_tree(c->dir, temp, e);
	}
	(void)syncfs(c->dir);
	if (renameat(c->dir, m->base, c->dir, ".tmp-old") < 0 && errno != ENOENT)
		return err_errno(e, errno, "cannot move '%s/%s' away", c->path, m->base);
	if (renameat(c->dir, temp, c->dir, m->base) < 0)
		return err_errno(e, errno, "cannot move to '%s/%s'", c->path, m->base);
	return file_remove_tree(c->dir, ".tmp-old", e);
}

static int make(const struct bundlecache *c, const struct bundle_recipe *recipe, const char *program,
		struct bundle_made *ret, struct err **e)
{
	_cleanup_free_ char *temp = xasprintf(".tmp-%s", recipe->what);
	_cleanup_bundle_ struct bundle b = {.dir = -1};
	_cleanup_close_ int dir = -1;
	struct bundle_made m = {0};
	int r;

	/* The lock is held: these are left over. */
	r = file_remove_tree(c->dir, temp, e);
	if (r >= 0)
		r = file_remove_tree(c->dir, ".tmp-old", e);
	if (r >= 0) {
		dir = file_make_dirs(c->dir, temp, 0700, e);
		r = dir;
	}
	if (r < 0)
		return r;
	b.dir = dir;
	r = recipe->make(&b, program, e);
	if (r >= 0)
		r = bundle_finish(&b, e);
	if (r >= 0)
		r = describe(c, temp, recipe->what, &m, e);
	if (r >= 0)
		r = install(c, temp, &m, e);
	if (r >= 0)
		r = store_index(c, recipe, program, &b, &m, e);
	if (r < 0) {
		(void)file_remove_tree(c->dir, temp, NULL);
		bundle_made_release(&m);
		return r;
	}
	*ret = m;
	return 0;
}

int bundlecache_get(const struct bundlecache *c, const struct bundle_recipe *recipe, const char *program,
		    struct bundle_made *ret, struct err **e)
{
	_cleanup_close_ int lock = -1;
	int r;

	if (strchr(program, '\n'))
		return err_set(e, EINVAL, "the path of %s has a line break", recipe->what);
	if (load_index(c, recipe, program, ret))
		return 0;
	lock = file_lock(c->dir, "lock", false, true, e);
	if (lock < 0)
		return lock;
	if (load_index(c, recipe, program, ret))
		return 0;
	r = make(c, recipe, program, ret, e);
	return r < 0 ? err_wrap(e, "cannot make '%s' self-contained", program) : 0;
}

int bundlecache_prune(const struct bundlecache *c, const struct strv *keep, struct err **e)
{
	_cleanup_close_ int lock = file_lock(c->dir, "lock", false, true, e);
	struct dirent *entry;
	int r = 0;
	DIR *d;

	if (lock < 0)
		return lock;
	d = fdopendir(openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	if (!d)
		return err_errno(e, errno, "cannot read '%s'", c->path);
	while (r >= 0 && (entry = readdir(d)))
		if (storepath_base_ok(entry->d_name) && strv_find_sorted(keep, entry->d_name) < 0)
			r = file_remove_tree(c->dir, entry->d_name, e);
	(void)closedir(d);
	return r;
}
