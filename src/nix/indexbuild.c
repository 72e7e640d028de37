#include "nix/indexbuild.h"

#include "nix/filestate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { BLOB_MAX = INDEXFILE_MAX / 2, DEPTH_MAX = 200 };

void indexbuild_release(struct indexbuild *b)
{
	str_release(&b->blob);
	free(b->watches);
	free(b->entries);
	free(b->dirs);
	*b = (struct indexbuild){0};
}

int indexbuild_text(struct indexbuild *b, const char *text, size_t n, uint32_t *ret, struct err **e)
{
	if (n >= BLOB_MAX || b->blob.len >= BLOB_MAX - n)
		return err_set(e, EFBIG, "the source has more path names than igloo can index");
	*ret = (uint32_t)b->blob.len;
	str_add(&b->blob, text, n);
	str_addc(&b->blob, '\0');
	return 0;
}

#define GROW(array, n, cap)                                                     \
	do {                                                                    \
		if ((n) == (cap)) {                                             \
			(cap) = (cap) ? (cap)*2 : 64;                           \
			(array) = xrealloc_array(array, cap, sizeof(*(array))); \
		}                                                               \
	} while (0)

static int bad_path(const char *path, const char *why, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, path, strlen(path), false);
	return err_set(e, EINVAL, "path '%s' of the source %s", str_text(&shown), why);
}

/* Relative, each component a name: what open beneath the top would accept. */
static bool path_sound(const char *path)
{
	for (const char *p = path;; p++) {
		size_t n = strcspn(p, "/");

		if (n == 0 || n > INDEXFILE_NAME_MAX || (n == 2 && p[0] == '.' && p[1] == '.') ||
		    (n == 1 && p[0] == '.' && strcmp(path, ".") != 0))
			return false;
		p += n;
		if (*p == '\0')
			return true;
	}
}

int indexbuild_add_entry(struct indexbuild *b, const char *prefix, const char *path, size_t n, struct err **e)
{
	struct indexfile_entry en = {0};
	size_t len = strlen(prefix) + n;
	const char *slash;
	char *room;

	if (b->n_entries >= INDEXBUILD_ENTRIES_MAX || b->blob.len >= BLOB_MAX - INDEXFILE_PATH_MAX)
		return err_set(e, EFBIG, "the source has more files than igloo can index (%d)", INDEXBUILD_ENTRIES_MAX);
	if (len > INDEXFILE_PATH_MAX)
		return bad_path(path, "is too long", e);
	room = str_room(&b->blob, len + 1);
	memcpy(room, prefix, len - n);
	memcpy(room + len - n, path, n);
	room[len] = '\0';
	if (strlen(room) != len || !path_sound(room))
		return bad_path(room, "is not the path of a file in it", e);
	slash = strrchr(room, '/');
	en.path_off = (uint32_t)b->blob.len;
	en.name_off = en.path_off + (uint32_t)(slash ? slash + 1 - room : 0);
	en.path_len = (uint32_t)len;
	str_grew(&b->blob, len + 1);
	GROW(b->entries, b->n_entries, b->cap_entries);
	b->entries[b->n_entries++] = en;
	return 0;
}

int indexbuild_add_watch(struct indexbuild *b, const char *path, const char *label_prefix, const char *label,
			 uint32_t flags, struct digest *d, struct str *content, struct err **e)
{
	struct indexfile_watch w = {.flags = flags};
	_cleanup_free_ char *full = xasprintf("%s%s", label_prefix, label);
	int r = indexbuild_text(b, path, strlen(path), &w.path_off, e);

	if (r == 0)
		r = indexbuild_text(b, full, strlen(full), &w.label_off, e);
	if (r == 0)
		r = filestate_follow(path, flags, d, content, &w.state, e);
	if (r < 0)
		return r;
	GROW(b->watches, b->n_watches, b->cap_watches);
	b->watches[b->n_watches++] = w;
	return 0;
}

static int compare_entries(const void *x, const void *y, void *blob)
{
	return indexfile_compare(blob, x, blob, y);
}

