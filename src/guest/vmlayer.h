/* The writable layer of a machine: what lies over the box's store, Nix's database and HOME.
 *
 *     /upper /work    /nix/store: an overlay over the box's, which is a view of the host's and the slot's store paths
 *     /var            /nix/var: Nix's database, profiles, roots
 *     /home           HOME
 *     /tmp            /var/tmp
 *     /stamp          which database of the slot that of /var was made from (guest/vmnixdb.h)
 *
 * on the slot's disk, or in memory. Functions return 0 or -errno with *ret_what as what it was about. */
#ifndef IGLOO_GUEST_VMLAYER_H
#define IGLOO_GUEST_VMLAYER_H

#include "guest/vmconf.h"

/* Once the root is mounted on VMROOT, with /dev in it: nothing where the configuration has none. A file system that is
 * smaller than its disk is made larger. What went wrong and harms nobody is told by `note`. */
int vmlayer_mount(const struct vmconf *c, void (*note)(const char *what, int errnum), const char **ret_what);
/* What was written is on the disk, which cannot be written any more. */
void vmlayer_settle(void);

#endif
