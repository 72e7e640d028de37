#include "box/clonemerge.h"

#include "box/hostgit.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ZERO_ID "0000000000000000000000000000000000000000000000000000000000000000"

static void in_repository(struct hostgit *g, const struct source *s)
{
	*g = (struct hostgit){.dir = s->repo_dir, .git_dir = s->git_dir};
}

/* The commit of a local branch; "" when there is no such branch. */
static int branch_commit(struct hostgit *g, const char *branch, struct str *ret, struct err **e)
{
	_cleanup_free_ char *ref = xasprintf("refs/heads/%s^{commit}", branch);
	int r;

	g->may_fail = true;
	r = hostgit_run(g, ret, e, "rev-parse", "--verify", "-q", ref, NULL);
	if (r == 1)
		str_clear(ret);
	return r < 0 ? r : 0;
}

/* -EBUSY, naming the work tree, when the branch is checked out in one. */
static int check_not_checked_out(struct hostgit *g, const char *branch, struct err **e)
{
	_cleanup_str_ struct str list = STR_INIT;
	_cleanup_free_ char *line = xasprintf("branch refs/heads/%s", branch);
	const char *where = "";
	int r = hostgit_run(g, &list, e, "worktree", "list", "--porcelain", "-z", NULL);

	if (r < 0)
		return r;
	for (const char *p = list.p; p && p < list.p + list.len; p += strlen(p) + 1) {
		if (str_starts(p, "worktree "))
			where = p + strlen("worktree ");
		if (strcmp(p, line) == 0) {
			_cleanup_str_ struct str shown = STR_INIT;

			str_add_printable(&shown, where, strlen(where), false);
			return err_set(e, EBUSY, "branch '%s' is checked out in '%s'", branch, str_text(&shown));
		}
	}
	return 0;
}

/* --- fetching
 * --------------------------------------------------------------------------------------------------------- */

/* What git writes in the box, in a file without a name on the clone's own disk. */
static int receive_pack(const struct clone_box *b, const char *head, struct err **e)
{
	_cleanup_close_ int fd = openat(b->clone->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	_cleanup_free_ char *input = xasprintf("%s\n^%s\n", head, b->clone->base);
	int r;

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		fd = memfd_create("igloo-pack", MFD_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "cannot make a file for the pack");
	r = clone_git(b, input, fd, NULL, e, "pack-objects", "--revs", "--stdout", "--thin", "-q",
		      "--delta-base-offset", NULL);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, errno, "cannot read the pack");
	return take_fd(&fd);
}

/* Every object is checked for what git's fsck knows (names like ".git", links out of .gitmodules, …) and that what it
 * refers to is there; what is refused stays behind as unreachable objects that `git gc` removes. */
static int take_pack(struct hostgit *g, int pack, const char *head, struct err **e)
{
	int r;

	g->input_fd = pack;
	r = hostgit_run(g, NULL, e, "index-pack", "--strict", "--stdin", "--fix-thin", NULL);
	if (r < 0)
		return err_wrap(e, "the clone's commits were refused");
	r = hostgit_run(g, NULL, e, "cat-file", "-e", head, NULL);
	if (r == 0)
		r = hostgit_run(g, NULL, e, "rev-list", "--objects", "--quiet", head, "--not", "--all", NULL);
	return r < 0 ? err_wrap(e, "the clone's commits are not complete") : 0;
}

int clonemerge_fetch(const struct clone_box *b, const struct source *source, const char *head, struct err **e)
{
	_cleanup_hostgit_ struct hostgit g;
	_cleanup_str_ struct str old = STR_INIT;
	_cleanup_free_ char *ref = xasprintf("refs/heads/%s", b->clone->branch);
	_cleanup_free_ char *message = xasprintf("igloo merge: from clone %s", b->clone->name);
	_cleanup_close_ int pack = -1;
	int r;

	in_repository(&g, source);
	r = branch_commit(&g, b->clone->branch, &old, e);
	if (r < 0 || strcmp(str_text(&old), head) == 0)
		return r;
	r = check_not_checked_out(&g, b->clone->branch, e);
	if (r == -EBUSY)
		return err_hint(e, "check out another branch there first");
	if (r < 0)
		return r;
	if (strcmp(head, b->clone->base) != 0) {
		pack = receive_pack(b, head, e);
		r = pack < 0 ? pack : take_pack(&g, pack, head, e);
	}
	if (r == 0 && old.len > 0) {
		g.may_fail = true;
		r = hostgit_run(&g, NULL, e, "merge-base", "--is-ancestor", old.p, head, NULL);
		if (r == 1) {
			(void)err_set(e, EEXIST, "branch '%s' has commits that the clone has not", b->clone->branch);
			r = err_hint(e, "keep them under another name: git branch -m %s NEW-NAME", b->clone->branch);
		}
	}
	if (r < 0)
		return r;
	/* Only from what was looked at: a change meanwhile is an error, not overwritten. */
	r = hostgit_run(&g, NULL, e, "update-ref", "-m", message, ref, head,
			old.len ? old.p : &ZERO_ID[sizeof(ZERO_ID) - 1 - strlen(head)], NULL);
	return r < 0 ? err_wrap(e, "cannot move branch '%s'", b->clone->branch) : 0;
}

/* --- merging
 * ----------------------------------------------------------------------------------------------------------- */

