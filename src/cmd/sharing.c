#include "cmd/sharing.h"

#include "base/log.h"
#include "cmd/asking.h"

#include <errno.h>
#include <string.h>

static int ask(const struct share *s, bool yes, struct err **e)
{
	const char *option = s->read_only ? "--share-ro" : "--share-rw";
	_cleanup_str_ struct str path = STR_INIT;
	_cleanup_str_ struct str question = STR_INIT;
	bool terminal = asking_terminal();

	if (!s->risk || yes)
		return 0;
	str_add_printable(&path, s->path, strlen(s->path), false);
	str_addf(&question, "igloo: %s %s: %s\nShare it with the box? [y/N] ", option, str_text(&path), s->risk);
	if (terminal && asking_yes(&question))
		return 0;
	(void)err_set(e, EACCES, "'%s' is not shared: %s", str_text(&path), s->risk);
	return terminal ? -EACCES : err_hint(e, "to share it all the same: --yes");
}

static int add_all(const struct strv *texts, bool read_only, bool yes, struct shares *shares, struct err **e)
{
	for (size_t i = 0; i < texts->n; i++) {
		int r = shares_add(shares, texts->v[i], read_only, e);

		if (r == 0)
			r = ask(&shares->v[shares->n - 1], yes, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int sharing_settle(const struct box_options *o, struct shares *shares, struct err **e)
{
	int r = 0;

	if (shares->n > 0)
		return 0;
	r = add_all(&o->share_rw, false, o->yes, shares, e);
	return r < 0 ? r : add_all(&o->share_ro, true, o->yes, shares, e);
}

int sharing_put(struct enter *in, struct err **e)
{
	size_t before = in->spec.nshares;
	int r = shares_put(&in->shares, in->kind->machine, &in->spec, e);

	for (size_t i = 0; i < in->shares.n && r == 0 && in->kind->machine; i++) {
		const struct box_share *s = &in->spec.shares[before + i];
		_cleanup_str_ struct str from = STR_INIT;
		_cleanup_str_ struct str to = STR_INIT;

		if (in->shares.v[i].at)
			continue;
		str_add_printable(&from, s->source, strlen(s->source), false);
		str_add_printable(&to, s->target, strlen(s->target), false);
		log_note("%s is %s in the machine%s", str_text(&from), str_text(&to),
			 s->read_only ? ", for reading only" : "");
	}
	return r;
}
