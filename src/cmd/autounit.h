/* The systemd user unit that starts a box that stays: $XDG_CONFIG_HOME/systemd/user/igloo-NAME.service and the link in
 * default.target.wants that `systemctl --user enable` would make. systemd.unit(5), systemd.service(5),
 * systemd.syntax(7).
 */
#ifndef IGLOO_CMD_AUTOUNIT_H
#define IGLOO_CMD_AUTOUNIT_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

/* Its text: `program` is igloo's path, `env` ("NAME=value", NULL-terminated) what the unit sets. */
void autounit_add(struct str *to, const char *name, const char *program, char *const *env);

/* Writes it, for this igloo and with the caller's PATH and XDG folders, and links it. -EEXIST for a file of that name
 * that is not ours. Nothing of systemd needs to run. */
int autounit_write(const char *name, struct err **e);
/* Removes both; *ret_was says whether there was one. A file that is not ours stays, and is -EEXIST. */
int autounit_remove(const char *name, bool *ret_was, struct err **e);
/* Names of the boxes that have one, sorted. */
int autounit_list(struct strv *ret, struct err **e);
/* Tells the user's systemd that units changed, if it runs. */
void autounit_reload(void);

#endif
