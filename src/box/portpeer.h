/* Who has connected to a port of the loopback. */
#ifndef IGLOO_BOX_PORTPEER_H
#define IGLOO_BOX_PORTPEER_H

#include <stdbool.h>

/* Whether the other end of an accepted TCP connection over this machine's loopback is a socket of this process's own
 * user, or of root. Linux's tables /proc/net/tcp and tcp6 say so (Documentation/networking/proc_net_tcp.rst); a
 * connection that is not in them is nobody's. */
bool portpeer_is_own(int fd);

#endif
