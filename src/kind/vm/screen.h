/* --display: a screen, a keyboard and a tablet for a machine, and where the user sees them.
 *
 *     vnc     QEMU listens on a socket in its own root, which nobody else sees. The supervisor listens on this
 * machine's loopback and has PID 1 of the box connect to it (guest/vm.h), as it does for forwarded ports. window  QEMU
 * opens a window of GTK on the user's Wayland or X11: their socket, and nothing else of the user's, is put into QEMU's
 * root (kind/vm/enclosure.h). */
#ifndef IGLOO_KIND_VM_SCREEN_H
#define IGLOO_KIND_VM_SCREEN_H

#include "box/display.h"
#include "kind/vm/fittings.h"

/* -EOPNOTSUPP with what helps, where QEMU or the user's session does not have it. */
int screen_plan(const struct display *d, const struct fittings_host *host, struct fittings *f, struct err **e);

#endif
