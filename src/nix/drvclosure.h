/* The outputs that a graph of derivations really asks for.
 *
 * igloo mounts a path of the host's store into a box only because a derivation's hash asked for it.
 * The store the derivations lie in may be hostile (a box wrote it), so nothing in their text is
 * believed: a derivation must lie at the path that its bytes give, and an output must have the path
 * that the derivation and its inputs give (drvpath.h). Whoever can name such a path knew everything
 * that went into it. */
#ifndef IGLOO_NIX_DRVCLOSURE_H
#define IGLOO_NIX_DRVCLOSURE_H

#include "base/err.h"

#include <stddef.h>

enum { DRV_CLOSURE_MAX = 200000, DRV_CLOSURE_OUTPUTS_MAX = 1000000 };

struct drv_closure_output {
	char *path;      /* the verified store path */
	char *name;      /* of the output: "out", "dev", … */
	const char *drv; /* store path of the derivation it comes from */
};

struct drv_closure_failure {
	const char *drv; /* store path of a derivation that is not verified: none of its outputs is listed */
	char *why;
};

struct drv_closure {
	struct drv_closure_output *outputs; /* sorted by path, no path twice */
	size_t n_outputs;
	struct drv_closure_failure *failed; /* in the order found: a cause before what follows from it */
	size_t n_failed;
	size_t n_drvs;                   /* how many derivations the graph names, failed ones included */
	struct drv_closure_graph *graph; /* owns the derivations' paths */
};

/* Reads the derivations `roots` (store paths of .drv files) and, through their inputs, all they are
 * built from, out of the folder storefd (a /nix/store as files; each entry is opened beneath it
 * through no link, regular files only). A derivation that is missing, malformed or at a wrong path,
 * that claims an output path which is not its own, or (unless its output is fixed) with an input that
 * failed, goes into `failed` and the rest goes on. Derivations whose outputs have no path before they
 * are built add no outputs and are no failures.
 *
 * Returns 0 also with failures; -EINVAL when a root is no store path of a derivation, -E2BIG when the
 * graph exceeds the bounds above or 1 GiB of text, or digest_load()'s error. */
int drv_closure_read(int storefd, const char *const *roots, size_t n_roots, struct drv_closure **ret, struct err **e);
void drv_closure_free(struct drv_closure *c); /* accepts NULL */

/* The output with that store path, NULL when the graph does not ask for it. */
const struct drv_closure_output *drv_closure_find(const struct drv_closure *c, const char *path);

static inline void drv_closure_freep(struct drv_closure **c)
{
	drv_closure_free(*c);
}
#define _cleanup_drv_closure_ ATTR_CLEANUP(drv_closure_freep)

#endif
