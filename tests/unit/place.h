/* A flake's source with an index, checked again and again (tests of nix/sourceindex.h). */
#ifndef IGLOO_TESTS_PLACE_H
#define IGLOO_TESTS_PLACE_H

#include "nix/sourceindex.h"

#include "gitrepo.h"

/* A source with its index and the key of the last check. */
struct place {
	char *dir; /* everything is below it */
	char *repo;
	int cache;
	const char *start; /* where to look for the flake; NULL: repo */
	struct source src;
	struct sourceindex now;
	uint8_t last[32];
};

static inline void place_release(struct place *p)
{
	source_release(&p->src);
	sourceindex_release(&p->now);
	p->cache = close_fd(p->cache);
	free(p->repo);
	remove_dirp(&p->dir);
}
#define _cleanup_place_ ATTR_CLEANUP(place_release)

static inline struct place place_make(bool git)
{
	struct place p = {.dir = make_dir()};

	if (mkdir(in(p.dir, "cache"), 0700) < 0)
		abort();
	p.cache = open(in(p.dir, "cache"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (git) {
		p.repo = make_repo(p.dir, "repo");
	} else {
		p.repo = xasprintf("%s/plain", p.dir);
		if (!RUN("mkdir", "-p", in(p.repo, "src")) || !put(p.repo, "flake.nix", "{ }") ||
		    !put(p.repo, "src/a.c", "int a;\n"))
			abort();
	}
	return p;
}

static inline bool check(struct place *p)
{
	_cleanup_err_ struct err *e = NULL;
	int r;

	source_release(&p->src);
	memcpy(p->last, p->now.key, 32);
	sourceindex_release(&p->now);
	r = source_find(p->start ? p->start : p->repo, &p->src, &e);
	if (r == 0)
		r = sourceindex_check(&p->src, p->cache, "index", &p->now, &e);
	if (r < 0)
		printf("# %s %s\n", err_message(e), err_details(e));
	for (size_t i = 0; r == 0 && getenv("TEST_VERBOSE") && i < p->now.changed.n; i++)
		printf("#   %s\n", p->now.changed.v[i]);
	return r == 0;
}

static inline bool is_same(struct place *p)
{
	return check(p) && memcmp(p->last, p->now.key, 32) == 0;
}

static inline bool is_changed(struct place *p)
{
	return check(p) && memcmp(p->last, p->now.key, 32) != 0;
}

/* Checks until nothing is new any more: time stamps have passed, the index is written. */
static inline bool is_warm(struct place *p)
{
	for (int i = 0; i < 5; i++) {
		wait_ms(30);
		if (!is_same(p))
			return false;
		if (!p->now.looked)
			return true;
	}
	return false;
}

#endif
