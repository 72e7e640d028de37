/* Theory of operation
 *
 * An index file keeps, per path that evaluation could read, what stat(2) said and the SHA-256 of the
 * content, and the key made of it all. The warm check (indexwarm_unchanged) compares stat results
 * only; one difference leads to rebuild(), which reads what differs and asks git again when git's own
 * files differ in content.
 *
 * A signature stands for a content only if no later change can leave it as it is. Time stamps come
 * from a clock that ticks: a file changed twice within a tick looks the same. So at the start of a
 * rebuild, before the first stat, the clock is read from a file made in the cache folder, and an entry
 * is trusted only if its mtime and ctime are older than that by more than a tick: whatever changes it
 * later gets a later ctime. All others (the future after a clock step included) are read again at each
 * check until their time has passed. This is git's rule for "racily clean" entries; and with git, make
 * and Nix it shares one limit: a page that a process has mapped writable and already dirtied can
 * change without a new time stamp until it is written back.
 *
 * Folders matter for `path:` sources only. There a folder's own times tell that its list of names is
 * the old one; contents are never concluded from them. Newer Nix shows evaluation the newest mtime of
 * a `path:` source as lastModified, so that is part of its key. */
#include "nix/sourceindex.h"

#include "base/log.h"
#include "nix/filestate.h"
#include "nix/gitstate.h"
#include "nix/indexwarm.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* A tick of any HZ, where the file is on the clock's file system; another one may have another clock and
 * a coarser resolution (FAT: 2 s). */
enum { TICK_NS = 20000000, OTHER_SECONDS = 3, NS_PER_S = 1000000000 };

struct clock {
	int64_t sec, nsec; /* 0 when it could not be read: then nothing is trusted */
	uint64_t dev;
};

/* A rebuild in progress. */
struct rebuild {
	const struct source *src;
	const struct indexfile *old; /* NULL when there is none */
	int rootfd;
	struct clock now;
	struct digest *d;
	struct indexbuild b;
	struct gitstate git;
};

/* The time of the cache folder's file system. */
static struct clock read_clock(int dirfd)
{
	_cleanup_close_ int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct stat st;

	if (fd < 0 && errno != EACCES && errno != EROFS && errno != ENOSPC) {
		_cleanup_free_ char *name = xasprintf(".clock.%d.tmp", (int)getpid());

		fd = openat(dirfd, name, O_CREAT | O_TRUNC | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0) {
			(void)fd_write_all(fd, "", 1);
			(void)unlinkat(dirfd, name, 0);
		}
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return (struct clock){0};
	return (struct clock){st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_dev};
}

/* `sec`.`nsec` + `slack` is before the clock's time. */
static bool is_before(int64_t sec, uint32_t nsec, int64_t slack_s, int64_t slack_ns, const struct clock *now)
{
	int64_t d;

	if (__builtin_sub_overflow(now->sec, sec, &d) || d < 0)
		return false;
	if (d > OTHER_SECONDS + 2)
		return true;
	return d * NS_PER_S + now->nsec - nsec > slack_s * NS_PER_S + slack_ns;
}

static bool is_settled(const struct filestate *s, const struct clock *now)
{
	bool fine = s->sig.dev == now->dev && s->sig.ctime_ns != 0;
	int64_t sec = fine ? 0 : OTHER_SECONDS;
	int64_t nsec = fine ? TICK_NS : 0;

	if (s->type == '-' || (s->type == 'd' && s->sig.ino == 0))
		return true;
	return is_before(s->sig.ctime, s->sig.ctime_ns, sec, nsec, now) &&
	       is_before(s->sig.mtime, s->sig.mtime_ns, sec, nsec, now);
}

/* Renews the copied watches. *ret_ask is set when git must be asked again. */
static int renew_watches(struct rebuild *rb, bool *ret_ask, struct err **e)
{
	for (uint32_t i = 0; i < rb->b.n_watches; i++) {
		struct indexfile_watch *w = &rb->b.watches[i];
		struct filestate s;
		int r;

		r = filestate_follow(rb->b.blob.p + w->path_off, w->flags, rb->d, NULL, &s, e);
		if (r < 0)
			return r;
		if ((w->flags & WATCH_REREAD) && !filestate_same_content(&s, &w->state) &&
		    !(filestate_is_nothing(&s) && filestate_is_nothing(&w->state)))
			*ret_ask = true;
		w->state = s;
	}
	return 0;
}

/* Fills rb->b with the paths and watches, and rb->git. */
static int list_git(struct rebuild *rb, struct err **e)
{
	struct gitrepo repo = {rb->src->repo_dir, rb->src->git_dir, rb->src->common_dir};
	_cleanup_free_ char *flake = xasprintf("%s%sflake.nix", rb->src->subdir, *rb->src->subdir ? "/" : "");
	bool ask = !rb->old;
	int r;

	if (rb->old) {
		r = indexbuild_copy(&rb->b, rb->old, e);
		if (r == 0)
			r = renew_watches(rb, &ask, e);
		if (r < 0)
			return r;
	}
	if (ask) {
		indexbuild_release(&rb->b);
		return gitstate_read(&repo, rb->rootfd, flake, &rb->b, &rb->git, e);
	}
	rb->git.head = xstrdup(indexfile_text(rb->old, rb->old->h.head_off));
	if (*indexfile_text(rb->old, rb->old->h.volatile_off))
		rb->git.volatile_why = xstrdup(indexfile_text(rb->old, rb->old->h.volatile_off));
	rb->git.flake_tracked = !(rb->old->h.flags & INDEXFILE_FLAKE_UNTRACKED);
	memcpy(rb->git.lists, rb->old->h.lists, sizeof(rb->git.lists));
	return 0;
}

/* The old entry of the same path; *at moves on through the old entries, which are sorted alike. */
static const struct filestate *find_old(const struct rebuild *rb, const struct indexfile_entry *en, uint32_t *at)
{
	for (; rb->old && *at < rb->old->h.n_entries; (*at)++) {
		const struct indexfile_entry *o = &rb->old->entries[*at];
		int c = indexfile_compare(rb->old->blob, o, rb->b.blob.p, en);

		if (c >= 0)
			return c == 0 ? &o->state : NULL;
	}
	return NULL;
}

static int read_entry(struct rebuild *rb, int dirfd, struct indexfile_entry *en, const struct filestate *old,
		      struct err **e)
{
	const char *name = rb->b.blob.p + en->name_off;
	bool dir_times = !rb->src->is_git;
	struct filestate s = {0};

