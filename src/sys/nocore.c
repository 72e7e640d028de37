#include "sys/nocore.h"

#include <sys/resource.h>

void nocore_set(bool for_good)
{
	struct rlimit limit;

	/* Who has none at all cannot have 1. */
	if (getrlimit(RLIMIT_CORE, &limit) < 0 || limit.rlim_max < 1)
		return;
	limit.rlim_cur = 1;
	if (for_good)
		limit.rlim_max = 1;
	(void)setrlimit(RLIMIT_CORE, &limit);
}
