/* flake.lock: every path that comes out is a store path. */
#include "fuzz.h"

#include "nix/lock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_lock_ struct lock *l = NULL;
	_cleanup_err_ struct err *e = NULL;

	if (lock_parse((const char *)data, size, "sub/dir", &l, &e) < 0)
		return 0;
	for (size_t i = 0; i < l->n_nodes; i++)
		if (l->nodes[i].has_path && !storepath_ok(l->nodes[i].store_path))
			abort();
	return 0;
}

FUZZ_MAIN()