int indexbuild_sort(struct indexbuild *b, struct err **e)
{
	uint32_t kept = 0;

	if (b->n_entries > 1)
		qsort_r(b->entries, b->n_entries, sizeof(*b->entries), compare_entries, b->blob.p);
	for (uint32_t i = 0; i < b->n_entries; i++)
		if (kept == 0 || compare_entries(&b->entries[kept - 1], &b->entries[i], b->blob.p) != 0)
			b->entries[kept++] = b->entries[i];
	b->n_entries = kept;
	b->n_dirs = 0;
	for (uint32_t i = 0; i < kept; i++) {
		const struct indexfile_entry *en = &b->entries[i];
		size_t len = indexfile_dir_len(en);
		struct indexfile_dir dir = {.first = i, .count = 1};
		struct indexfile_dir *last = b->n_dirs ? &b->dirs[b->n_dirs - 1] : NULL;
		_cleanup_free_ char *path = NULL;
		int r;

		if (last && strlen(b->blob.p + last->path_off) == len &&
		    memcmp(b->blob.p + last->path_off, b->blob.p + en->path_off, len) == 0) {
			last->count++;
			continue;
		}
		path = xstrndup(b->blob.p + en->path_off, len);
		r = indexbuild_text(b, path, len, &dir.path_off, e);
		if (r < 0)
			return r;
		GROW(b->dirs, b->n_dirs, b->cap_dirs);
		b->dirs[b->n_dirs++] = dir;
	}
	return 0;
}

static int cannot_list(const char *path, int errnum, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, *path ? path : ".", *path ? strlen(path) : 1, false);
	return err_errno(e, errnum, "cannot list folder '%s' of the source", str_text(&shown));
}

static int walk(struct indexbuild *b, int parent, const char *name, const char *prefix, int depth, struct err **e)
{
	_cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *ent;
	int r = 0;
	DIR *d;

	/* Gone or swapped since it was listed: its parent's times say so at the next look. */
	if (fd < 0 && depth > 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (depth > DEPTH_MAX)
		return cannot_list(prefix, ELOOP, e);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return cannot_list(prefix, errno, e);
	(void)take_fd(&fd);
	while (r == 0 && (errno = 0, ent = readdir(d))) {
		_cleanup_free_ char *below = NULL;
		struct stat st;

		if (strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		r = indexbuild_add_entry(b, prefix, ent->d_name, strlen(ent->d_name), e);
		if (r < 0 || (ent->d_type != DT_DIR && ent->d_type != DT_UNKNOWN))
			continue;
		if (ent->d_type == DT_UNKNOWN &&
		    (fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode)))
			continue;
		below = xasprintf("%s%s/", prefix, ent->d_name);
		r = walk(b, dirfd(d), ent->d_name, below, depth + 1, e);
	}
	if (r == 0 && errno != 0)
		r = cannot_list(prefix, errno, e);
	(void)closedir(d);
	return r;
}

int indexbuild_walk(struct indexbuild *b, int rootfd, struct err **e)
{
	int r = indexbuild_add_entry(b, "", ".", 1, e);

	return r < 0 ? r : walk(b, rootfd, ".", "", 0, e);
}

int indexbuild_copy(struct indexbuild *b, const struct indexfile *from, struct err **e)
{
	int r = 0;

	for (uint32_t i = 0; i < from->h.n_entries && r == 0; i++) {
		const struct indexfile_entry *en = &from->entries[i];

		r = indexbuild_add_entry(b, "", indexfile_text(from, en->path_off), en->path_len, e);
	}
	for (uint32_t i = 0; i < from->h.n_watches && r == 0; i++) {
		struct indexfile_watch w = from->watches[i];
		const char *path = indexfile_text(from, w.path_off);
		const char *label = indexfile_text(from, w.label_off);

		r = indexbuild_text(b, path, strlen(path), &w.path_off, e);
		if (r == 0)
			r = indexbuild_text(b, label, strlen(label), &w.label_off, e);
		GROW(b->watches, b->n_watches, b->cap_watches);
		b->watches[b->n_watches++] = w;
	}
	return r;
}
