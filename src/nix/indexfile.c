#include "nix/indexfile.h"

#include <errno.h>
#include <string.h>

static const char magic[8] = "igloosx1";

_Static_assert(sizeof(struct filestate) % 8 == 0 && sizeof(struct indexfile_entry) % 8 == 0 &&
		       sizeof(struct indexfile_watch) % 8 == 0 && sizeof(struct indexfile_header) % 8 == 0,
	       "arrays follow each other without padding");

static uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

/* Four lanes of multiply-rotate over 32-byte blocks (the scheme of xxHash's inner loop, its primes,
 * not its result), the rest bytewise; memory speed without a library. */
static uint64_t checksum(const unsigned char *p, size_t n)
{
	const uint64_t k1 = 0x9e3779b185ebca87U;
	const uint64_t k2 = 0xc2b2ae3d27d4eb4fU;
	uint64_t lane[4] = {k1 + k2, k2, 0, 0 - k1};
	uint64_t sum = n;

	for (; n >= 32; p += 32, n -= 32) {
		uint64_t w[4];

		memcpy(w, p, sizeof(w));
		for (int i = 0; i < 4; i++)
			lane[i] = rotate(lane[i] + w[i] * k2, 31) * k1;
	}
	for (; n > 0; p++, n--)
		sum = rotate(sum ^ *p * k1, 11) * k2;
	for (int i = 0; i < 4; i++)
		sum = rotate(sum ^ lane[i], 27) * k1 + k2;
	return sum ^ sum >> 32;
}

static const size_t summed_from = offsetof(struct indexfile_header, size);

/* Entries must lie in one run per folder, in order, each named inside its own path. */
static bool dirs_sound(const struct indexfile *f)
{
	uint64_t next = 0;

	for (uint32_t d = 0; d < f->h.n_dirs; d++) {
		const struct indexfile_dir *dir = &f->dirs[d];
		size_t len;

		if (dir->path_off >= f->h.blob_size || dir->first != next || dir->count == 0 ||
		    dir->count > f->h.n_entries - next)
			return false;
		next += dir->count;
		len = strnlen(f->blob + dir->path_off, INDEXFILE_PATH_MAX + 1);
		if (len > INDEXFILE_PATH_MAX)
			return false;
		for (uint32_t i = dir->first; i < next; i++) {
			const struct indexfile_entry *en = &f->entries[i];

			if (indexfile_dir_len(en) != len ||
			    memcmp(f->blob + en->path_off, f->blob + dir->path_off, len) != 0)
				return false;
		}
	}
	return next == f->h.n_entries;
}

static bool entry_sound(const struct indexfile *f, const struct indexfile_entry *en)
{
	const char *path;

	if (en->path_off >= f->h.blob_size || en->path_len == 0 || en->path_len > INDEXFILE_PATH_MAX ||
	    en->path_len >= f->h.blob_size - en->path_off)
		return false;
	path = f->blob + en->path_off;
	if (strnlen(path, en->path_len + 1) != en->path_len)
		return false;
	if (en->name_off < en->path_off || en->name_off - en->path_off >= en->path_len)
		return false;
	if (en->name_off > en->path_off && path[en->name_off - en->path_off - 1] != '/')
		return false;
	return !strchr(f->blob + en->name_off, '/') && strchr("fldo-", en->state.type) && en->state.type;
}

bool indexfile_parse(const void *bytes, size_t n, struct indexfile *ret)
{
	struct indexfile f;
	const char *p = bytes;
	uint64_t need;

	if (n < sizeof(f.h) || n > INDEXFILE_MAX)
		return false;
	memcpy(&f.h, bytes, sizeof(f.h));
	need = sizeof(f.h) + (uint64_t)f.h.n_watches * sizeof(*f.watches) +
	       (uint64_t)f.h.n_entries * sizeof(*f.entries) + (uint64_t)f.h.n_dirs * sizeof(*f.dirs) + f.h.blob_size;
	if (memcmp(f.h.magic, magic, sizeof(magic)) != 0 || f.h.size != n || need != n ||
	    f.h.checksum != checksum((const unsigned char *)p + summed_from, n - summed_from))
		return false;
	f.watches = (const void *)(p + sizeof(f.h));
	f.entries = (const void *)(f.watches + f.h.n_watches);
	f.dirs = (const void *)(f.entries + f.h.n_entries);
	f.blob = (const char *)(f.dirs + f.h.n_dirs);
	if (f.h.blob_size == 0 || f.blob[f.h.blob_size - 1] != '\0' || f.h.identity_off >= f.h.blob_size ||
	    f.h.head_off >= f.h.blob_size || f.h.volatile_off >= f.h.blob_size)
		return false;
	for (uint32_t i = 0; i < f.h.n_watches; i++)
		if (f.watches[i].path_off >= f.h.blob_size || f.watches[i].label_off >= f.h.blob_size)
			return false;
	for (uint32_t i = 0; i < f.h.n_entries; i++)
		if (!entry_sound(&f, &f.entries[i]))
			return false;
	if (!dirs_sound(&f))
		return false;
	*ret = f;
	return true;
}

void indexfile_seal(void *bytes, size_t n)
{
	uint64_t size = n;
	uint64_t sum;

	if (n < sizeof(struct indexfile_header))
		return;
	memcpy((char *)bytes + offsetof(struct indexfile_header, size), &size, sizeof(size));
	sum = checksum((const unsigned char *)bytes + summed_from, n - summed_from);
	memcpy((char *)bytes + offsetof(struct indexfile_header, checksum), &sum, sizeof(sum));
}

int indexfile_write(const struct indexfile *f, struct str *out)
{
	struct indexfile_header h = f->h;
	size_t start = out->len;
	uint64_t size = sizeof(h) + (uint64_t)h.n_watches * sizeof(*f->watches) +
			(uint64_t)h.n_entries * sizeof(*f->entries) + (uint64_t)h.n_dirs * sizeof(*f->dirs) +
			h.blob_size;

	if (size > INDEXFILE_MAX)
		return -EFBIG;
	memcpy(h.magic, magic, sizeof(magic));
	(void)str_room(out, size);
	str_add(out, &h, sizeof(h));
	str_add(out, f->watches, h.n_watches * sizeof(*f->watches));
	str_add(out, f->entries, h.n_entries * sizeof(*f->entries));
	str_add(out, f->dirs, h.n_dirs * sizeof(*f->dirs));
	str_add(out, f->blob, h.blob_size);
	indexfile_seal(out->p + start, size);
	return 0;
}

int indexfile_compare(const char *blob_a, const struct indexfile_entry *a, const char *blob_b,
		      const struct indexfile_entry *b)
{
	size_t la = indexfile_dir_len(a);
	size_t lb = indexfile_dir_len(b);
	int r = memcmp(blob_a + a->path_off, blob_b + b->path_off, la < lb ? la : lb);

	if (r != 0)
		return r;
	if (la != lb)
		return la < lb ? -1 : 1;
	return strcmp(blob_a + a->name_off, blob_b + b->name_off);
}
