#include "box/protect.h"

#include "box/dirs.h"
#include "box/protect_impl.h"
#include "box/protectrules.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

const char *const protect_rule_names[] = {"git-config", "git-hooks", "git-modules", "envrc", "mise",
					  "editor",     "agent",     "ci",          NULL};

/* --- the table --- */
static const char *base_of(const struct source *s, const struct rule *rule)
{
	switch (rule->base) {
	case RULE_GIT:
		return s->git_dir;
	case RULE_COMMON:
		return s->common_dir;
	default:
		return s->repo_dir;
	}
}

static bool is_there(int dir, const char *path)
{
	struct stat st;

	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Is one of the rule's names there that is not a placeholder? */
static bool group_is_there(int dir, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(protect_rules); i++) {
		struct stat st;

		if (protect_rules[i].base == RULE_WORKSPACE && strcmp(protect_rules[i].name, name) == 0 &&
		    fstatat(dir, protect_rules[i].path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtim.tv_sec != PROTECT_MARK)
			return true;
	}
	return false;
}

static int add_rule(struct gather *g, const struct rule *rule, const char *base, int dir, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	unsigned flags = rule->flags;
	int r;

	if (rule->base == RULE_GIT && strcmp(rule->path, "commondir") == 0 &&
	    strcmp(g->source->git_dir, g->source->common_dir) != 0)
		return 0; /* add_worktrees() has it */
	if ((flags & RULE_GROUP) && !is_there(dir, rule->path) && !group_is_there(dir, rule->name))
		return 0;
	/* Without git every name in the workspace is part of the flake's source (Nix copies the whole folder): a
	 * placeholder would change what evaluation sees. What appears there is reported at the end instead. */
	if ((!(flags & RULE_HOLD) || !g->source->is_git) && !is_there(dir, rule->path))
		return 0;
	path = xasprintf("%s/%s", base, rule->path);
	if (!protect_is_closed(g, rule->name)) {
		heldset_note(g->set, path, flags);
		return 0;
	}
	r = heldset_add(g->set, rule->name, path, flags, e);
	return r > 0 && (flags & RULE_LINKS) ? protect_add_links(g, rule->name, path, e) : r < 0 ? r : 0;
}

static int add_base(struct gather *g, enum rule_base which, const char *base, struct err **e)
{
	_cleanup_close_ int dir = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (dir < 0)
		return err_errno(e, errno, "cannot open '%s'", base);
	for (size_t i = 0; i < ARRAY_SIZE(protect_rules) && r == 0; i++)
		if (protect_rules[i].base == which)
			r = add_rule(g, &protect_rules[i], base, dir, e);
	return r;
}

static int add_all(struct gather *g, struct err **e)
{
	const struct source *s = g->source;
	int r = add_base(g, RULE_WORKSPACE, s->repo_dir, e);

	if (r == 0 && strcmp(s->flake_dir, s->repo_dir) != 0)
		r = add_base(g, RULE_WORKSPACE, s->flake_dir, e);
	if (r < 0 || !s->is_git)
		return r;
	r = add_base(g, RULE_GIT, s->git_dir, e);
	if (r == 0)
		r = add_base(g, RULE_COMMON, s->common_dir, e);
	return r == 0 ? protect_add_git(g, e) : r;
}

/* --- the locks --- */
/* FNV-1a (RFC 9923). Two workspaces of one hash would only wait for each other. */
static uint64_t path_hash(const char *path)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 0x100000001b3U;
	return h;
}

static int open_locks(struct protect *p, const char *workspace, struct err **e)
{
	_cleanup_close_ int dir = dirs_open(DIRS_STATE, "workspaces", e);
	char name[64];

	if (dir < 0)
		return dir;
	(void)snprintf(name, sizeof(name), "%016llx", (unsigned long long)path_hash(workspace));
	p->lock = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	(void)snprintf(name, sizeof(name), "%016llx.change", (unsigned long long)path_hash(workspace));
	p->change = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (p->lock < 0 || p->change < 0)
		return err_errno(e, errno, "cannot open the workspace's lock");
	return 0;
}

