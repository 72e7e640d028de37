/* Theory of operation
 *
 * Everything that evaluates or builds runs in boxes (box/nixbox.h); on the host igloo only reads files, asks the
 * host's own store what it has, and writes the record. In order:
 *
 *   1. The toolchain (Nix and git) joins the slot's host-backed set.
 *   2. So do the flake's locked inputs that the host's store has: their paths follow from flake.lock's hashes.
 *   3. Nix tells what the flake asks for, if it does, and instantiates the dev shell: .drv files in the slot's store.
 *   4. igloo reads that graph itself and verifies every path in it (nix/drvclosure.h), since the slot's store may be
 *      hostile; what the host's store has of the outputs needed joins the set with its closure.
 *   5. Nix builds or fetches the rest and prints the environment.
 *   6. The record is written; its paths are rooted, inside and on the host.
 *
 * What Nix prints in a box is as trusted as what runs there: a hostile build could write it. It becomes the
 * environment of boxes of this slot, which that build could have made anyway, and nothing else: no path on the host
 * is opened because of it. */
#include "box/resolve.h"

#include "base/log.h"
#include "box/dirs.h"
#include "box/hostset.h"
#include "box/nixbox.h"
#include "box/resolve_impl.h"
#include "box/resolveforeign.h"
#include "fmt/json.h"
#include "nix/devenv.h"
#include "nix/devscript.h"
#include "nix/hoststore.h"
#include "nix/storepath.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- asking Nix ------------------------------------------------------------------------------------------------- */

int resolve_run_nix(struct resolve *r, const struct strv *argv, struct str *output, struct err **e)
{
	return nixbox_run(&r->nix, argv->v, NIXBOX_NETWORK, NULL, output, e);
}

void resolve_nix(struct strv *argv, const char *verb)
{
	strv_add(argv, "nix");
	strv_add(argv, "--log-format");
	strv_add(argv, "internal-json");
	/* The record is our cache; Nix's own would only tell worse what failed before. */
	strv_add(argv, "--option");
	strv_add(argv, "eval-cache");
	strv_add(argv, "false");
	strv_add(argv, verb);
}

/* Never the user's lock file: what Nix would change in it is only said. */
void resolve_lock_options(struct strv *argv)
{
	strv_add(argv, "--no-write-lock-file");
}

int resolve_names(struct resolve *r, const char *attribute, struct strv *to)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str output = STR_INIT;
	_cleanup_json_ json_t *names = NULL;
	size_t i;
	const json_t *name;
	int k;

	resolve_nix(&argv, "eval");
	strv_add(&argv, "--json");
	resolve_lock_options(&argv);
	strv_addf(&argv, ".#%s", attribute);
	strv_add(&argv, "--apply");
	strv_add(&argv, "builtins.attrNames");
	k = resolve_run_nix(r, &argv, &output, NULL);
	if (k == 0)
		k = json_parse(str_text(&output), output.len, 1 << 20, 4, &names, NULL);
	if (k < 0 || !json_is_array(names) || json_array_size(names) == 0)
		return -ENOENT;
	json_array_foreach(names, i, name)
	{
		if (!json_is_string(name) || strlen(json_string_value(name)) != json_string_length(name))
			continue;
		strv_add(to, json_string_value(name));
	}
	return 0;
}

static int attribute_names(struct resolve *r, const char *attribute, struct str *to)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	int k = resolve_names(r, attribute, &names);

	for (size_t i = 0; i < names.n; i++) {
		str_adds(to, to->len ? ", " : "");
		str_add_printable(to, names.v[i], strlen(names.v[i]), false);
	}
	return k;
}

/* Nix says only that an attribute is missing; say which there are. */
static int explain_missing(struct resolve *r, struct err **e)
{
	const char *platform = environment_platform_of(r->q);
	_cleanup_free_ char *shells = xasprintf("devShells.%s", platform);
	_cleanup_free_ char *packages = xasprintf("packages.%s", platform);
	_cleanup_str_ struct str names = STR_INIT;

	if (attribute_names(r, shells, &names) == 0) {
		(void)err_set(e, ENOENT, "the flake has no dev shell '%s' for %s", r->shell, platform);
		return err_hint(e, "it has: %s; choose one with --shell NAME", str_text(&names));
	}
	if (attribute_names(r, packages, &names) == 0) {
		(void)err_set(e, ENOENT, "the flake has packages (%s) but no dev shell for %s", str_text(&names),
			      platform);
		return err_hint(
			e,
			"an environment is declared by devShells.%s.default, for example with mkShell { inputsFrom = "
			"[ … ]; }",
			platform);
	}
	(void)err_set(e, ENOENT, "the flake in '%s' has no devShells.%s", r->q->source->flake_dir, platform);
	return err_hint(e, "add: devShells.%s.default = pkgs.mkShell { packages = [ … ]; };", platform);
}

