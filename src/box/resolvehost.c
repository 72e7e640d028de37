/* Resolving: what the host's own store has of an environment, verified and mounted. box/resolve.c says in which order.
 */
#include "base/log.h"
#include "box/hostset.h"
#include "box/resolve_impl.h"
#include "nix/drvclosure.h"
#include "nix/drvneed.h"
#include "nix/lock.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Joins the closure of what the host has of `candidates`; those it has go to *have (sorted). */
static int take_from_host(struct resolve *r, const struct strv *wanted, struct err **e)
{
	_cleanup_strv_ struct strv closure = STRV_INIT;
	_cleanup_str_ struct str registration = STR_INIT;
	_cleanup_free_ struct hostpath *paths = NULL;
	int k;

	if (!r->host || wanted->n == 0)
		return 0;
	k = hoststore_closure(r->host, wanted, &closure, e);
	if (k == 0)
		k = hoststore_registration(r->host, &closure, &registration, e);
	if (k < 0)
		return err_wrap(e, "the host's store");
	paths = xcalloc(closure.n, sizeof(*paths));
	for (size_t i = 0; i < closure.n; i++)
		paths[i] = (struct hostpath){.path = closure.v[i], .source = closure.v[i]};
	log_debug("%zu store paths of the host, for %zu wanted", closure.n, wanted->n);
	strv_add_all(&r->mounted, wanted->v);
	return hostset_add(&r->nix, paths, closure.n, &registration, e);
}

int resolve_take_tools(struct resolve *r, struct err **e)
{
	if (!r->tools.git_bin) {
		(void)err_set(e, ENOENT, "no git found on this machine: Nix needs it for flakes in git repositories");
		return err_hint(e, "on Debian or Ubuntu: apt install git");
	}
	strv_add_all(&r->mounted, r->tools.roots.v);
	return hostset_add_tools(&r->nix, e);
}

int resolve_take_inputs(struct resolve *r, struct err **e)
{
	_cleanup_close_ int dir = file_open_user(r->q->source->flake_dir, O_PATH | O_DIRECTORY);
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_lock_ struct lock *lock = NULL;
	_cleanup_strv_ struct strv candidates = STRV_INIT;
	_cleanup_strv_ struct strv valid = STRV_INIT;
	int k;

	if (dir < 0)
		return err_errno(e, -dir, "cannot open '%s'", r->q->source->flake_dir);
	/* A lock that is missing or that Nix will not take either is Nix's to complain about. */
	if (file_read(dir, "flake.lock", LOCK_BYTES_MAX, &text, NULL) < 0 ||
	    lock_parse(str_text(&text), text.len, r->q->source->subdir, &lock, NULL) < 0)
		return 0;
	for (size_t i = 0; i < lock->n_nodes; i++)
		if (lock->nodes[i].has_path)
			strv_add(&candidates, lock->nodes[i].store_path);
	if (!r->host || candidates.n == 0)
		return 0;
	k = hoststore_valid(r->host, &candidates, &valid, e);
	return k < 0 ? k : take_from_host(r, &valid, e);
}

/* The valid outputs of `drv` itself among `valid` (sorted). */
static void add_own_outputs(const struct drv_closure *graph, const char *drv, const struct strv *valid,
			    struct strv *take)
{
	for (size_t i = 0; i < graph->n_outputs; i++)
		if (strcmp(graph->outputs[i].drv, drv) == 0 && strv_find_sorted(valid, graph->outputs[i].path) >= 0)
			strv_add(take, graph->outputs[i].path);
}

int resolve_take_outputs(struct resolve *r, const char *drv, enum resolve_want want, bool *ret_complete, struct err **e)
{
	_cleanup_close_ int store = file_open_beneath(r->slot->dir, "nix/store", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_drv_closure_ struct drv_closure *graph = NULL;
	_cleanup_strv_ struct strv candidates = STRV_INIT;
	_cleanup_strv_ struct strv valid = STRV_INIT;
	_cleanup_strv_ struct strv take = STRV_INIT;
	const char *const roots[] = {drv};
	int k;

	*ret_complete = false;
	if (!r->host)
		return 0;
	if (store < 0)
		return err_errno(e, -store, "the slot's store");
	k = drv_closure_read(store, roots, 1, &graph, e);
	if (k < 0)
		return err_wrap(e, "the derivations of the dev shell");
	for (size_t i = 0; i < graph->n_failed; i++)
		log_debug("not asked of the host: %s: %s", graph->failed[i].drv, graph->failed[i].why);
	for (size_t i = 0; i < graph->n_outputs; i++)
		strv_add(&candidates, graph->outputs[i].path);
	k = hoststore_valid(r->host, &candidates, &valid, e);
	if (k == 0 && want == RESOLVE_OUTPUTS)
		add_own_outputs(graph, drv, &valid, &take);
	if (k == 0 && take.n == 0)
		k = drvneed(store, drv, &valid, &take, ret_complete, e);
	return k < 0 ? k : take_from_host(r, &take, e);
}