static int lock_fd(int fd, int how)
{
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* --- the whole --- */
int protect_add_git_shares(const struct source *source, struct box_spec *spec, struct err **e)
{
	const char *dirs[] = {source->common_dir, source->git_dir};

	for (size_t i = 0; i < ARRAY_SIZE(dirs) && source->is_git && spec->mode != BOX_CLONE; i++) {
		bool covered = false;
		int r;

		for (size_t k = 0; k < spec->nshares && !covered; k++) {
			size_t n = strlen(spec->shares[k].source);

			covered = strncmp(dirs[i], spec->shares[k].source, n) == 0 &&
				  (dirs[i][n] == '/' || dirs[i][n] == '\0') &&
				  strcmp(spec->shares[k].source, spec->shares[k].target) == 0;
		}
		if (covered)
			continue;
		r = box_spec_add_share(spec, dirs[i], dirs[i], spec->mode == BOX_READ_ONLY, e);
		if (r < 0)
			return err_wrap(e, "the repository's git folder");
	}
	return 0;
}

static int check_opened(const struct strv *opened, struct err **e)
{
	for (size_t i = 0; opened && i < opened->n; i++) {
		_cleanup_str_ struct str text = STR_INIT;
		bool known = false;

		for (const char *const *name = protect_rule_names; *name; name++) {
			known = known || strcmp(opened->v[i], *name) == 0;
			str_addf(&text, "%s%s", text.len ? ", " : "", *name);
		}
		if (!known) {
			_cleanup_str_ struct str shown = STR_INIT;

			str_add_printable(&shown, opened->v[i], strlen(opened->v[i]), false);
			return err_set(e, EINVAL, "--unprotect '%s': not one of %s", str_text(&shown), str_text(&text));
		}
	}
	return 0;
}

static struct protect *protect_new(const char *workspace, bool is_git)
{
	struct protect *p = xcalloc(1, sizeof(*p));

	p->lock = p->change = p->inotify = -1;
	p->workspace = xstrdup(workspace);
	p->is_git = is_git;
	return p;
}

int protect_workspace(const struct source *source, const struct strv *opened, struct box_spec *spec,
		      struct protect **ret, struct err **e)
{
	_cleanup_protect_ struct protect *p = NULL;
	struct gather g = {.source = source, .opened = opened};
	int r = check_opened(opened, e);

	if (r < 0)
		return r;
	*ret = NULL;
	if (spec->mode != BOX_DIRECT)
		return 0;
	p = protect_new(source->repo_dir, source->is_git);
	p->held.spec = spec;
	if (opened)
		strv_add_all(&p->opened, opened->v);
	if (source->is_git) {
		p->git_dir = xstrdup(source->git_dir);
		p->common_dir = xstrdup(source->common_dir);
		protect_stat_index(p, &p->index);
	}
	g.set = &p->held;
	r = open_locks(p, source->repo_dir, e);
	if (r == 0 && ((r = lock_fd(p->change, LOCK_EX)) < 0 || (r = lock_fd(p->lock, LOCK_SH)) < 0))
		(void)err_errno(e, -r, "cannot lock the workspace");
	if (r == 0)
		r = add_all(&g, e);
	p->held.spec = NULL;
	if (p->change >= 0)
		(void)flock(p->change, LOCK_UN);
	if (r < 0)
		return r;
	heldset_give_pins(&p->held, spec);
	*ret = take_ptr(p);
	return 0;
}

void protect_add_made_notes(const struct protect *p, struct strv *notes)
{
	for (size_t i = 0; i < ARRAY_SIZE(protect_rules) && !p->is_git; i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", p->workspace, protect_rules[i].path);
		_cleanup_str_ struct str shown = STR_INIT;
		bool known = protect_rules[i].base != RULE_WORKSPACE || strv_has(&p->opened, protect_rules[i].name);

		for (size_t k = 0; k < p->held.n && !known; k++)
			known = strcmp(p->held.v[k].path, path) == 0;
		if (known || faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		str_add_printable(&shown, path, strlen(path), false);
		strv_addf(notes, "the box made '%s': read it before a tool of yours does", str_text(&shown));
	}
}

int protect_hold(const struct source *source, struct err **e)
{
	struct protect *p = protect_new(source->repo_dir, source->is_git);
	int fd = -1;
	int r = open_locks(p, source->repo_dir, e);

	if (r == 0 && (r = lock_fd(p->lock, LOCK_SH)) < 0)
		(void)err_errno(e, -r, "cannot lock the workspace");
	if (r == 0)
		fd = take_fd(&p->lock);
	protect_abandon(p);
	return r < 0 ? r : fd;
}

static void remove_placeholders(const struct protect *p)
{
	for (size_t i = 0; i < p->held.n; i++)
		if (p->held.v[i].placeholder)
			held_remove(&p->held.v[i]);
}

static bool last_box(const struct protect *p)
{
	return p->change >= 0 && lock_fd(p->change, LOCK_EX) == 0 && flock(p->lock, LOCK_EX | LOCK_NB) == 0;
}

/* Everything but what the sweeper needs goes: it must hold no pipe and no lock of the box or its caller. */
static void close_others(const struct protect *p)
{
	int end = fcntl(p->lock, F_DUPFD_CLOEXEC, 3);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3 && null >= 0; fd++)
		(void)dup2(null, fd);
	/* Descriptors are given out from the lowest free number: all that is open above `end` is held below. */
	for (int fd = 3; fd < end + 1024; fd++) {
		bool needed = fd == p->lock || fd == p->change;

		for (size_t i = 0; i < p->held.n && !needed; i++)
			needed = p->held.v[i].dir == fd;
		if (!needed)
			(void)close(fd);
	}
}

/* A process that removes the placeholders after a while, holding the lock shared until then: a box that ends
 * meanwhile leaves it to this one, and this one to a box that runs then. False when there is none. */
static bool sweep_later(const struct protect *p)
{
	const char *keep = getenv("IGLOO_VIEW_KEEP");
	pid_t pid = keep && strcmp(keep, "0") == 0 ? -1 : fork();

	if (pid != 0)
		return pid > 0;
	close_others(p);
	(void)setsid();
	(void)prctl(PR_SET_NAME, "igloo-sweep", 0, 0, 0);
	(void)poll(NULL, 0, PROTECT_LINGER_MS);
	if (last_box(p))
		remove_placeholders(p);
	_exit(0);
}

static bool has_placeholders(const struct protect *p)
{
	for (size_t i = 0; i < p->held.n; i++)
		if (p->held.v[i].placeholder)
			return true;
	return false;
}

void protect_free(struct protect *p)
{
	if (!p)
		return;
	if (has_placeholders(p) && last_box(p)) {
		(void)flock(p->lock, LOCK_SH);
		if (!sweep_later(p))
			remove_placeholders(p);
		/* The sweeper shares these descriptions: what it needs is free, what it holds stays. */
		(void)flock(p->change, LOCK_UN);
	}
	protect_abandon(p);
}

void protect_abandon(struct protect *p)
{
	if (!p)
		return;
	heldset_release(&p->held);
	for (size_t i = 0; i < p->n_watches; i++)
		free(p->watches[i].dir);
	free(p->watches);
	strv_release(&p->locks);
	strv_release(&p->denied);
	strv_release(&p->opened);
	(void)close_fd(p->inotify);
	(void)close_fd(p->lock);
	(void)close_fd(p->change);
	free(p->workspace);
	free(p->git_dir);
	free(p->common_dir);
	free(p);
}

void protect_sweep(const struct source *source)
{
	_cleanup_protect_ struct protect *p = protect_new(source->repo_dir, source->is_git);

	if (open_locks(p, source->repo_dir, NULL) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(protect_rules); i++) {
		const char *base = base_of(source, &protect_rules[i]);
		_cleanup_free_ char *path = base ? xasprintf("%s/%s", base, protect_rules[i].path) : NULL;
		_cleanup_free_ char *below = xasprintf("%s/%s", source->flake_dir, protect_rules[i].path);

		if (!path)
			continue;
		heldset_note(&p->held, path, protect_rules[i].flags);
		if (protect_rules[i].base == RULE_WORKSPACE && strcmp(source->flake_dir, base) != 0)
			heldset_note(&p->held, below, protect_rules[i].flags);
	}
}