	if (old && old->trusted && filestate_look(dirfd, name, dir_times, &s) == 0 && filestate_same_sig(&s, old)) {
		en->state = *old;
		return 0;
	}
	return filestate_read(dirfd, name, dir_times, rb->d, rb->b.blob.p + en->path_off, &en->state, e);
}

static int read_entries(struct rebuild *rb, struct err **e)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < rb->b.n_dirs; i++) {
		const struct indexfile_dir *dir = &rb->b.dirs[i];
		const char *path = rb->b.blob.p + dir->path_off;
		_cleanup_close_ int fd = file_open_beneath(rb->rootfd, path, O_PATH | O_DIRECTORY, 0);
		bool gone = fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP || fd == -EXDEV;

		if (fd < 0 && !gone) {
			_cleanup_str_ struct str shown = STR_INIT;

			str_add_printable(&shown, path, strlen(path), false);
			return err_errno(e, -fd, "cannot open folder '%s' of the source", str_text(&shown));
		}
		for (uint32_t k = dir->first; k < dir->first + dir->count; k++) {
			struct indexfile_entry *en = &rb->b.entries[k];
			const struct filestate *old = find_old(rb, en, &at);
			int r = 0;

			if (gone)
				en->state = (struct filestate){.type = '-'};
			else
				r = read_entry(rb, fd, en, old, e);
			if (r < 0)
				return r;
			en->state.trusted = is_settled(&en->state, &rb->now);
		}
	}
	for (uint32_t i = 0; i < rb->b.n_watches; i++)
		rb->b.watches[i].state.trusted = is_settled(&rb->b.watches[i].state, &rb->now);
	return 0;
}

/* One path or label with its state, in a form no other pair shares. */
static void add_to_key(struct digest *d, const char *name, const struct filestate *s)
{
	uint8_t tail[3 + sizeof(s->sha)] = {s->type, filestate_executable(s), (uint8_t)((s->sig.mode & S_IFMT) >> 12)};

	memcpy(tail + 3, s->sha, sizeof(s->sha));
	digest_add(d, name, strlen(name) + 1);
	digest_add(d, tail, sizeof(tail));
}

