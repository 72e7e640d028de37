#include "kind/vm/modules.h"

#include "fmt/unpack.h"
#include "kind/vm/moddep.h"
#include "kind/vm/modinfo.h"
#include "kind/vm/vmcache.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct modules {
	int dir;
	char *path;
	bool has_dep; /* list is modules.dep; else modules.order */
	struct moddep list;
	struct moddep builtin;
};

static const char *const lists[] = {"modules.dep", "modules.order", "modules.builtin"};

/* The folder is the system's or the user's own, and in NixOS's the modules are links: they are followed. */
static int open_in(const struct modules *m, const char *path)
{
	int fd = openat(m->dir, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int read_in(const struct modules *m, const char *path, size_t max, struct str *to, struct err **e)
{
	_cleanup_close_ int fd = open_in(m, path);
	struct stat st;
	int r;

	if (fd < 0)
		return err_errno(e, -fd, "cannot open '%s/%s'", m->path, path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "'%s/%s' is not a regular file", m->path, path);
	if ((uintmax_t)st.st_size <= max)
		(void)str_room(to, (size_t)st.st_size + 1);
	r = fd_read_all(fd, max, to, e);
	return r < 0 ? err_wrap(e, "'%s/%s'", m->path, path) : 0;
}

static int read_list(const struct modules *m, const char *name, struct moddep *ret, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;
	size_t n;
	int r = read_in(m, name, MODDEP_FILE_MAX, &text, e);

	if (r < 0)
		return r;
	n = text.len;
	r = moddep_parse(str_take(&text), n, ret, e);
	return r < 0 ? err_wrap(e, "'%s/%s'", m->path, name) : 0;
}

static int read_lists(struct modules *m, struct err **e)
{
	int r = read_list(m, "modules.dep", &m->list, e);

	m->has_dep = r == 0;
	if (r == -ENOENT) {
		err_clear(e);
		r = read_list(m, "modules.order", &m->list, e);
	}
	if (r == -ENOENT) {
		(void)err_set(e, EINVAL, "'%s' has no list of its modules (modules.dep or modules.order)", m->path);
		return err_hint(e, "make it: depmod -b FOLDER RELEASE, where FOLDER is the one with lib/modules in it");
	}
	if (r < 0)
		return r;
	r = read_list(m, "modules.builtin", &m->builtin, e);
	if (r == -ENOENT) {
		err_clear(e);
		r = 0;
	}
	return r;
}

int modules_open(const char *path, struct modules **ret, struct err **e)
{
	_cleanup_modules_ struct modules *m = xcalloc(1, sizeof(*m));
	int r;

	m->path = xstrdup(path);
	m->dir = file_open_user(path, O_RDONLY | O_DIRECTORY);
	if (m->dir < 0)
		return err_errno(e, -m->dir, "cannot open the modules' folder '%s'", path);
	r = read_lists(m, e);
	if (r < 0)
		return r;
	*ret = take_ptr(m);
	return 0;
}

void modules_free(struct modules *m)
{
	if (!m)
		return;
	if (m->dir >= 0)
		(void)close_fd(m->dir);
	moddep_release(&m->list);
	moddep_release(&m->builtin);
	free(m->path);
	free(m);
}

const char *modules_path(const struct modules *m)
{
	return m->path;
}

bool modules_has_builtin(const struct modules *m, const char *name)
{
	return moddep_find(&m->builtin, name);
}

void modules_add_key(const struct modules *m, uint64_t *key)
{
	vmcache_key_add_text(key, m->path);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct stat st = {0};

		(void)fstatat(m->dir, lists[i], &st, 0);
		vmcache_key_add_state(key, &st);
	}
}

void modules_set_release(struct modules_set *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].name);
		free(s->v[i].path);
	}
	s->n = 0;
}

static bool set_has(const struct modules_set *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i].name, name) == 0)
			return true;
	return false;
}

/* The file of a list's path: modules.order never names the compression. */
static char *find_file(const struct modules *m, const char *path)
{
	static const char *const suffixes[] = {"", ".xz", ".zst", ".gz"};

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char *name = xasprintf("%s%s", path, suffixes[i]);
		struct stat st;

		if (fstatat(m->dir, name, &st, 0) == 0 && S_ISREG(st.st_mode))
			return name;
		free(name);
	}
	return NULL;
}

/* The names of what it needs directly; of modules.dep that is all it needs, what is to be loaded first coming
 * first. */
static int needs(const struct modules *m, const struct moddep_entry *entry, const struct modules_item *item,
		 struct strv *to, struct err **e)
{
	_cleanup_strv_ struct strv paths = STRV_INIT;
	_cleanup_str_ struct str bytes = STR_INIT;
	int r;

