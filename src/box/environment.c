/* Theory of operation
 *
 * The warm path, in order, each step a few system calls and no process:
 *   - the source index says whether anything that evaluation could have read of the repository has changed, and
 *     gives its key (nix/sourceindex.h);
 *   - the record must have that key, and be of the same shell, flake folder, platform and Nix;
 *   - the store paths of its closure that are the slot's own must be there (a garbage collection in a box may have
 *     taken them); those of the host are checked by whoever mounts them.
 * Anything else is done aside (sys/aside.h), so that the supervisor this process becomes stays small: files that must
 * be read again are hashed, and if that does not find the record good it evaluates, under the slot's resolve lock; who
 * had to wait for that looks at the record again first. */
#include "box/environment.h"

#include "base/log.h"
#include "box/protect.h"
#include "box/requests.h"
#include "box/resolve.h"
#include "nix/sourceindex.h"
#include "nix/storepath.h"
#include "nix/toolchain.h"
#include "sys/aside.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

const char *environment_platform(void)
{
#if defined(__x86_64__)
	return "x86_64-linux";
#elif defined(__aarch64__)
	return "aarch64-linux";
#elif defined(__riscv) && __riscv_xlen == 64
	return "riscv64-linux";
#else
#error "which platform does Nix call this?"
#endif
}

const char *environment_platform_of(const struct environment_query *q)
{
	return q->platform ? q->platform : environment_platform();
}

/* FNV-1a, 64 bits: names of files only; what they hold says whose they are. */
static uint64_t name_hash(uint64_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3U;
	return h * 0x100000001b3U; /* the NUL: "ab","c" is not "a","bc" */
}

static void file_names(const struct environment_query *q, char **ret_record, char **ret_index)
{
	uint64_t h = name_hash(0xcbf29ce484222325U, q->source->flake_dir);

	*ret_index = xasprintf("%016llx.index", (unsigned long long)h);
	/* One per platform, too. */
	h = name_hash(h, q->shell);
	if (q->platform)
		h = name_hash(h, q->platform);
	*ret_record = xasprintf("%016llx.record", (unsigned long long)h);
}

