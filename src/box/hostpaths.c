#include "box/hostpaths.h"

#include "nix/storepath.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { SET_MAX_BYTES = 64 << 20, SEAL_DIGITS = 16 };

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct hostpath *)a)->path, ((const struct hostpath *)b)->path);
}

static void sort_unique(struct hostpaths *set)
{
	size_t kept = 0;

	if (set->n == 0)
		return;
	qsort(set->v, set->n, sizeof(*set->v), by_path);
	for (size_t i = 1; i < set->n; i++)
		if (strcmp(set->v[kept].path, set->v[i].path) != 0)
			set->v[++kept] = set->v[i];
	set->n = kept + 1;
}

/* FNV-1a, 64 bits (RFC 9923): against accidents, not against anybody. */
static uint64_t text_hash(const char *text, size_t n)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)text[i]) * 0x100000001b3U;
	return h;
}

static void add_seal(struct str *text)
{
	str_addf(text, "%0*llx\n", SEAL_DIGITS, (unsigned long long)text_hash(str_text(text), text->len));
}

/* Takes the last line off; false when it does not fit the lines above. */
static bool take_seal(struct str *text)
{
	_cleanup_str_ struct str seal = STR_INIT;
	size_t n = text->len > SEAL_DIGITS ? text->len - SEAL_DIGITS - 1 : 0;

	str_addf(&seal, "%0*llx\n", SEAL_DIGITS, (unsigned long long)text_hash(str_text(text), n));
	if (text->len < seal.len || memcmp(text->p + n, seal.p, seal.len) != 0)
		return false;
	text->len = n;
	text->p[n] = '\0';
	return true;
}

static int damaged(struct err **e)
{
	return err_set(e, EBADMSG, "the slot's host-paths file is damaged");
}

int hostpaths_load(int slot_dir, struct hostpaths *ret, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_hostpaths_ struct hostpaths set = {0};
	int r = file_read(slot_dir, "host-paths", SET_MAX_BYTES, &text, e);
	char *line;

	if (r == -ENOENT) {
		err_clear(e);
		*ret = (struct hostpaths){0};
		return 0;
	}
	if (r < 0)
		return r;
	if (!take_seal(&text))
		return damaged(e);
	strv_add_take(&set.owned, str_take(&text));
	line = set.owned.v[0];
	for (size_t cap = 0; *line;) {
		char *end = strchr(line, '\n');
		char *tab;

		if (!end)
			return damaged(e);
		*end = '\0';
		tab = strchr(line, '\t');
		if (tab)
			*tab++ = '\0';
		if (!storepath_ok(line) || (tab && *tab != '/'))
			return damaged(e);
		if (set.n == cap) {
			cap = cap ? cap * 2 : 64;
			set.v = xrealloc_array(set.v, cap, sizeof(*set.v));
		}
		set.v[set.n++] = (struct hostpath){.path = line, .source = tab ? tab : line};
		line = end + 1;
	}
	sort_unique(&set);
	*ret = set;
	set = (struct hostpaths){0};
	return 0;
}

void hostpaths_state(int slot_dir, struct hostpaths_state *ret)
{
	struct stat st;

	memset(ret, 0, sizeof(*ret));
	/* Without a set, the slot's first file stands for it: an inode of a removed slot may be a new one's. */
	if (fstatat(slot_dir, "host-paths", &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	    fstatat(slot_dir, "repository", &st, AT_SYMLINK_NOFOLLOW) == 0) {
		ret->file[0] = st.st_dev;
		ret->file[1] = st.st_ino;
		ret->file[2] = (uint64_t)st.st_size;
		ret->file[3] = (uint64_t)st.st_mtim.tv_sec * 1000000000U + (uint64_t)st.st_mtim.tv_nsec;
	}
	if (stat("/nix/store", &st) == 0) {
		ret->store[0] = st.st_dev;
		ret->store[1] = st.st_ino;
		ret->store[2] = (uint64_t)st.st_mtim.tv_sec * 1000000000U + (uint64_t)st.st_mtim.tv_nsec;
		ret->store[3] = (uint64_t)st.st_ctim.tv_sec * 1000000000U + (uint64_t)st.st_ctim.tv_nsec;
	}
}

bool hostpaths_has(const struct hostpaths *set, const char *path)
{
	struct hostpath key = {.path = path};

	return set->n > 0 && bsearch(&key, set->v, set->n, sizeof(*set->v), by_path);
}

char *hostpaths_source(const struct hostpaths *set, const char *file)
{
	size_t n = strlen("/nix/store/");
	_cleanup_free_ char *path = NULL;
	const struct hostpath *found;

	if (!str_starts(file, "/nix/store/") || set->n == 0)
		return NULL;
	n += strcspn(file + n, "/");
	path = xstrndup(file, n);
	found = bsearch(&(struct hostpath){.path = path}, set->v, set->n, sizeof(*set->v), by_path);
	return found ? xasprintf("%s%s", found->source, file + n) : NULL;
}

void hostpaths_add(struct hostpaths *set, const char *path, const char *source)
{
	struct hostpath entry;

	strv_add(&set->owned, path);
	entry.path = entry.source = set->owned.v[set->owned.n - 1];
	if (source && strcmp(source, path) != 0) {
		strv_add(&set->owned, source);
		entry.source = set->owned.v[set->owned.n - 1];
	}
	set->v = xrealloc_array(set->v, set->n + 1, sizeof(*set->v));
	set->v[set->n++] = entry;
}

int hostpaths_store(int slot_dir, struct hostpaths *set, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;

	sort_unique(set);
	for (size_t i = 0; i < set->n; i++) {
		const struct hostpath *p = &set->v[i];

		if (strpbrk(p->source, "\t\n"))
			return err_set(e, EINVAL,
				       "'%s' has a tab or newline in its name: igloo cannot mount from there",
				       p->source);
		str_adds(&text, p->path);
		if (p->source != p->path)
			str_addf(&text, "\t%s", p->source);
		str_addc(&text, '\n');
	}
	add_seal(&text);
	return file_replace(slot_dir, "host-paths", str_text(&text), text.len, 0600, true, e);
}

void hostpaths_vanished(const struct hostpaths *set, struct strv *ret)
{
	struct stat st;

	for (size_t i = 0; i < set->n; i++)
		if (lstat(set->v[i].source, &st) < 0)
			strv_add(ret, set->v[i].path);
}

void hostpaths_remove(struct hostpaths *set, const struct strv *sorted_paths)
{
	size_t kept = 0;

	for (size_t i = 0; i < set->n; i++)
		if (strv_find_sorted(sorted_paths, set->v[i].path) < 0)
			set->v[kept++] = set->v[i];
	set->n = kept;
}

void hostpaths_release(struct hostpaths *set)
{
	free(set->v);
	strv_release(&set->owned);
	*set = (struct hostpaths){0};
}
