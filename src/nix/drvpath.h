/* Which paths a derivation has a right to: its own, and those of its outputs.
 *
 * Source: the Nix manual, "Derivation Outputs and Types of Derivations" and "Complete Store Path
 * Calculation"; src/libstore/derivations.cc (hashDerivationModulo, writeDerivation) of Nix 2.8 to
 * 2.34. A derivation's own path is a text path over its bytes and references. A fixed output's path
 * follows from the hash it promises. Every other path follows from the derivation's text with its
 * outputs masked and each input derivation replaced by that one's modulo hash. */
#ifndef IGLOO_NIX_DRVPATH_H
#define IGLOO_NIX_DRVPATH_H

#include "nix/drv.h"
#include "nix/storepath.h"

#include <stdint.h>

enum drvpath_type {
	DRVPATH_INPUT,    /* input-addressed: the paths follow from the derivation and its inputs */
	DRVPATH_FIXED,    /* one output "out" whose content hash is given */
	DRVPATH_DEFERRED, /* no paths before it is built: floating content-addressed, impure, or built
			   * from such */
};

/* Which of them `d` is. -EINVAL when its outputs mix them or name a hash Nix 2.8 does not know. */
int drvpath_type(const struct drv *d, enum drvpath_type *ret, struct err **e);

/* The store path of the .drv file with these n bytes, of which `d` was read, and `file_name` ("x.drv"). */
int drvpath_own(const char *text, size_t n, const struct drv *d, const char *file_name, char ret[static STOREPATH_SIZE],
		struct err **e);

/* Checks that every output path in `d`, whose type is DRVPATH_INPUT or DRVPATH_FIXED, is the one that
 * belongs to it, and gives its modulo hash. `name` is the .drv's name without ".drv"; moduli[i] is the
 * modulo hash of the derivation d->inputs[i] (moduli is not read for a fixed output: what builds it
 * does not matter). -EINVAL naming the output when a path is wrong. */
int drvpath_verify(const struct drv *d, const char *name, const uint8_t (*moduli)[DIGEST_SHA256_BYTES],
		   uint8_t ret_modulo[static DIGEST_SHA256_BYTES], struct err **e);

#endif
