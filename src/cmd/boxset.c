#include "cmd/boxset.h"

#include "base/name.h"
#include "box/box.h"

#include <errno.h>

int boxset_names(const struct invocation *inv, bool all, enum boxset_which which, struct strv *ret, struct err **e)
{
	struct box_info *list = NULL;
	size_t n = 0;
	int r = 0;

	if (all == (inv->argc > 0)) {
		(void)err_set(e, EINVAL, all ? "--all and names of boxes exclude each other" : "which box?");
		return err_hint(e, "igloo %s BOX..., or: igloo %s --all", inv->cmd->name, inv->cmd->name);
	}
	for (int i = 0; i < inv->argc && r == 0; i++) {
		r = name_check(inv->argv[i], e);
		if (r == 0 && !strv_has(ret, inv->argv[i]))
			strv_add(ret, inv->argv[i]);
	}
	if (r == 0 && all)
		r = box_list(&list, &n, e);
	for (size_t i = 0; i < n; i++) {
		bool runs = list[i].running || list[i].starting;
		bool wanted = which == BOXSET_EVERY || (which == BOXSET_RUNNING ? runs : !runs && !list[i].defined);

		if (wanted && name_is_valid(list[i].name))
			strv_add(ret, list[i].name);
	}
	box_list_free(list, n);
	return r;
}

/* Keeps the first error. */
static void note(int k, struct err *problem, int *r, struct err **e)
{
	if (k < 0 && *r == 0) {
		*r = k;
		if (e) {
			*e = problem;
			return;
		}
	}
	err_free(problem);
}

int boxset_stop(const struct strv *names, uint32_t grace_ms, struct boxset_stopped *ret, struct err **e)
{
	struct client_stop *v = xcalloc(names->n ? names->n : 1, sizeof(*v));
	size_t begun = 0;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < names->n; i++) {
		struct err *problem = NULL;
		int k = client_stop_begin(&v[begun], names->v[i], grace_ms, &problem);

		if (k == 0)
			begun++;
		note(k, problem, &r, e);
	}
	for (size_t i = 0; i < begun; i++) {
		struct err *problem = NULL;
		int k = client_stop_finish(&v[i], &problem);

		if (k == 0)
			v[n++] = v[i];
		note(k, problem, &r, e);
	}
	*ret = (struct boxset_stopped){v, n};
	return r;
}