static int make_key(struct rebuild *rb, uint8_t ret[static 32], struct err **e)
{
	static const char start[] = "igloo source 1";
	struct digest *d = rb->d;
	const char *head = rb->git.head ? rb->git.head : "";
	uint8_t is_git = rb->src->is_git;
	int64_t newest = 0;

	digest_add(d, start, sizeof(start));
	digest_add(d, &is_git, 1);
	digest_add(d, rb->src->subdir, strlen(rb->src->subdir) + 1);
	digest_add(d, head, strlen(head) + 1);
	digest_add(d, rb->git.lists, sizeof(rb->git.lists));
	for (uint32_t i = 0; i < rb->b.n_watches; i++)
		if ((rb->b.watches[i].flags & WATCH_KEY) && !filestate_is_nothing(&rb->b.watches[i].state))
			add_to_key(d, rb->b.blob.p + rb->b.watches[i].label_off, &rb->b.watches[i].state);
	digest_add(d, "", 1);
	for (uint32_t i = 0; i < rb->b.n_entries; i++) {
		add_to_key(d, rb->b.blob.p + rb->b.entries[i].path_off, &rb->b.entries[i].state);
		if (rb->b.entries[i].state.sig.mtime > newest)
			newest = rb->b.entries[i].state.sig.mtime;
	}
	if (!rb->src->is_git)
		digest_add(d, &newest, sizeof(newest));
	return digest_finish(d, ret, e);
}

/* Which source an index is about: each part with its length, since any byte may be in a name. */
static char *identity(const struct source *s)
{
	struct str id = STR_INIT;

	str_addf(&id, "%zu:%s%zu:%s", strlen(s->repo_dir), s->repo_dir, strlen(s->subdir), s->subdir);
	if (s->is_git)
		str_addf(&id, "%zu:%s%zu:%s", strlen(s->git_dir), s->git_dir, strlen(s->common_dir), s->common_dir);
	return str_take(&id);
}

static int fill(struct rebuild *rb, struct indexfile *ret, struct err **e)
{
	_cleanup_free_ char *id = identity(rb->src);
	const char *head = rb->git.head ? rb->git.head : "";
	const char *why = rb->git.volatile_why ? rb->git.volatile_why : "";
	struct indexfile f = {0};
	int r = indexbuild_text(&rb->b, id, strlen(id), &f.h.identity_off, e);

	if (r == 0)
		r = indexbuild_text(&rb->b, head, strlen(head), &f.h.head_off, e);
	if (r == 0)
		r = indexbuild_text(&rb->b, why, strlen(why), &f.h.volatile_off, e);
	if (r == 0)
		r = make_key(rb, f.h.key, e);
	if (r < 0)
		return r;
	if (rb->src->is_git)
		f.h.flags = INDEXFILE_GIT | (rb->git.flake_tracked ? 0 : INDEXFILE_FLAKE_UNTRACKED);
	memcpy(f.h.lists, rb->git.lists, sizeof(f.h.lists));
	f.h.n_watches = rb->b.n_watches;
	f.h.n_entries = rb->b.n_entries;
	f.h.n_dirs = rb->b.n_dirs;
	f.h.blob_size = (uint32_t)rb->b.blob.len;
	f.watches = rb->b.watches;
	f.entries = rb->b.entries;
	f.dirs = rb->b.dirs;
	f.blob = rb->b.blob.p;
	*ret = f;
	return 0;
}

static int set_result(const struct indexfile *f, struct sourceindex *x, struct err **e)
{
	const char *why = indexfile_text(f, f->h.volatile_off);

	x->head = xstrdup(indexfile_text(f, f->h.head_off));
	x->flake_untracked = f->h.flags & INDEXFILE_FLAKE_UNTRACKED;
	memcpy(x->key, f->h.key, sizeof(x->key));
	if (!*why)
		return 0;
	/* So that a caller who does not look at volatile_why still never finds an old result. */
	x->volatile_why = xstrdup(why);
	if (getrandom(x->key, sizeof(x->key), 0) != (ssize_t)sizeof(x->key))
		return err_errno(e, errno, "getrandom");
	return 0;
}

static int rebuild(struct rebuild *rb, int cache_dirfd, const char *cache_name, const struct str *old_bytes,
		   struct sourceindex *x, struct err **e)
{
	_cleanup_str_ struct str bytes = STR_INIT;
	struct indexfile f = {0};
	int r = rb->src->is_git ? list_git(rb, e) : indexbuild_walk(&rb->b, rb->rootfd, e);

