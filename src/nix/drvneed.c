#include "nix/drvneed.h"

#include "nix/drv.h"
#include "nix/storepath.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>

struct walk {
	int storefd;
	const struct strv *available;
	struct strv todo;
	struct strv seen; /* sorted up to n_sorted; what was added since stands behind */
	struct strv *take;
};

static int read_drv(int storefd, const char *path, struct drv **ret, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;
	int r = file_read(storefd, storepath_base(path), DRV_BYTES_MAX, &text, e);

	return r < 0 ? r : drv_parse(str_text(&text), text.len, ret, e);
}

static int visit(struct walk *w, const char *path, bool *ret_complete, struct err **e)
{
	_cleanup_drv_ struct drv *d = NULL;
	int r = read_drv(w->storefd, path, &d, e);

	*ret_complete = true;
	for (size_t i = 0; r == 0 && i < d->n_inputs; i++) {
		_cleanup_drv_ struct drv *input = NULL;
		bool whole = true;

		r = read_drv(w->storefd, d->inputs[i].path, &input, e);
		for (size_t k = 0; r == 0 && k < d->inputs[i].n_outputs; k++) {
			const struct drv_output *out = drv_output_get(input, d->inputs[i].outputs[k]);

			if (out && *out->path && strv_find_sorted(w->available, out->path) >= 0)
				strv_add(w->take, out->path);
			else
				whole = false;
		}
		if (!whole) {
			*ret_complete = false;
			strv_add(&w->todo, d->inputs[i].path);
		}
	}
	return r;
}

int drvneed(int storefd, const char *drv, const struct strv *available, struct strv *ret_take, bool *ret_complete,
	    struct err **e)
{
	struct walk w = {.storefd = storefd, .available = available, .take = ret_take};
	bool complete;
	int r = visit(&w, drv, ret_complete, e);

	/* Level by level: each derivation is visited once, since what was seen is looked up before. */
	while (r == 0 && w.todo.n > 0) {
		_cleanup_strv_ struct strv level = w.todo;

		w.todo = (struct strv)STRV_INIT;
		strv_sort_unique(&level);
		for (size_t i = 0; i < level.n && r == 0; i++)
			if (strv_find_sorted(&w.seen, level.v[i]) < 0)
				r = visit(&w, level.v[i], &complete, e);
		strv_add_all(&w.seen, level.v);
		strv_sort_unique(&w.seen);
	}
	strv_release(&w.todo);
	strv_release(&w.seen);
	strv_sort_unique(ret_take);
	return r;
}
