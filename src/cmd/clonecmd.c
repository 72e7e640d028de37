#include "cmd/clonecmd.h"

#include <string.h>

const struct opt clonecmd_opts[] = {
	{.name = "dir",
	 .letter = 'C',
	 .arg = "DIR",
	 .kind = OPT_PATH,
	 .hint = HINT_DIRS,
	 .offset = offsetof(struct box_options, dir),
	 .help = "use the repository DIR instead of the one around the current folder"},
	{.name = "slot",
	 .arg = "NAME",
	 .kind = OPT_NAME,
	 .hint = HINT_SLOTS,
	 .offset = offsetof(struct box_options, slot),
	 .help = "the slot that the clone was made in",
	 .env = "IGLOO_SLOT"},
	{.name = NULL},
};

int clonecmd_open(const struct box_options *o, const char *name, bool exclusive, bool look, struct clonecmd *ret,
		  struct err **e)
{
	int r;

	*ret = (struct clonecmd){0};
	r = enter_repository(o, &ret->in, e);
	if (r == 0)
		r = clone_open(ret->in.slot, name, exclusive, &ret->clone, e);
	if (r == 0 && look)
		r = clone_box_init(&ret->box, ret->in.kind, ret->in.slot, ret->in.source.repo_dir, ret->clone, e);
	return r;
}

void clonecmd_release(struct clonecmd *c)
{
	clone_box_release(&c->box);
	clone_free(c->clone);
	enter_release(&c->in);
}

json_t *clonecmd_text(const char *text)
{
	_cleanup_str_ struct str clean = STR_INIT;

	str_add_printable(&clean, text, strlen(text), true);
	return json_stringn(str_text(&clean), clean.len);
}

json_t *clonecmd_list(const struct strv *v)
{
	json_t *list = json_array();

	for (size_t i = 0; i < v->n; i++)
		(void)json_array_append_new(list, clonecmd_text(v->v[i]));
	return list;
}

void clonecmd_add_lines(struct str *s, const char *lead, const struct strv *v)
{
	for (size_t i = 0; i < v->n; i++) {
		str_adds(s, lead);
		str_add_printable(s, v->v[i], strlen(v->v[i]), false);
		str_addc(s, '\n');
	}
}
