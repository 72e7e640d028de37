/* A kernel's list of modules: what is in it is found by its name, and no path leaves the folder. */
#include "fuzz.h"

#include "kind/vm/moddep.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_err_ struct err *e = NULL;
	struct moddep m;

	if (moddep_parse(xstrndup((const char *)data, size), size, &m, &e) < 0)
		return 0;
	for (size_t i = 0; i < m.n; i++) {
		const struct moddep_entry *found = moddep_find(&m, m.v[i].name);

		if (!found || strcmp(found->name, m.v[i].name) != 0 || strchr(found->name, '/') ||
		    strchr(found->name, '-') || found->path[0] == '/' || strncmp(found->path, "../", 3) == 0)
			abort();
	}
	moddep_release(&m);
	return 0;
}

FUZZ_MAIN()
