/* The index file of nix/indexfile.h, as a damaged disk or an older igloo may leave it. The checksum is
 * put right first, else hardly any input would get past it. */
#include "fuzz.h"

#include "nix/indexfile.h"
#include "nix/indexwarm.h"

#include <fcntl.h>

static void walk(const struct indexfile *f, const void *bytes, size_t n)
{
	_cleanup_close_ int empty = open("/proc/self/task", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_strv_ struct strv why = STRV_INIT;
	_cleanup_str_ struct str again = STR_INIT;

	if (f->h.n_entries < 10000 && f->h.n_watches == 0)
		(void)indexwarm_unchanged(f, empty);
	indexwarm_explain(NULL, f, &why);
	indexwarm_explain(f, f, &why);
	/* What was accepted is written back as it was. */
	if (indexfile_write(f, &again) < 0 || again.len != n || memcmp(again.p, bytes, n) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = xmalloc(size ? size : 1);
	struct indexfile f;

	if (size)
		memcpy(copy, data, size);
	if (indexfile_parse(copy, size, &f))
		walk(&f, copy, size);
	indexfile_seal(copy, size);
	if (indexfile_parse(copy, size, &f))
		walk(&f, copy, size);
	return 0;
}

FUZZ_MAIN()
