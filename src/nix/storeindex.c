#include "nix/storeindex.h"
#include "base/clock.h"
#include "nix/storepath.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Names beyond that are not found. A rest of ten times what reading took bounds what a box can make the host do. */
enum { NAMES_BYTES_MAX = 128 << 20, REST_MIN_MS = 50, REST_FACTOR = 10, FRESH_MS = 100 };

struct storeindex {
	int dir;
	struct str names; /* each with its NUL */
	uint32_t *at;     /* of each name, sorted by it */
	size_t n;
	bool read;
	struct timespec mtime; /* of the folder when it was read */
	bool fresh;            /* it had changed just then: more may have changed at the same time */
	int64_t read_again_ms; /* not before */
};

struct storeindex *storeindex_new(int dir)
{
	struct storeindex *x = xcalloc(1, sizeof(*x));

	x->dir = dir;
	return x;
}

void storeindex_free(struct storeindex *x)
{
	if (!x)
		return;
	str_release(&x->names);
	free(x->at);
	free(x);
}

static int compare(const void *a, const void *b, void *arg)
{
	const struct storeindex *x = arg;

	return strcmp(x->names.p + *(const uint32_t *)a, x->names.p + *(const uint32_t *)b);
}

static void read_names(struct storeindex *x)
{
	int copy = openat(x->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *ent;
	size_t room = 0;

	if (!d) {
		(void)close_fd(copy);
		return;
	}
	while ((ent = readdir(d)) && x->names.len < NAMES_BYTES_MAX) {
		if (!storepath_base_ok(ent->d_name) || str_ends(ent->d_name, ".lock"))
			continue;
		if (x->n == room) {
			room = room ? 2 * room : 4096;
			x->at = xrealloc_array(x->at, room, sizeof(*x->at));
		}
		x->at[x->n++] = (uint32_t)x->names.len;
		str_add(&x->names, ent->d_name, strlen(ent->d_name) + 1);
	}
	(void)closedir(d);
	if (x->n > 0)
		qsort_r(x->at, x->n, sizeof(*x->at), compare, x);
}

static void read_again(struct storeindex *x, const struct stat *st)
{
	int64_t begin = clock_ms(CLOCK_BOOTTIME);
	int64_t changed_ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
	int64_t took;

	str_clear(&x->names);
	x->n = 0;
	read_names(x);
	x->read = true;
	x->mtime = st->st_mtim;
	x->fresh = clock_ms(CLOCK_REALTIME) - changed_ms < FRESH_MS;
	took = clock_ms(CLOCK_BOOTTIME) - begin;
	x->read_again_ms = begin + took + (took * REST_FACTOR > REST_MIN_MS ? took * REST_FACTOR : REST_MIN_MS);
}

static bool is_stale(const struct storeindex *x, struct stat *st)
{
	if (fstat(x->dir, st) < 0)
		return false;
	if (!x->read)
		return true;
	if (clock_ms(CLOCK_BOOTTIME) < x->read_again_ms)
		return false;
	return x->fresh || st->st_mtim.tv_sec != x->mtime.tv_sec || st->st_mtim.tv_nsec != x->mtime.tv_nsec;
}

static void add_those_there(const struct storeindex *x, const char *hash, struct strv *ret)
{
	size_t low = 0;
	size_t high = x->n;
	struct stat st;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strncmp(x->names.p + x->at[mid], hash, STOREPATH_HASH) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < x->n && ret->n < STOREINDEX_SAME; low++) {
		const char *name = x->names.p + x->at[low];

		if (strncmp(name, hash, STOREPATH_HASH) != 0)
			break;
		if (fstatat(x->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			strv_addf(ret, STOREPATH_DIR "/%s", name);
	}
}

void storeindex_find(struct storeindex *x, const char *hash, struct strv *ret)
{
	struct stat st;

	add_those_there(x, hash, ret);
	if (ret->n == 0 && is_stale(x, &st)) {
		read_again(x, &st);
		add_those_there(x, hash, ret);
	}
}
