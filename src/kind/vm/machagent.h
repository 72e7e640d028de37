/* A box's SSH agent (box/boxagent.h) for a machine: its kernel has a socket of its own at SSHKEYS_BOX_SOCKET, and PID 1
 * of the box leads who connects there to the box's (wire/bridge.h). */
#ifndef IGLOO_KIND_VM_MACHAGENT_H
#define IGLOO_KIND_VM_MACHAGENT_H

#include "base/str.h"

/* Lines of the machine's configuration (guest/vmconf.h). */
void machagent_configure(struct str *to);
/* Options of PID 1's (guest/vm.h). */
void machagent_add_options(struct strv *to);

#endif
