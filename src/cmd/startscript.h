/* start-NAME.sh: a file that starts a box that stays, and says to its reader what it is. */
#ifndef IGLOO_CMD_STARTSCRIPT_H
#define IGLOO_CMD_STARTSCRIPT_H

#include "box/definition.h"

#include <stdbool.h>

/* Its text. Whatever is in names and paths stays in comments and quotes. `program`: igloo's own path, NULL when it is
 * not known. */
void startscript_add(struct str *to, const char *name, const struct definition *d, const char *program);

/* Writes it into the current folder; or, where a box could write there and so change what the user runs on the host
 * (the folder is in a repository or in a share of this box), into igloo's own, ~/.local/share/igloo. A file of that
 * name is replaced if it begins as ours do, or with `yes`; otherwise -EEXIST. *ret_path is its path. */
int startscript_write(const char *name, const struct definition *d, bool yes, char **ret_path, struct err **e);

#endif
