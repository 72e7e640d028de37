#include "nix/indexwarm.h"

#include "nix/filestate.h"
#include "nix/sourceindex.h"
#include "sys/file.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>

enum { SHARE_FROM = 20000, PROCESSES_MAX = 4 };

/* The entries of dirs [from, to). */
static bool dirs_unchanged(const struct indexfile *f, int rootfd, uint32_t from, uint32_t to)
{
	bool dir_times = !(f->h.flags & INDEXFILE_GIT);

	for (uint32_t i = from; i < to; i++) {
		const struct indexfile_dir *dir = &f->dirs[i];
		const char *path = indexfile_text(f, dir->path_off);
		_cleanup_close_ int opened = -1;
		int fd = rootfd;

		if (*path) {
			opened = file_open_beneath(rootfd, path, O_PATH | O_DIRECTORY, 0);
			fd = opened;
		}
		if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
			return false;
		for (uint32_t k = dir->first; k < dir->first + dir->count; k++) {
			const struct indexfile_entry *en = &f->entries[k];
			struct filestate s = {.type = '-'};

			if (!en->state.trusted ||
			    (fd >= 0 && filestate_look(fd, indexfile_text(f, en->name_off), dir_times, &s) < 0) ||
			    !filestate_same_sig(&s, &en->state))
				return false;
		}
	}
	return true;
}

static uint32_t processes_for(const struct indexfile *f)
{
	cpu_set_t set;
	int n;

	if (f->h.n_entries < SHARE_FROM || sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > PROCESSES_MAX ? PROCESSES_MAX : (uint32_t)n;
}

/* The dir with which the share `i` of `n` begins, by number of entries. */
static uint32_t share_start(const struct indexfile *f, uint32_t i, uint32_t n)
{
	uint64_t entry = (uint64_t)f->h.n_entries * i / n;
	uint32_t d = 0;

	while (d < f->h.n_dirs && f->dirs[d].first < entry)
		d++;
	return d;
}

static bool entries_unchanged(const struct indexfile *f, int rootfd)
{
	uint32_t n = processes_for(f);
	pid_t pids[PROCESSES_MAX] = {0};
	bool same;

	for (uint32_t i = 1; i < n; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(!dirs_unchanged(f, rootfd, share_start(f, i, n), share_start(f, i + 1, n)));
	}
	same = dirs_unchanged(f, rootfd, 0, n == 1 ? f->h.n_dirs : share_start(f, 1, n));
	for (uint32_t i = 1; i < n; i++) {
		int status = 0;
		pid_t r;

		if (pids[i] < 0) {
			same = same && dirs_unchanged(f, rootfd, share_start(f, i, n), share_start(f, i + 1, n));
			continue;
		}
		do
			r = waitpid(pids[i], &status, 0);
		while (r < 0 && errno == EINTR);
		if (r < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
			same = false;
	}
	return same;
}

bool indexwarm_unchanged(const struct indexfile *f, int rootfd)
{
	for (uint32_t i = 0; i < f->h.n_watches; i++) {
		const struct indexfile_watch *w = &f->watches[i];
		struct filestate s = {0};

		if (!w->state.trusted || filestate_follow_look(indexfile_text(f, w->path_off), w->flags, &s) < 0 ||
		    !filestate_same_sig(&s, &w->state))
			return false;
	}
	return entries_unchanged(f, rootfd);
}

/* Lines collected; those beyond the limit are only counted. */
struct reasons {
	struct strv *to;
	size_t more;
};

static void add_reason(struct reasons *rs, const char *path, const char *reason)
{
	_cleanup_str_ struct str line = STR_INIT;

	if (rs->to->n >= SOURCEINDEX_REASONS_MAX - 1) {
		rs->more++;
		return;
	}
	str_add_printable(&line, path, strlen(path), false);
	str_addf(&line, ": %s", reason);
	strv_add_take(rs->to, str_take(&line));
}

static const char *difference(const struct filestate *a, const struct filestate *b)
{
	if (filestate_same_content(a, b))
		return NULL;
	if (b->type == '-')
		return "deleted";
	if (a->type == '-')
		return "now there";
	if (a->type != b->type)
		return b->type == 'l'   ? "now a symbolic link"
		       : b->type == 'd' ? "now a folder"
		       : b->type == 'f' ? "now a file"
					: "now a special file";
	if (memcmp(a->sha, b->sha, sizeof(a->sha)) == 0)
		return filestate_executable(b) ? "now executable" : "no longer executable";
	return a->type == 'l' ? "link target changed" : "content changed";
}

static void explain_entries(const struct indexfile *old, const struct indexfile *now, struct reasons *rs)
{
	uint32_t i = 0;
	uint32_t k = 0;

	for (;;) {
		const struct indexfile_entry *a = i < old->h.n_entries ? &old->entries[i] : NULL;
		const struct indexfile_entry *b = k < now->h.n_entries ? &now->entries[k] : NULL;
		const char *why;
		int c;

		if (!a && !b)
			break;
		c = !a ? 1 : !b ? -1 : indexfile_compare(old->blob, a, now->blob, b);
		why = c == 0 ? difference(&a->state, &b->state) : c < 0 ? "removed" : "added";
		i += c <= 0;
		k += c >= 0;
		if (c != 0 && (c < 0 ? a : b)->state.type == '-')
			why = NULL; /* a place where a .gitattributes could be, or what was deleted before */
		if (why)
			add_reason(rs, c <= 0 ? indexfile_text(old, a->path_off) : indexfile_text(now, b->path_off),
				   why);
	}
}

static const struct indexfile_watch *find_watch(const struct indexfile *f, const char *label)
{
	for (uint32_t i = 0; i < f->h.n_watches; i++)
		if (strcmp(indexfile_text(f, f->watches[i].label_off), label) == 0)
			return &f->watches[i];
	return NULL;
}

void indexwarm_explain(const struct indexfile *old, const struct indexfile *now, struct strv *to)
{
	struct reasons rs = {.to = to};
	const char *head = indexfile_text(now, now->h.head_off);

	if (!old) {
		strv_add(to, "first check, or its index was lost");
		return;
	}
	if (strcmp(indexfile_text(old, old->h.head_off), head) != 0)
		add_reason(&rs, "HEAD", *head ? "another commit" : "no commit");
	for (uint32_t i = 0; i < now->h.n_watches; i++) {
		const char *label = indexfile_text(now, now->watches[i].label_off);
		const struct indexfile_watch *w = now->watches[i].flags & WATCH_KEY ? find_watch(old, label) : NULL;

		if (w && !filestate_same_content(&w->state, &now->watches[i].state) &&
		    !(filestate_is_nothing(&w->state) && filestate_is_nothing(&now->watches[i].state)))
			add_reason(&rs, label, "git's file changed");
	}
	explain_entries(old, now, &rs);
	if (to->n == 0 && memcmp(old->h.lists, now->h.lists, sizeof(now->h.lists)) != 0)
		add_reason(&rs, "index", "what git has staged changed");
	if (to->n == 0 && memcmp(old->h.key, now->h.key, sizeof(now->h.key)) != 0)
		add_reason(&rs, ".", "newest modification time changed");
	if (rs.more > 0)
		strv_addf(to, "and %zu more", rs.more);
}