	if (!m->has_dep) {
		r = modules_read(m, item, &bytes, e);
		if (r == 0)
			r = modinfo_depends(bytes.p, bytes.len, to, e);
		return r < 0 ? err_wrap(e, "module '%s'", item->path) : 0;
	}
	strv_split(&paths, entry->deps, ' ');
	for (size_t i = paths.n; i-- > 0;) {
		char *name = moddep_name(paths.v[i], strlen(paths.v[i]));

		if (!name)
			return err_set(e, EBADMSG, "'%s/modules.dep': '%s' needs what is no module", m->path,
				       entry->path);
		strv_add_take(to, name);
	}
	return 0;
}

static int missing(const struct modules *m, const char *name, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, name, strnlen(name, MODDEP_NAME_MAX), false);
	return err_set(e, ENOENT, "the kernel has no module '%s' (in '%s')", str_text(&shown), m->path);
}

/* The modules being added, the latest first. */
struct pending {
	const char *name;
	const struct pending *above;
};

static bool is_pending(const struct pending *p, const char *name)
{
	for (; p; p = p->above)
		if (strcmp(p->name, name) == 0)
			return true;
	return false;
}

/* Adds it behind all that it needs. Every call adds a module or ends it all, so there are few, whatever the lists say.
 */
static int add(const struct modules *m, const char *name, const struct pending *above, struct modules_set *set,
	       struct err **e)
{
	const struct pending self = {name, above};
	_cleanup_strv_ struct strv below = STRV_INIT;
	_cleanup_free_ char *path = NULL;
	const struct moddep_entry *entry;
	struct modules_item item;
	int r;

	if (set_has(set, name) || moddep_find(&m->builtin, name))
		return 0;
	if (is_pending(above, name))
		return err_set(e, ELOOP, "modules in '%s' need each other in a circle", m->path);
	entry = moddep_find(&m->list, name);
	path = entry ? find_file(m, entry->path) : NULL;
	if (!path)
		return missing(m, name, e);
	item = (struct modules_item){entry->name, path};
	r = needs(m, entry, &item, &below, e);
	for (size_t i = 0; r == 0 && i < below.n; i++) {
		r = add(m, below.v[i], &self, set, e);
		if (r < 0)
			(void)err_wrap(e, "'%s' needs '%s'", name, below.v[i]);
	}
	if (r < 0)
		return r;
	if (set->n == MODULES_SET_MAX)
		return err_set(e, E2BIG, "more than %d modules are to be loaded", MODULES_SET_MAX);
	set->v[set->n++] = (struct modules_item){xstrdup(name), take_ptr(path)};
	return 0;
}

static void cut(struct modules_set *s, size_t n)
{
	while (s->n > n) {
		s->n--;
		free(s->v[s->n].name);
		free(s->v[s->n].path);
	}
}

int modules_select(const struct modules *m, const struct modules_want *want, size_t n, struct modules_set *ret,
		   struct err **e)
{
	struct modules_set set = {.n = 0};

	for (size_t i = 0; i < n; i++) {
		_cleanup_err_ struct err *why = NULL;
		size_t before = set.n;
		int r = add(m, want[i].name, NULL, &set, want[i].required ? e : &why);

		if (r == 0)
			continue;
		if (want[i].required || r != -ENOENT) {
			modules_set_release(&set);
			return want[i].required ? r : err_set(e, -r, "%s", err_message(why));
		}
		cut(&set, before);
	}
	*ret = set;
	return 0;
}

int modules_check(const struct modules *m, const struct modules_want *want, size_t n, struct err **e)
{
	_cleanup_str_ struct str lacking = STR_INIT;
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		const struct moddep_entry *entry = moddep_find(&m->list, want[i].name);
		_cleanup_free_ char *path = entry ? find_file(m, entry->path) : NULL;

		if (path || !want[i].required || moddep_find(&m->builtin, want[i].name))
			continue;
		str_addf(&lacking, "%s%s", count++ ? ", " : "", want[i].name);
	}
	if (!count)
		return 0;
	return err_set(e, ENOENT, "the kernel has no module%s %s (in '%s')", count > 1 ? "s" : "", lacking.p, m->path);
}

int modules_read(const struct modules *m, const struct modules_item *item, struct str *to, struct err **e)
{
	_cleanup_str_ struct str file = STR_INIT;
	int r = read_in(m, item->path, MODULES_FILE_MAX, &file, e);

	if (r < 0)
		return r;
	if (unpack_detect(file.p, file.len) == UNPACK_NONE) {
		str_add(to, file.p, file.len);
		return 0;
	}
	r = unpack(unpack_detect(file.p, file.len), file.p, file.len, 0, MODULES_FILE_MAX, to, e);
	return r < 0 ? err_wrap(e, "'%s/%s'", m->path, item->path) : 0;
}
