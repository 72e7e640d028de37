/* Derivation text: what is accepted is written back byte for byte. */
#include "fuzz.h"

#include "nix/drv.h"
#include "nix/drvpath.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_drv_ struct drv *d = NULL;
	_cleanup_err_ struct err *e = NULL;
	_cleanup_str_ struct str text = STR_INIT;
	enum drvpath_type type;
	uint8_t modulo[DIGEST_SHA256_BYTES];

	if (drv_parse((const char *)data, size, &d, &e) < 0)
		return 0;
	drv_unparse(&text, d, false, d->inputs, d->n_inputs);
	if (text.len != size || memcmp(text.p, data, size) != 0)
		abort();
	if (drvpath_type(d, &type, NULL) == 0 && type == DRVPATH_FIXED)
		(void)drvpath_verify(d, "x", NULL, modulo, &e);
	return 0;
}

FUZZ_MAIN()