static int instantiate(struct resolve *r, char **ret_drv, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str output = STR_INIT;
	int k;

	resolve_nix(&argv, "eval");
	strv_add(&argv, "--raw");
	resolve_lock_options(&argv);
	strv_addf(&argv, ".#devShells.%s.\"%s\".drvPath", environment_platform_of(r->q), r->shell);
	k = resolve_run_nix(r, &argv, &output, e);
	if (k == -EBADE && e && *e && strstr(err_message(*e), "does not provide attribute")) {
		err_clear(e);
		return explain_missing(r, e);
	}
	if (k < 0)
		return k;
	if (!storepath_ok(str_text(&output)) || !str_ends(str_text(&output), ".drv"))
		return err_set(e, EBADMSG, "the dev shell '%s' is no derivation", r->shell);
	*ret_drv = str_take(&output);
	return 0;
}

/* The profile is a root inside the slot, and tells the environment's path. */
static int print_environment(struct resolve *r, const char *drv, const char *profile, struct str *output,
			     struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;

	resolve_nix(&argv, "print-dev-env");
	strv_add(&argv, "--json");
	strv_add(&argv, "--profile");
	strv_addf(&argv, "/nix/var/nix/gcroots/igloo/%s", profile);
	if (r->nothing_missing) {
		/* The environment itself is never to be had elsewhere: do not ask around. */
		strv_add(&argv, "--option");
		strv_add(&argv, "substitute");
		strv_add(&argv, "false");
	}
	strv_add(&argv, drv);
	return resolve_run_nix(r, &argv, output, e);
}

int resolve_closure(struct resolve *r, const struct strv *argv, struct strv *closure, char **ret_root, struct err **e)
{
	_cleanup_str_ struct str output = STR_INIT;
	_cleanup_strv_ struct strv paths = STRV_INIT;
	int k = nixbox_run(&r->nix, argv->v, 0, NULL, &output, e);

	if (k < 0)
		return k;
	strv_split(&paths, str_text(&output), '\n');
	for (size_t i = 0; i < paths.n; i++)
		if (!storepath_ok(paths.v[i]))
			return err_set(e, EBADMSG,
				       "Nix in the box named a closure with something else than store paths");
	if (paths.n == 0)
		return err_set(e, EBADMSG, "Nix in the box named no closure");
	*ret_root = xstrdup(paths.v[paths.n - 1]);
	strv_add_all(closure, paths.v);
	strv_sort_unique(closure);
	return 0;
}

static int environment_path(struct resolve *r, const char *profile, char **ret, struct strv *closure, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;

	strv_add(&argv, "nix-store");
	strv_add(&argv, "-qR");
	/* A profile is a link to a generation's link to the path; Nix knows how to follow. */
	strv_addf(&argv, "/nix/var/nix/gcroots/igloo/%s", profile);
	return resolve_closure(r, &argv, closure, ret, e);
}

/* The bash of `igloo shell`. What a dev shell is built with is often a bash without line editing (nixpkgs' stdenv), so
 * `nix develop` takes bashInteractive of the flake's nixpkgs input, and so does igloo. A flake that has none gets
 * the environment's own bash; the record then names that, so that nobody looks again. */
#define BASH_ROOT "/nix/var/nix/gcroots/igloo/bash-interactive"

static void find_interactive(struct resolve *r, struct devenv *env, struct strv *closure, char **ret)
{
	_cleanup_strv_ struct strv eval = STRV_INIT;
	_cleanup_strv_ struct strv realise = STRV_INIT;
	_cleanup_strv_ struct strv query = STRV_INIT;
	_cleanup_str_ struct str drv = STR_INIT;
	_cleanup_str_ struct str output = STR_INIT;
	_cleanup_err_ struct err *e = NULL;
	bool complete;
	int k;

	resolve_nix(&eval, "eval");
	strv_add(&eval, "--raw");
	strv_add(&eval, "--inputs-from");
	strv_add(&eval, ".");
	/* Not of the platform that Nix itself runs on. */
	strv_addf(&eval, "nixpkgs#legacyPackages.%s.bashInteractive.drvPath", environment_platform_of(r->q));
	k = resolve_run_nix(r, &eval, &drv, &e);
	if (k == 0 && (!storepath_ok(str_text(&drv)) || !str_ends(str_text(&drv), ".drv")))
		k = err_set(&e, EBADMSG, "it is no derivation");
	if (k == 0)
		k = resolve_take_outputs(r, str_text(&drv), RESOLVE_OUTPUTS, &complete, &e);
	strv_split(&realise, "nix-store --add-root " BASH_ROOT " --realise", ' ');
	strv_add(&realise, str_text(&drv));
	if (k == 0)
		k = resolve_run_nix(r, &realise, &output, &e);
	strv_split(&query, "nix-store -qR " BASH_ROOT, ' ');
	if (k == 0)
		k = resolve_closure(r, &query, closure, ret, &e);
	if (k < 0) {
		log_verbose("no bashInteractive in the flake's nixpkgs input: %s", e ? err_message(e) : "");
		*ret = env->bash ? xasprintf("%.*s", (int)(strlen(env->bash) - strlen("/bin/bash")), env->bash)
				 : xstrdup("");
	}
}

