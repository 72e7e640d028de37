/* Names of boxes and slots: [a-z0-9][a-z0-9_-]{0,62}. They become file names, host names and branch
 * names, so nothing that any of these would read differently is allowed. */
#ifndef IGLOO_BASE_NAME_H
#define IGLOO_BASE_NAME_H

#include "base/err.h"

#include <stdbool.h>

#define NAME_MAX_LEN 63

bool name_is_valid(const char *name);
/* 0, or -EINVAL with an error that shows the name and says what one looks like. */
int name_check(const char *name, struct err **e);

#endif
