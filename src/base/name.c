#include "base/name.h"
#include "base/str.h"

#include <errno.h>

static bool is_first(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool name_is_valid(const char *name)
{
	size_t n = 0;

	if (!is_first(name[0]))
		return false;
	for (; name[n]; n++)
		if (n == NAME_MAX_LEN || (!is_first(name[n]) && name[n] != '_' && name[n] != '-'))
			return false;
	return true;
}

int name_check(const char *name, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	if (name_is_valid(name))
		return 0;
	str_add_printable(&shown, name, strnlen(name, NAME_MAX_LEN + 1), false);
	return err_set(e, EINVAL, "'%s' is not a name: a to z, 0 to 9, '-' and '_', at most 63, no '-' or '_' first",
		       str_text(&shown));
}
