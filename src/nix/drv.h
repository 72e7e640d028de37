/* Derivations: reading and writing the text of a .drv file.
 *
 * Source: the Nix manual, "Derivation 'ATerm' file format" (NixOS/nix, doc/manual/source/protocols/
 * derivation-aterm.md) and src/libstore/derivations.cc:
 *
 *     Derive([(name,path,hashAlgo,hash)…],[(drvPath,[output…])…],[srcPath…],
 *            platform,builder,[arg…],[(name,value)…])
 *
 * The reader is strict: it takes only the text that Nix itself would write for what it says (order,
 * escapes, no blanks), so drv_unparse() of what was read gives back the same bytes, and no two
 * readings of one file exist. The "DrvWithVersion" form (experimental dynamic derivations) is not
 * taken. */
#ifndef IGLOO_NIX_DRV_H
#define IGLOO_NIX_DRV_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/* The longest text that is read. */
enum { DRV_BYTES_MAX = 16 << 20 };

struct drv_output {
	const char *name;
	const char *path;      /* a store path, or "" when it is known only after building */
	const char *hash_algo; /* "", "sha256", "r:sha256", … */
	const char *hash;      /* hex, "" or "impure" */
};

struct drv_input {
	const char *path;     /* of the .drv; in drv_unparse() also the hex hash that stands for it */
	const char **outputs; /* names, sorted */
	size_t n_outputs;
};

struct drv_env {
	const char *name;
	const char *value;
};

/* Lists are sorted by name or path, without equal elements; args keeps its order. */
struct drv {
	struct drv_output *outputs;
	size_t n_outputs;
	struct drv_input *inputs;
	size_t n_inputs;
	const char **srcs;
	size_t n_srcs;
	const char *platform;
	const char *builder;
	const char **args;
	size_t n_args;
	struct drv_env *env;
	size_t n_env;
	char *bytes; /* holds every string above */
	size_t size; /* bytes of memory all of it takes, about */
};

/* Reads the n bytes of a .drv file. Paths are checked with storepath_ok(), names of outputs as names
 * in a store path. -EINVAL (with the byte offset) for anything that Nix would not have written,
 * -EFBIG when n > DRV_BYTES_MAX. */
int drv_parse(const char *text, size_t n, struct drv **ret, struct err **e);
void drv_free(struct drv *d); /* accepts NULL */

static inline void drv_freep(struct drv **d)
{
	drv_free(*d);
}
#define _cleanup_drv_ ATTR_CLEANUP(drv_freep)

/* Adds the text. With `mask`, the outputs' paths and the environment variables named like outputs are
 * left empty. `inputs` (sorted by path) stands in for d->inputs: the two changes from which Nix
 * hashes a derivation (drvpath.h). */
void drv_unparse(struct str *to, const struct drv *d, bool mask, const struct drv_input *inputs, size_t n_inputs);

const char *drv_env_get(const struct drv *d, const char *name); /* NULL when there is none */
const struct drv_output *drv_output_get(const struct drv *d, const char *name);

#endif