/* --- the record ------------------------------------------------------------------------------------------------- */

/* Nix, and the git it needs, come last: a box always has them, and never instead of the environment's own. */
static void add_tools_to_path(struct resolve *r, struct devenv *env)
{
	const char *path = strv_env_get(&env->env, "PATH");
	_cleanup_free_ char *longer = xasprintf("%s%s%s:%s", path ? path : "", str_has(path) ? ":" : "",
						r->tools.nix_bin, r->tools.git_bin);

	strv_env_set(&env->env, "PATH", longer);
}

struct found {
	struct devenv env;
	struct strv closure;
	char *env_path;
	char *interactive; /* store path of bashInteractive; NULL: not asked for */
};

static int write_record(struct resolve *r, const struct found *f, const uint8_t *key, const char *nix_id,
			const char *name, struct err **e)
{
	const struct devenv *env = &f->env;
	const struct strv *closure = &f->closure;
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_free_ struct record_path *paths = xcalloc(closure->n, sizeof(*paths));
	_cleanup_strv_ struct strv functions = STRV_INIT;
	_cleanup_str_ struct str script = STR_INIT;
	_cleanup_free_ char *file = xasprintf("env/%s", name);
	struct env_record rec = {
		.created = (uint64_t)time(NULL),
		.has_hook = env->needs_bash,
		.shell = r->shell,
		.platform = environment_platform_of(r->q),
		.nix_version = nix_id,
		.flake_dir = r->q->source->flake_dir,
		.env_path = f->env_path,
		.bash = env->bash,
		.bash_interactive = f->interactive,
		.attrs_json = env->attrs_json,
		.attrs_sh = env->attrs_sh,
		.requests = r->requests,
		.env = env->env.v,
		.n_env = env->env.n,
		.closure = paths,
		.n_closure = closure->n,
	};
	int k = hostpaths_load(r->slot->dir, &set, e);

	if (k < 0)
		return k;
	memcpy(rec.key, key, RECORD_KEY_BYTES);
	for (size_t i = 0; i < closure->n; i++)
		paths[i] = (struct record_path){.path = closure->v[i], .host = hostpaths_has(&set, closure->v[i])};
	for (size_t i = 0; i < env->n_functions; i++)
		strv_add(&functions, env->functions[i].name);
	strv_sort_unique(&functions);
	rec.functions = functions.v;
	rec.n_functions = functions.n;
	devscript_add(&script, env);
	rec.script = str_text(&script);
	return record_write(r->slot->dir, file, &rec, e);
}

static int root_everything(struct resolve *r, const char *name, struct err **e)
{
	_cleanup_free_ char *link = xasprintf("%s/roots/%s", r->slot->path, name);
	_cleanup_strv_ struct strv inside = STRV_INIT;
	int k;

	strv_sort_unique(&r->mounted);
	strv_add_all(&inside, r->mounted.v);
	/* The toolchain's own store paths too, which are not the host store's to keep. */
	strv_add_all(&inside, r->tools.paths.v);
	k = hostset_root_inside(r->slot, &inside, e);
	return k < 0 || !r->host || r->mounted.n == 0 ? k : hoststore_root(r->host, &r->mounted, link, e);
}

static int ask_for_system(struct resolve *r, const char *profile, struct found *f, struct err **e)
{
	_cleanup_free_ char *configuration = NULL;
	int k = resolve_system(r, profile, &f->env_path, &configuration, &f->closure, e);

	if (k == 0)
		strv_env_set(&f->env.env, SYSTEM_VARIABLE, configuration);
	return k;
}

