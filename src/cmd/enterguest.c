#include "cmd/enterguest.h"

#include <errno.h>
#include <string.h>

#define NIXOS "nixos"
/* NixOS' own: programs that become root (sudo), and those of the system. */
#define SYSTEM_PATH "/run/wrappers/bin:/run/current-system/sw/bin"

/* *ret: what is behind "nixos=", "" for nothing, NULL for igloo's own guest. */
static int parse(const struct box_options *o, const struct enter *in, const char **ret, struct err **e)
{
	const char *guest = o->guest ? o->guest : "minimal";

	*ret = strcmp(guest, NIXOS) == 0 ? "" : str_starts(guest, NIXOS "=") ? guest + strlen(NIXOS "=") : NULL;
	if (!*ret && strcmp(guest, "minimal") != 0) {
		(void)err_set(e, EINVAL, "there is no guest '%s'", guest);
		return err_hint(e, "there are: minimal, nixos, nixos=NAME");
	}
	if (*ret && guest[strlen(NIXOS)] && !**ret)
		return err_set(e, EINVAL, "--guest nixos= names no configuration: --guest nixos=NAME");
	if ((o->guest || o->built) && !in->kind->machine)
		return err_set(e, EINVAL, "--guest and --built are for --in vm, not for a %s", in->kind->name);
	if (!*ret && o->built)
		return err_set(e, EINVAL, "--built is for --guest nixos");
	if (*ret && o->kernel)
		return err_set(e, EINVAL, "--kernel is not for --guest nixos, which brings its own");
	return 0;
}

int enterguest_resolve(const struct box_options *o, const struct environment_query *q, struct enter *in, struct err **e)
{
	_cleanup_record_ struct env_record rec = {0};
	_cleanup_free_ char *shell = NULL;
	struct environment_query query = *q;
	const char *name = NULL;
	const char *found;
	int r = parse(o, in, &name, e);

	if (r < 0 || !name)
		return r;
	shell = xasprintf(SYSTEM_PREFIX "%s", name);
	query.shell = shell;
	query.any_shell = false;
	query.interactive = false;
	r = environment_open(in->slot, &query, &rec, NULL, e);
	if (r < 0)
		return err_wrap(e, "--guest %s", o->guest);
	for (size_t i = 0; i < rec.n_env; i++) {
		found = str_starts(rec.env[i], SYSTEM_VARIABLE "=") ? rec.env[i] + strlen(SYSTEM_VARIABLE "=") : NULL;
		if (found && !in->machine.system_name)
			in->machine.system_name = xstrdup(found);
	}
	if (!in->machine.system_name)
		return err_set(e, EBADMSG, "the record of the NixOS configuration does not name it");
	in->machine.toplevel = xstrdup(rec.env_path);
	in->machine.flake = xstrdup(rec.flake_dir);
	in->machine.built = o->built;
	return 0;
}

void enterguest_apply(struct enter *in)
{
	struct box_machine *m = &in->spec.machine;
	const char *path = strv_env_get(&in->env, "PATH");
	_cleanup_free_ char *longer = NULL;

	if (!in->machine.toplevel)
		return;
	m->toplevel = in->machine.toplevel;
	m->system_name = in->machine.system_name;
	m->flake = in->machine.flake;
	m->built = in->machine.built;
	in->machine = (struct box_machine){0};
	longer = xasprintf("%s%s" SYSTEM_PATH, path ? path : "", str_has(path) ? ":" : "");
	strv_env_set(&in->env, "PATH", longer);
}