/* Fails with -ESTALE when some store path of the slot's own is gone. */
static int check_paths(const struct slot *slot, const struct env_record *rec, struct err **e)
{
	_cleanup_close_ int store = file_open_beneath(slot->dir, "nix/store", O_PATH | O_DIRECTORY, 0);
	struct stat st;

	if (store < 0)
		return err_errno(e, -store, "the slot's store");
	for (size_t i = 0; i < rec->n_closure; i++)
		if (!rec->closure[i].host &&
		    fstatat(store, storepath_base(rec->closure[i].path), &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_set(e, ESTALE, "%s is gone from the slot's store", rec->closure[i].path);
	return 0;
}

static void because(struct strv *why, const char *reason)
{
	if (why)
		strv_add(why, reason);
}

static bool differs(struct strv *why, const char *what, const char *was, const char *is)
{
	if (strcmp(was, is) == 0)
		return false;
	if (why)
		strv_addf(why, "%s: was '%s', is '%s'", what, was, is);
	return true;
}

/* Which shell the record should be of: who named none gets the one that the flake asks for. */
static char *wanted_shell(const struct environment_query *q, const struct env_record *rec)
{
	_cleanup_requests_ struct requests requests = {0};

	if (q->any_shell && *rec->requests)
		(void)requests_parse(rec->requests, strlen(rec->requests), &requests, NULL);
	return xstrdup(requests.shell ? requests.shell : q->shell);
}

/* 0 with a good record, -ESTALE with reasons. */
static int try_record(const struct slot *slot, int env_dir, const char *name, const struct environment_query *q,
		      const uint8_t *key, const char *nix_id, struct env_record *ret, struct strv *why)
{
	_cleanup_record_ struct env_record rec = {0};
	_cleanup_err_ struct err *problem = NULL;
	_cleanup_free_ char *shell = NULL;
	int r = record_read(env_dir, name, &rec, &problem);

	if (r < 0) {
		because(why, r == -ENOENT ? "there is no record yet" : err_message(problem));
		return -ESTALE;
	}
	if (memcmp(rec.key, key, RECORD_KEY_BYTES) != 0) {
		if (why && why->n == 0)
			because(why, "the repository is not as it was when the record was made");
		return -ESTALE;
	}
	shell = wanted_shell(q, &rec);
	if (differs(why, "flake", rec.flake_dir, q->source->flake_dir) || differs(why, "shell", rec.shell, shell) ||
	    differs(why, "platform", rec.platform, environment_platform_of(q)) ||
	    differs(why, "Nix", rec.nix_version, nix_id))
		return -ESTALE;
	if (q->interactive && !*rec.bash_interactive) {
		because(why, "the record names no bash for an interactive shell");
		return -ESTALE;
	}
	if (check_paths(slot, &rec, &problem) < 0) {
		because(why, err_message(problem));
		return -ESTALE;
	}
	*ret = rec;
	rec = (struct env_record){0};
	return 0;
}

static void say_wait(pid_t holder)
{
	if (holder > 0)
		log_note("waiting for process %d, which resolves an environment of this slot", (int)holder);
	else
		log_note("waiting for another igloo, which resolves an environment of this slot");
}

/* Untracked, flake.nix is not there for Nix. */
static int check_tracked(const struct environment_query *q, const struct sourceindex *x, struct err **e)
{
	const char *sub = q->source->subdir;

	if (!x->flake_untracked)
		return 0;
	(void)err_set(e, ENOENT, "git does not track %s%sflake.nix, so Nix does not see it", sub, *sub ? "/" : "");
	(void)err_hint(e, "run: git add --intent-to-add %s%sflake.nix", sub, *sub ? "/" : "");
	return -EINVAL;
}

static int check_source(const struct environment_query *q, int env_dir, const char *index, struct sourceindex *ret,
			struct err **e)
{
	int r = sourceindex_check(q->source, env_dir, index, ret, e) < 0 ? -EINVAL : check_tracked(q, ret, e);

	if (r < 0)
		sourceindex_release(ret);
	return r;
}

/* The repository may change while it is evaluated: then the record is for neither state, and once more it goes. */
static int evaluate(struct slot *slot, const struct environment_query *q, int env_dir, const char *index,
		    const char *record, const char *nix_id, struct err **e)
{
	enum { TRIES = 3 };
	_cleanup_close_ int held = protect_hold(q->source, e);

	if (held < 0)
		return held;
	for (int i = 0; i < TRIES; i++) {
		_cleanup_sourceindex_ struct sourceindex before = {0};
		_cleanup_sourceindex_ struct sourceindex after = {0};
		int r = check_source(q, env_dir, index, &before, e);

		if (r == 0)
			r = resolve_environment(slot, q, before.key, nix_id, record, e);
		if (r == 0)
			r = check_source(q, env_dir, index, &after, e);
		if (r < 0 || before.volatile_why || memcmp(before.key, after.key, sizeof(before.key)) == 0)
			return r;
		log_verbose("the repository changed while its environment was resolved; again");
	}
	return err_set(e, EAGAIN, "the repository keeps changing while its environment is resolved");
}

/* What environment_open() works on; the names are of files in env_dir. */
struct work {
	struct slot *slot;
	const struct environment_query *q;
	int env_dir;
	char *record;
	char *index;
	char *nix_id;
	struct strv why;
};

/* The warm path. */
static int open_warm(struct work *w, struct env_record *ret)
{
	_cleanup_sourceindex_ struct sourceindex source = {0};

	if (w->q->refresh || sourceindex_peek(w->q->source, w->env_dir, w->index, &source, NULL) < 0 ||
	    source.flake_untracked)
		return -ESTALE;
	return try_record(w->slot, w->env_dir, w->record, w->q, source.key, w->nix_id, ret, NULL);
}

/* Leaves a good record. */
static int make_good(struct work *w, struct err **e)
{
	_cleanup_sourceindex_ struct sourceindex source = {0};
	_cleanup_record_ struct env_record found = {0};
	_cleanup_close_ int lock = -1;
	int r = check_source(w->q, w->env_dir, w->index, &source, e);

	if (r < 0)
		return r;
	strv_add_all(&w->why, source.changed.v);
	if (w->q->refresh)
		because(&w->why, "asked to");
	else if (try_record(w->slot, w->env_dir, w->record, w->q, source.key, w->nix_id, &found, &w->why) == 0)
		return 0;
	lock = slot_lock_resolve(w->slot, say_wait, e);
	if (lock < 0)
		return lock;
	/* Somebody else may have made it while we waited. */
	if (!w->q->refresh &&
	    try_record(w->slot, w->env_dir, w->record, w->q, source.key, w->nix_id, &found, NULL) == 0)
		return 0;
	return evaluate(w->slot, w->q, w->env_dir, w->index, w->record, w->nix_id, e);
}

/* The answer is the reasons, a line each. */
static int make_good_aside(void *arg, struct str *answer, struct err **e)
{
	struct work *w = arg;
	int r = make_good(w, e);

	for (size_t i = 0; i < w->why.n; i++)
		str_addf(answer, "%s\n", w->why.v[i]);
	return r;
}

static int open_work(struct work *w, struct env_record *ret, struct strv *why, struct err **e)
{
	_cleanup_str_ struct str answer = STR_INIT;
	int r = toolchain_identity(w->q->source->repo_dir, &w->nix_id, e);

	if (r < 0 || open_warm(w, ret) == 0)
		return r;
	r = aside_run(make_good_aside, w, &answer, e);
	if (r < 0)
		return r;
	if (why)
		strv_split(why, str_text(&answer), '\n');
	return record_read(w->env_dir, w->record, ret, e);
}

int environment_open(struct slot *slot, const struct environment_query *q, struct env_record *ret, struct strv *why,
		     struct err **e)
{
	_cleanup_close_ int env_dir = file_open_beneath(slot->dir, "env", O_RDONLY | O_DIRECTORY, 0);
	struct work w = {.slot = slot, .q = q, .env_dir = env_dir, .why = STRV_INIT};
	int r;

	if (env_dir < 0)
		return err_errno(e, -env_dir, "slot '%s': cannot open its records", slot->id);
	file_names(q, &w.record, &w.index);
	r = open_work(&w, ret, why, e);
	strv_release(&w.why);
	free(w.record);
	free(w.index);
	free(w.nix_id);
	return r;
}
