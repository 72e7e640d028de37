#include "cmd/sshagent.h"

#include "cmd/asking.h"

#include <errno.h>

static int refuse(const struct sshkeys *all, struct err **e)
{
	_cleanup_str_ struct str list = STR_INIT;

	sshkeys_add_lines(all, &list);
	(void)err_set(e, EACCES, "--ssh-agent: which keys may the box use? There is no terminal to ask at");
	(void)err_detail(e, str_text(&list));
	return err_hint(e, "name them: --ssh-key %s, or --ssh-key all", all->v[0].fingerprint);
}

static int ask(const struct sshkeys *all, struct sshkeys *ret, struct err **e)
{
	int r = 0;

	for (size_t i = 0; i < all->n && r == 0; i++) {
		_cleanup_str_ struct str question = STR_INIT;

		str_addf(&question, "igloo: may the box sign with the SSH key %s %s? [y/N] ", all->v[i].fingerprint,
			 all->v[i].comment);
		if (asking_yes(&question))
			r = sshkeys_add(ret, all, i, e);
	}
	if (r < 0 || ret->n > 0)
		return r;
	(void)err_set(e, EACCES, "the box may use no key of the SSH agent");
	return err_hint(e, "to run without: leave out --ssh-agent");
}

int sshagent_choose(const struct box_options *o, struct sshkeys *ret, struct err **e)
{
	_cleanup_sshkeys_ struct sshkeys all = {NULL, NULL, 0};
	int r;

	if (!o->ssh_agent && o->ssh_key.n == 0)
		return 0;
	r = sshkeys_read(&all, e);
	if (r < 0)
		return r;
	if (o->ssh_key.n > 0)
		return sshkeys_select(&all, &o->ssh_key, ret, e);
	return asking_terminal() ? 0 : refuse(&all, e);
}

int sshagent_ask(const struct box_options *o, struct sshkeys *ret, struct err **e)
{
	_cleanup_sshkeys_ struct sshkeys all = {NULL, NULL, 0};
	int r;

	if (!o->ssh_agent || o->ssh_key.n > 0)
		return 0;
	r = sshkeys_read(&all, e);
	return r < 0 ? r : ask(&all, ret, e);
}
