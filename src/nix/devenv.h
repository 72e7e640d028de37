/* The environment that a dev shell declares, from what `nix print-dev-env --json` prints.
 *
 * Format (Nix 2.8 to 2.34, src/nix/develop.cc, struct BuildEnvironment; the members beyond these are
 * ignored):
 *     { "variables": { NAME: { "type": "exported" | "var", "value": TEXT }
 *                    | { "type": "array", "value": [TEXT…] }
 *                    | { "type": "associative", "value": {KEY: TEXT} } | { "type": anything else } },
 *       "bashFunctions": { NAME: BODY },
 *       "structuredAttrs": { ".attrs.json": TEXT, ".attrs.sh": TEXT } }      (2.26 and later, if used)
 *
 * The JSON is raw: devenv_parse() applies to it what `nix develop` applies (the same file, makeRcScript()):
 *   - the names Nix never sets are dropped: BASHOPTS HOME NIX_BUILD_TOP NIX_ENFORCE_PURITY NIX_LOG_FD NIX_REMOTE
 *     PPID SHELLOPTS SSL_CERT_FILE TEMP TEMPDIR TERM TMP TMPDIR TZ UID;
 *   - NIX_BUILD_TOP, TMP, TMPDIR, TEMP and TEMPDIR are then a fresh folder: here /tmp, fresh in every box;
 *   - NIX_GCROOT names the environment's store path; SHELL names bash;
 *   - the paths of the derivation's outputs become folders below options.outputs_dir (Nix: $PWD/outputs), and the
 *     paths of the structured attributes files below options.attrs_dir, wherever they stand in a value or function.
 * Where it differs from `nix develop`: the host's PATH and XDG_DATA_DIRS are not appended; variables that bash makes
 * for itself (EPOCHSECONDS, LINENO, COMP_WORDBREAKS, …) are left out, so equal environments have equal bytes; a
 * PATH that is only a shell variable is exported, as it is where `nix develop` runs. HOME, USER, TERM, TZ and the
 * like are for the caller to add. */
#ifndef IGLOO_NIX_DEVENV_H
#define IGLOO_NIX_DEVENV_H

#include "base/err.h"
#include "base/str.h"

/* Real environments are 0.1 to 1 MB; the parsed form of hostile JSON is some 25 times its size. */
enum { DEVENV_MAX_BYTES = 16 << 20 };

enum devenv_kind { DEVENV_TEXT, DEVENV_ARRAY, DEVENV_TABLE };

/* A variable that is not exported. `values`: one value, the elements, or key and value in turn. */
struct devenv_var {
	char *name;
	enum devenv_kind kind;
	struct strv values;
};

struct devenv_function {
	char *name;
	char *body; /* what stands between the braces */
};

struct devenv {
	struct strv env;         /* "NAME=value", exported; sorted by name but for the few that igloo adds */
	struct devenv_var *vars; /* sorted by name */
	size_t n_vars;
	struct devenv_function *functions; /* sorted by name, bytewise */
	size_t n_functions;
	char *shell_hook; /* never NULL; "" when there is none */
	char *attrs_json; /* contents of the two files of structured attributes, both or neither NULL */
	char *attrs_sh;
	/* The bash that made this environment: the first of the variables BASH (bash's own word for itself), builder,
	 * SHELL, shell, CONFIG_SHELL that is an absolute path ending in /bash. NULL when there is none. */
	char *bash;
	char *out;       /* store path of the environment by its own `out`, before rewriting; NULL if it has none */
	bool needs_bash; /* there is a hook: even a command run directly must start through bash */
};

/* All members may be NULL. */
struct devenv_options {
	const char *outputs_dir; /* in the box; NULL leaves output paths as they are */
	const char *attrs_dir;   /* in the box: the caller puts .attrs.json and .attrs.sh there */
	const char *env_path;    /* the -env store path, for NIX_GCROOT */
};

/* Parses n bytes. Returns 0 with *ret set (devenv_release() it), -EFBIG, or -EBADMSG for anything that Nix would not
 * have written: bad JSON, wrong types, names that are no names, NUL bytes, a hook but no bash to run it. */
int devenv_parse(const char *bytes, size_t n, const struct devenv_options *options, struct devenv *ret, struct err **e);
void devenv_release(struct devenv *env);
static inline void devenv_releasep(struct devenv *env)
{
	devenv_release(env);
}
#define _cleanup_devenv_ ATTR_CLEANUP(devenv_releasep)

/* True when bash has a function of that name once the script was sourced. */
bool devenv_has_function(const struct devenv *env, const char *name);

/* The grammar of names that the script may hold: letters, digits and _ for variables; functions may also have
 * - . : + @ / , ^ and bytes from 0x80 on (bash accepts them unquoted). */
bool devenv_is_variable_name(const char *name);
bool devenv_is_function_name(const char *name);

#endif