static int ask_nix(struct resolve *r, const char *profile, struct found *f, struct err **e)
{
	/* The folder of a box's own files, where structured attributes are put. */
	const struct devenv_options options = {.attrs_dir = BOX_FILES};
	_cleanup_free_ char *drv = NULL;
	_cleanup_str_ struct str json = STR_INIT;
	int k = resolve_requests(r, e);

	if (k == 0)
		resolve_say_caches(r);
	if (k == 0)
		k = instantiate(r, &drv, e);
	if (k == 0)
		k = resolve_take_outputs(r, drv, RESOLVE_INPUTS, &r->nothing_missing, e);
	if (k == 0)
		k = resolve_is_foreign(r, drv, e);
	if (k > 0) {
		k = resolve_foreign(r, drv, profile, &f->closure, &json, e);
		f->env_path = xstrdup(drv);
	} else if (k == 0) {
		k = print_environment(r, drv, profile, &json, e);
		if (k == 0)
			k = environment_path(r, profile, &f->env_path, &f->closure, e);
	}
	if (k == 0)
		k = devenv_parse(str_text(&json), json.len, &options, &f->env, e);
	if (k == 0 && r->q->interactive)
		find_interactive(r, &f->env, &f->closure, &f->interactive);
	return k;
}

static int resolve_steps(struct resolve *r, const uint8_t *key, const char *nix_id, const char *name, struct err **e)
{
	_cleanup_free_ char *profile = xasprintf("env-%.16s", name);
	_cleanup_close_ int gcroots = file_make_dirs(r->slot->dir, "nix/var/nix/gcroots/igloo", 0755, e);
	struct found f = {.env_path = NULL};
	int k = gcroots < 0 ? gcroots : resolve_take_tools(r, e);

	if (k == 0)
		k = resolve_take_inputs(r, e);
	if (k == 0)
		k = resolve_is_system(r) ? ask_for_system(r, profile, &f, e) : ask_nix(r, profile, &f, e);
	/* They are this machine's programs. */
	if (k == 0 && !resolve_is_system(r) && strcmp(environment_platform_of(r->q), environment_platform()) == 0)
		add_tools_to_path(r, &f.env);
	if (k == 0)
		k = root_everything(r, name, e);
	if (k == 0)
		k = write_record(r, &f, key, nix_id, name, e);
	devenv_release(&f.env);
	strv_release(&f.closure);
	free(f.env_path);
	free(f.interactive);
	return k;
}

int resolve_begin(struct resolve *r, struct slot *slot, const struct environment_query *q, struct err **e)
{
	_cleanup_close_ int cache = dirs_open(DIRS_CACHE, "toolchain", e);
	_cleanup_free_ char *cache_path = NULL;
	int k;

	*r = (struct resolve){.slot = slot, .q = q};
	k = cache < 0 ? cache : dirs_path(DIRS_CACHE, "toolchain", &cache_path, e);
	if (k == 0)
		k = hoststore_open(q->source->repo_dir, &r->host, e);
	if (k == 0)
		k = toolchain_get(cache, cache_path, r->host, q->source->repo_dir, &r->tools, e);
	if (k == 0)
		nixbox_init(&r->nix, slot, q, &r->tools);
	return k;
}

void resolve_end(struct resolve *r)
{
	if (r->nix.log)
		nixbox_release(&r->nix);
	toolchain_release(&r->tools);
	hoststore_free(r->host);
	strv_release(&r->mounted);
	free(r->requests);
	free(r->shell);
}

static int check_shell_name(const char *shell, struct err **e)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.+'";

	if (str_starts(shell, SYSTEM_PREFIX))
		return 0;
	if (*shell && strlen(shell) < 128 && shell[strspn(shell, good)] == '\0')
		return 0;
	return err_set(e, EINVAL, "'%s' cannot be the name of a dev shell", shell);
}

static int resolve_once(struct slot *slot, const struct environment_query *q, const uint8_t *key, const char *nix_id,
			const char *name, struct err **e)
{
	struct resolve r;
	int k = resolve_begin(&r, slot, q, e);

	if (k == 0)
		k = resolve_steps(&r, key, nix_id, name, e);
	resolve_end(&r);
	return k;
}

/* SQLite's words for a file that is not what it was (sqlite3_errstr()); not those for a full disk or a lock. */
static bool database_is_damaged(int k, struct err *const *e)
{
	static const char *const words[] = {"is not a database", "malformed", "SQL logic error", "no such table"};

	if (k != -EBADE || !e || !*e || !strstr(err_message(*e), "/nix/var/nix/db/db.sqlite"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(err_message(*e), words[i]))
			return true;
	return false;
}

int resolve_environment(struct slot *slot, const struct environment_query *q, const uint8_t key[RECORD_KEY_BYTES],
			const char *nix_id, const char *name, struct err **e)
{
	int k = check_shell_name(q->shell, e);

	if (k < 0)
		return k;
	file_sweep_temporary(slot->dir, ".");
	file_sweep_temporary(slot->dir, "env");
	k = resolve_once(slot, q, key, nix_id, name, e);
	if (database_is_damaged(k, e)) {
		log_note("the Nix database of slot '%s' is damaged: making it anew", slot->id);
		err_clear(e);
		k = hostset_reset(slot, e);
		if (k == 0)
			k = resolve_once(slot, q, key, nix_id, name, e);
	}
	return k;
}
