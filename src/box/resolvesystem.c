/* Resolving a NixOS configuration of the flake: as a dev shell is, in boxes; what comes of it is one store path. */
#include "box/resolve_impl.h"
#include "nix/storepath.h"

#include <errno.h>
#include <string.h>

#define CONFIGURATIONS "nixosConfigurations"
#define ONLY_NAME "igloo"

bool resolve_is_system(const struct resolve *r)
{
	return str_starts(r->q->shell, SYSTEM_PREFIX);
}

/* It becomes the name of a folder, and a word of Nix. */
static bool name_ok(const char *name)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";

	return *name && *name != '.' && strlen(name) < 64 && name[strspn(name, good)] == '\0';
}

static int say_names(const struct strv *names, struct err **e)
{
	_cleanup_str_ struct str text = STR_INIT;

	for (size_t i = 0; i < names->n; i++) {
		str_adds(&text, i ? ", " : "");
		str_add_printable(&text, names->v[i], strlen(names->v[i]), false);
	}
	return err_hint(e, "it has: %s; choose one with --guest nixos=NAME", str_text(&text));
}

/* Who names none gets the only one, or that of igloo's name. */
static int choose_name(struct resolve *r, char **ret, struct err **e)
{
	const char *wanted = r->q->shell + strlen(SYSTEM_PREFIX);
	_cleanup_strv_ struct strv names = STRV_INIT;

	if (*wanted) {
		if (!name_ok(wanted))
			return err_set(e, EINVAL, "'%s' cannot be the name of a NixOS configuration here", wanted);
		*ret = xstrdup(wanted);
		return 0;
	}
	if (resolve_names(r, CONFIGURATIONS, &names) < 0) {
		(void)err_set(e, ENOENT, "the flake in '%s' has no " CONFIGURATIONS, r->q->source->flake_dir);
		return err_hint(e, "see docs/nixos.md for one that can be a guest");
	}
	if (names.n != 1 && !strv_has(&names, ONLY_NAME)) {
		(void)err_set(e, EINVAL, "the flake has several NixOS configurations and none called '" ONLY_NAME "'");
		return say_names(&names, e);
	}
	*ret = xstrdup(names.n == 1 ? names.v[0] : ONLY_NAME);
	return name_ok(*ret) ? 0 : err_set(e, EINVAL, "'%s' cannot be the name of a NixOS configuration here", *ret);
}

static int explain_missing(struct resolve *r, const char *name, struct err **e)
{
	_cleanup_strv_ struct strv names = STRV_INIT;

	(void)err_set(e, ENOENT, "the flake has no NixOS configuration '%s'", name);
	return resolve_names(r, CONFIGURATIONS, &names) < 0 ? -ENOENT : say_names(&names, e);
}

static int instantiate(struct resolve *r, const char *name, char **ret_drv, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str output = STR_INIT;
	_cleanup_err_ struct err *problem = NULL;
	int k;

	resolve_nix(&argv, "eval");
	strv_add(&argv, "--raw");
	resolve_lock_options(&argv);
	strv_addf(&argv, ".#" CONFIGURATIONS ".\"%s\".config.system.build.toplevel.drvPath", name);
	k = resolve_run_nix(r, &argv, &output, &problem);
	if (k == -EBADE && strstr(err_message(problem), "does not provide attribute"))
		return explain_missing(r, name, e);
	if (k < 0) {
		if (e)
			*e = take_ptr(problem);
		return k;
	}
	if (!storepath_ok(str_text(&output)) || !str_ends(str_text(&output), ".drv"))
		return err_set(e, EBADMSG, "the NixOS configuration '%s' is no derivation", name);
	*ret_drv = str_take(&output);
	return 0;
}

int resolve_system(struct resolve *r, const char *profile, char **ret, char **ret_name, struct strv *closure,
		   struct err **e)
{
	_cleanup_free_ char *root = xasprintf("/nix/var/nix/gcroots/igloo/%s", profile);
	_cleanup_free_ char *name = NULL;
	_cleanup_free_ char *drv = NULL;
	_cleanup_strv_ struct strv realise = STRV_INIT;
	_cleanup_strv_ struct strv query = STRV_INIT;
	_cleanup_str_ struct str output = STR_INIT;
	bool complete = false;
	int k;

	r->requests = xstrdup("");
	r->shell = xstrdup(r->q->shell);
	k = choose_name(r, &name, e);
	if (k == 0)
		k = instantiate(r, name, &drv, e);
	if (k == 0)
		k = resolve_take_outputs(r, drv, RESOLVE_OUTPUTS, &complete, e);
	if (k < 0)
		return k;
	strv_split(&realise, "nix-store --add-root", ' ');
	strv_add(&realise, root);
	strv_add(&realise, "--realise");
	/* What is built of this machine's store alone is to be had nowhere else. */
	if (complete) {
		strv_add(&realise, "--option");
		strv_add(&realise, "substitute");
		strv_add(&realise, "false");
	}
	strv_add(&realise, drv);
	k = resolve_run_nix(r, &realise, &output, e);
	strv_split(&query, "nix-store -qR", ' ');
	strv_add(&query, root);
	if (k == 0)
		k = resolve_closure(r, &query, closure, ret, e);
	if (k == 0)
		*ret_name = take_ptr(name);
	return k;
}
