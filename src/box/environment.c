/* Theory of operation
 *
 * The warm path, in order, each step a few system calls and no process:
 *   - the source index says whether anything that evaluation could have read of the repository has changed, and
 *     gives its key (nix/sourceindex.h);
 *   - the record must have that key, and be of the same shell, flake folder, platform and Nix;
 *   - the store paths of its closure that are the slot's own must be there (a garbage collection in a box may have
 *     taken them); those of the host are checked by whoever mounts them.
 * Anything else evaluates, under the slot's resolve lock; who had to wait for it looks at the record again first. */
#include "box/environment.h"

#include "base/log.h"
#include "box/protect.h"
#include "box/resolve.h"
#include "nix/sourceindex.h"
#include "nix/storepath.h"
#include "nix/toolchain.h"
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
	*ret_record = xasprintf("%016llx.record", (unsigned long long)name_hash(h, q->shell));
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

/* 0 with a good record, -ESTALE with reasons. */
static int try_record(const struct slot *slot, int env_dir, const char *name, const struct environment_query *q,
		      const uint8_t *key, const char *nix_id, struct env_record *ret, struct strv *why)
{
	_cleanup_record_ struct env_record rec = {0};
	_cleanup_err_ struct err *problem = NULL;
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
	if (differs(why, "flake", rec.flake_dir, q->source->flake_dir) || differs(why, "shell", rec.shell, q->shell) ||
	    differs(why, "platform", rec.platform, environment_platform()) ||
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

static int check_source(const struct environment_query *q, int env_dir, const char *index, struct sourceindex *ret,
			struct err **e)
{
	int r = sourceindex_check(q->source, env_dir, index, ret, e);

	if (r == 0 && ret->flake_untracked) {
		const char *sub = q->source->subdir;

		(void)err_set(e, ENOENT, "git does not track %s%sflake.nix, so Nix does not see it", sub,
			      *sub ? "/" : "");
		r = err_hint(e, "run: git add --intent-to-add %s%sflake.nix", sub, *sub ? "/" : "");
		sourceindex_release(ret);
	}
	return r < 0 ? -EINVAL : 0;
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

int environment_open(struct slot *slot, const struct environment_query *q, struct env_record *ret, struct strv *why,
		     struct err **e)
{
	_cleanup_close_ int env_dir = file_open_beneath(slot->dir, "env", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_close_ int lock = -1;
	_cleanup_sourceindex_ struct sourceindex source = {0};
	_cleanup_free_ char *record = NULL;
	_cleanup_free_ char *index = NULL;
	_cleanup_free_ char *nix_id = NULL;
	int r;

	if (env_dir < 0)
		return err_errno(e, -env_dir, "slot '%s': cannot open its records", slot->id);
	file_names(q, &record, &index);
	r = toolchain_identity(q->source->repo_dir, &nix_id, e);
	if (r == 0)
		r = check_source(q, env_dir, index, &source, e);
	if (r < 0)
		return r;
	if (why)
		strv_add_all(why, source.changed.v);
	if (q->refresh)
		because(why, "asked to");
	else if (try_record(slot, env_dir, record, q, source.key, nix_id, ret, why) == 0)
		return 0;
	lock = slot_lock_resolve(slot, say_wait, e);
	if (lock < 0)
		return lock;
	/* Somebody else may have made it while we waited. */
	if (!q->refresh && try_record(slot, env_dir, record, q, source.key, nix_id, ret, NULL) == 0)
		return 0;
	r = evaluate(slot, q, env_dir, index, record, nix_id, e);
	if (r < 0)
		return r;
	return record_read(env_dir, record, ret, e);
}
