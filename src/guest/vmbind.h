/* What of the box is to be seen in a machine that has a system of its own. */
#ifndef IGLOO_GUEST_VMBIND_H
#define IGLOO_GUEST_VMBIND_H

#include "guest/vmconf.h"

/* Mounts each of conf->binds, as it is below the folder `box`, onto the same path of the system; what is missing on the
 * way there is made, and what is missing in the box is passed over. A link in the system is followed, as anybody there
 * would. Returns 0 or -errno with *ret_what as the path. */
int vmbind_all(const struct vmconf *conf, const char *box, const char **ret_what);

#endif
