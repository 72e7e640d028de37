/* The socket of a box's supervisor: $XDG_RUNTIME_DIR/igloo/sockets/<name>, mode 0600. Clients speak the guest's own
 * frames (wire/frame.h) over it: EXEC, SIGNAL, SHUTDOWN, and those that only a supervisor takes: ATTACH, GRANT, PORTS.
 */
#ifndef IGLOO_BOX_CONTROL_H
#define IGLOO_BOX_CONTROL_H

#include "base/err.h"

int control_listen(const char *name, struct err **e);
int control_connect(const char *name, struct err **e);
void control_remove(const char *name);

#endif
