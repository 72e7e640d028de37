/* The reader of git's configuration. What it finds is never longer than the text. */
#include "box/gitconfig.h"
#include "fuzz.h"

static void check(const struct strv *v, size_t size)
{
	for (size_t i = 0; i < v->n; i++)
		if (!*v->v[i] || strlen(v->v[i]) > size)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_gitconfig_ struct gitconfig c = {0};

	gitconfig_read((const char *)data, size, &c);
	check(&c.includes, size);
	check(&c.hooks, size);
	check(&c.submodules, size);
	return 0;
}

FUZZ_MAIN()
