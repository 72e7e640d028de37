/* What a kernel module needs, of its bytes. */
#include "fuzz.h"

#include "kind/vm/modinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_err_ struct err *e = NULL;

	(void)modinfo_depends(data, size, &names, &e);
	return 0;
}

FUZZ_MAIN()
