#include "box/resolveforeign.h"

#include "base/log.h"
#include "nix/drv.h"
#include "nix/storepath.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define HINT                                                                                                          \
	"what no binary cache and no store here has for %s cannot be built on this machine: build it on one of that " \
	"architecture, and let a cache have it (docs/architectures.md)"

/* getenv.bash, with a NUL behind it. */
extern const char getenv_script[];

static int read_drv(const struct resolve *r, const char *path, struct drv **ret, struct err **e)
{
	_cleanup_close_ int store = file_open_beneath(r->slot->dir, "nix/store", O_RDONLY | O_DIRECTORY, 0);
	_cleanup_str_ struct str text = STR_INIT;
	int k = store < 0 ? err_errno(e, -store, "the slot's store")
			  : file_read(store, storepath_base(path), DRV_BYTES_MAX, &text, e);

	if (k == 0)
		k = drv_parse(str_text(&text), text.len, ret, e);
	return k < 0 ? err_wrap(e, "%s", path) : 0;
}

int resolve_is_foreign(const struct resolve *r, const char *path, struct err **e)
{
	_cleanup_drv_ struct drv *d = NULL;
	int k;

	if (strcmp(environment_platform_of(r->q), environment_platform()) == 0)
		return 0;
	k = read_drv(r, path, &d, e);
	return k < 0 || !d ? k : strcmp(d->platform, environment_platform_of(r->q)) == 0;
}

/* Roots for all that the shell is built from; their names go to *links. */
static int fetch_inputs(struct resolve *r, const struct drv *d, const char *profile, struct strv *links, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str output = STR_INIT;
	int k;

	strv_split(&argv, "nix-store --log-format internal-json --add-root", ' ');
	strv_addf(&argv, "/nix/var/nix/gcroots/igloo/%s", profile);
	strv_add(&argv, "--realise");
	for (size_t i = 0; i < d->n_inputs; i++) {
		_cleanup_str_ struct str which = STR_INIT;

		str_addf(&which, "%s!", d->inputs[i].path);
		for (size_t o = 0; o < d->inputs[i].n_outputs; o++)
			str_addf(&which, "%s%s", o ? "," : "", d->inputs[i].outputs[o]);
		strv_add_take(&argv, str_take(&which));
	}
	for (size_t i = 0; i < d->n_srcs; i++)
		strv_add(&argv, d->srcs[i]);
	k = resolve_run_nix(r, &argv, &output, e);
	if (k == -EBADE)
		(void)err_hint(e, HINT, d->platform);
	strv_split(links, str_text(&output), '\n');
	return k;
}

static int check_shell(const struct drv *d, struct err **e)
{
	if (!str_ends(d->builder, "/bash"))
		return err_set(e, EINVAL, "the dev shell is built by '%s': an environment needs bash", d->builder);
	if (drv_env_get(d, "__json"))
		return err_set(e, ENOTSUP, "a dev shell for %s with structured attributes cannot be resolved here",
			       d->platform);
	return 0;
}

/* What a builder of Nix has beside the variables of its derivation (the manual, "Builder Execution"). */
static void fill_env(const struct drv *d, struct strv *env)
{
	static const char *const fixed[] = {"PATH=/path-not-set",
					    "HOME=/homeless-shelter",
					    "NIX_STORE=/nix/store",
					    "NIX_BUILD_CORES=1",
					    "NIX_BUILD_TOP=/tmp",
					    "TMPDIR=/tmp",
					    "TEMPDIR=/tmp",
					    "TMP=/tmp",
					    "TEMP=/tmp",
					    "NIX_LOG_FD=2",
					    "TERM=xterm-256color"};

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		strv_add(env, fixed[i]);
	for (size_t i = 0; i < d->n_env; i++)
		strv_env_set(env, d->env[i].name, d->env[i].value);
}

static int run_bash(struct resolve *r, const struct drv *d, struct str *json, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv env = STRV_INIT;

	strv_add(&argv, d->builder);
	strv_add(&argv, "-c");
	strv_add(&argv, getenv_script);
	fill_env(d, &env);
	log_verbose("the environment is made in a machine of %s", d->platform);
	return nixbox_run_machine(&r->nix, argv.v, env.v, json, e);
}

static int closure_of(struct resolve *r, const struct strv *links, struct strv *closure, struct err **e)
{
	_cleanup_strv_ struct strv query = STRV_INIT;
	char *root = NULL;
	int k;

	strv_split(&query, "nix-store -qR", ' ');
	strv_add_all(&query, links->v);
	k = resolve_closure(r, &query, closure, &root, e);
	free(root);
	return k;
}

int resolve_foreign(struct resolve *r, const char *path, const char *profile, struct strv *closure, struct str *json,
		    struct err **e)
{
	_cleanup_drv_ struct drv *d = NULL;
	_cleanup_strv_ struct strv links = STRV_INIT;
	int k = read_drv(r, path, &d, e);

	if (k < 0 || !d)
		return k;
	k = check_shell(d, e);
	if (k == 0)
		k = fetch_inputs(r, d, profile, &links, e);
	if (k == 0)
		k = closure_of(r, &links, closure, e);
	return k < 0 ? k : run_bash(r, d, json, e);
}