	if (r == 0)
		r = indexbuild_sort(&rb->b, e);
	if (r == 0)
		r = read_entries(rb, e);
	if (r == 0)
		r = fill(rb, &f, e);
	if (r < 0)
		return r;
	indexwarm_explain(rb->old, &f, &x->changed);
	r = indexfile_write(&f, &bytes);
	if (r == 0 && old_bytes->p && bytes.len == old_bytes->len && memcmp(bytes.p, old_bytes->p, bytes.len) == 0)
		log_debug("source index: nothing new to write");
	else if (r == 0)
		r = file_replace(cache_dirfd, cache_name, bytes.p, bytes.len, 0600, false, NULL);
	if (r < 0)
		log_debug("source index: cannot be kept: %s", strerror(-r));
	return set_result(&f, x, e);
}

/* Reads the index; anything wrong with it is the same as none. */
static bool load(int cache_dirfd, const char *cache_name, const struct source *s, struct str *bytes,
		 struct indexfile *ret)
{
	_cleanup_close_ int fd = openat(cache_dirfd, cache_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_free_ char *id = NULL;
	struct stat st;
	size_t want;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > INDEXFILE_MAX)
		return false;
	want = (size_t)st.st_size;
	(void)str_room(bytes, want);
	while (bytes->len < want) {
		ssize_t n = read(fd, bytes->p + bytes->len, want - bytes->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		str_grew(bytes, (size_t)n);
	}
	if (!indexfile_parse(bytes->p, bytes->len, ret))
		return false;
	id = identity(s);
	return strcmp(indexfile_text(ret, ret->h.identity_off), id) == 0 &&
	       s->is_git == !!(ret->h.flags & INDEXFILE_GIT);
}

static int open_root(const struct source *s, int *ret, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	*ret = file_open_user(s->repo_dir, O_PATH | O_DIRECTORY);
	if (*ret >= 0)
		return 0;
	str_add_printable(&shown, s->repo_dir, strlen(s->repo_dir), false);
	return err_errno(e, -*ret, "cannot open '%s'", str_text(&shown));
}

int sourceindex_peek(const struct source *s, int cache_dirfd, const char *cache_name, struct sourceindex *ret,
		     struct err **e)
{
	_cleanup_sourceindex_ struct sourceindex x = {0};
	_cleanup_str_ struct str bytes = STR_INIT;
	_cleanup_close_ int rootfd = -1;
	struct indexfile old;
	int r = open_root(s, &rootfd, e);

	if (r == 0 && (!load(cache_dirfd, cache_name, s, &bytes, &old) || !indexwarm_unchanged(&old, rootfd)))
		return err_set(e, EAGAIN, "the source must be looked at");
	if (r == 0)
		r = set_result(&old, &x, e);
	if (r < 0)
		return r;
	*ret = x;
	x = (struct sourceindex){0};
	return 0;
}

int sourceindex_check(const struct source *s, int cache_dirfd, const char *cache_name, struct sourceindex *ret,
		      struct err **e)
{
	_cleanup_sourceindex_ struct sourceindex x = {0};
	_cleanup_str_ struct str bytes = STR_INIT;
	_cleanup_close_ int rootfd = -1;
	struct rebuild rb = {.src = s};
	struct indexfile old;
	int r = open_root(s, &rootfd, e);

	if (r < 0)
		return r;
	rb.rootfd = rootfd;
	if (load(cache_dirfd, cache_name, s, &bytes, &old))
		rb.old = &old;
	if (rb.old && indexwarm_unchanged(rb.old, rootfd)) {
		r = set_result(rb.old, &x, e);
	} else {
		x.looked = true;
		rb.now = read_clock(cache_dirfd);
		r = digest_open(&rb.d, e);
		if (r == 0)
			r = rebuild(&rb, cache_dirfd, cache_name, &bytes, &x, e);
		digest_free(rb.d);
		indexbuild_release(&rb.b);
		gitstate_release(&rb.git);
	}
	if (r < 0)
		return r;
	*ret = x;
	x = (struct sourceindex){0};
	return 0;
}

void sourceindex_release(struct sourceindex *x)
{
	free(x->head);
	free(x->volatile_why);
	strv_release(&x->changed);
	*x = (struct sourceindex){0};
}
