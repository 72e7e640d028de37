#include "box/kind.h"
#include "kind/sandbox/sandbox.h"
#include "kind/vm/vm.h"

#include <errno.h>
#include <string.h>

const struct kind *const kinds[] = {&kind_sandbox, &kind_vm, NULL};

int kind_find(const char *name, const struct kind **ret, struct err **e)
{
	_cleanup_str_ struct str all = STR_INIT;

	for (size_t i = 0; kinds[i]; i++) {
		if (!name || strcmp(kinds[i]->name, name) == 0) {
			*ret = kinds[i];
			return 0;
		}
		str_addf(&all, "%s%s", i ? ", " : "", kinds[i]->name);
	}
	(void)err_set(e, EINVAL, "there is no kind of box called '%s'", name);
	return err_hint(e, "kinds: %s", str_text(&all));
}
