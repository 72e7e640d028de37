/* The sockets of this host that listen for a forwarded port. */
#ifndef IGLOO_BOX_PORTLISTEN_H
#define IGLOO_BOX_PORTLISTEN_H

#include "base/err.h"
#include "box/portspec.h"

/* Listens on spec->host at its addresses; for 0 on any free port, which is in spec->host then. ret_fds[1] is for [::1],
 * ret_fds[0] for all else; -1: none. Errors name who has a port that is in use. */
int portlisten_open(struct portspec *spec, int ret_fds[2], struct err **e);
/* The address of the socket with that number. */
struct address portlisten_address(const struct portspec *spec, int i);
void portlisten_close(int fds[2]);

#endif