static int identity(struct hostgit *g, const struct source *s, struct err **e)
{
	static const struct {
		const char *key;
		const char *author;
		const char *committer;
	} parts[] = {{"user.name", "GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"},
		     {"user.email", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"}};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		_cleanup_str_ struct str value = STR_INIT;
		int r = hostgit_user_config(s->repo_dir, parts[i].key, &value, e);

		if (r < 0)
			return r;
		if (value.len == 0) {
			(void)err_set(e, ENOENT, "git does not know who makes the merge commit: %s is not set",
				      parts[i].key);
			return err_hint(e, "git config --global %s …", parts[i].key);
		}
		strv_env_set(&g->env, parts[i].author, value.p);
		strv_env_set(&g->env, parts[i].committer, value.p);
	}
	return 0;
}

/* `git merge-tree -z --name-only`: the tree, then on conflicts each path. */
static int merge_trees(struct hostgit *g, const char *ours, const char *theirs, struct str *tree,
		       struct strv *conflicts, struct err **e)
{
	_cleanup_str_ struct str out = STR_INIT;
	int r;

	g->may_fail = true;
	r = hostgit_run(g, &out, e, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs,
			NULL);
	if (r < 0) {
		if (strstr(err_details(*e), "usage:") || strstr(err_details(*e), "unknown"))
			(void)err_hint(e, "merging without a work tree needs git 2.38 or newer");
		return r;
	}
	str_adds(tree, str_text(&out));
	for (const char *p = out.p ? out.p + strlen(out.p) + 1 : NULL; r == 1 && p && p < out.p + out.len;
	     p += strlen(p) + 1)
		if (*p)
			strv_add(conflicts, p);
	strv_sort_unique(conflicts);
	return r;
}

static int move_branch(struct hostgit *g, const char *branch, const char *to, const char *from, struct err **e)
{
	_cleanup_free_ char *ref = xasprintf("refs/heads/%s", branch);
	int r = hostgit_run(g, NULL, e, "update-ref", "-m", "igloo merge", ref, to, from, NULL);

	return r < 0 ? err_wrap(e, "cannot move branch '%s'", branch) : 0;
}

static int merge_commit(struct hostgit *g, const struct clone *c, const struct source *s, const char *into,
			const char *ours, const char *theirs, struct clonemerge *ret, struct err **e)
{
	_cleanup_str_ struct str tree = STR_INIT;
	_cleanup_str_ struct str commit = STR_INIT;
	_cleanup_free_ char *message = xasprintf("Merge branch '%s' into %s", c->branch, into);
	int r = merge_trees(g, ours, theirs, &tree, &ret->conflicts, e);

	if (r == 1) {
		ret->how = CLONEMERGE_CONFLICTS;
		ret->commit = xstrdup(ours);
		return 0;
	}
	if (r == 0)
		r = identity(g, s, e);
	if (r == 0)
		r = hostgit_run(g, &commit, e, "commit-tree", str_text(&tree), "-p", ours, "-p", theirs, "-m", message,
				NULL);
	if (r == 0)
		r = move_branch(g, into, str_text(&commit), ours, e);
	if (r < 0)
		return r;
	ret->how = CLONEMERGE_MERGED;
	ret->commit = str_take(&commit);
	return 0;
}

int clonemerge_into(const struct clone *c, const struct source *source, const char *into, struct clonemerge *ret,
		    struct err **e)
{
	_cleanup_hostgit_ struct hostgit g;
	_cleanup_str_ struct str ours = STR_INIT;
	_cleanup_str_ struct str theirs = STR_INIT;
	int r;

	*ret = (struct clonemerge){.how = CLONEMERGE_NOTHING};
	in_repository(&g, source);
	r = branch_commit(&g, into, &ours, e);
	if (r == 0)
		r = branch_commit(&g, c->branch, &theirs, e);
	if (r < 0)
		return r;
	if (ours.len == 0 || theirs.len == 0) {
		_cleanup_str_ struct str shown = STR_INIT;
		const char *missing = ours.len == 0 ? into : c->branch;

		str_add_printable(&shown, missing, strlen(missing), false);
		return err_set(e, ENOENT, "there is no local branch '%s'", str_text(&shown));
	}
	r = check_not_checked_out(&g, into, e);
	if (r == -EBUSY)
		return err_hint(e, "merge it there: git merge %s", c->branch);
	if (r < 0)
		return r;
	g.may_fail = true;
	r = hostgit_run(&g, NULL, e, "merge-base", "--is-ancestor", theirs.p, ours.p, NULL);
	if (r <= 0) {
		ret->commit = r == 0 ? xstrdup(ours.p) : NULL;
		return r;
	}
	g.may_fail = true;
	r = hostgit_run(&g, NULL, e, "merge-base", "--is-ancestor", ours.p, theirs.p, NULL);
	if (r == 1)
		return merge_commit(&g, c, source, into, ours.p, theirs.p, ret, e);
	if (r == 0)
		r = move_branch(&g, into, theirs.p, ours.p, e);
	ret->how = CLONEMERGE_FAST_FORWARD;
	ret->commit = r == 0 ? xstrdup(theirs.p) : NULL;
	return r;
}

void clonemerge_release(struct clonemerge *m)
{
	free(m->commit);
	strv_release(&m->conflicts);
	*m = (struct clonemerge){0};
}
