/* The host's store as a binary cache of a box's Nix, as the box's supervisor holds it: the socket, and the server
 * behind it (nix/storeserve.h), which the first connection starts.
 *
 * The socket is made with the box's gateway, or with the stub of one: both lie on this machine, so none of it is
 * network. What the environment needs is mounted (box/resolvehost.c); this is for what turns out to be missing later.
 */
#ifndef IGLOO_BOX_BOXSTORE_H
#define IGLOO_BOX_BOXSTORE_H

#include "base/err.h"
#include "box/spec.h"

#include <poll.h>

struct boxstore;

/* Adds the URL for the box's Nix, if spec->host_store. Where the host has no store that can be asked, that becomes
 * false. */
void boxstore_add_url(struct box_spec *spec, struct strv *to);
/* Takes the listening socket. Programs below `work_dir`, the workspace, are not run. */
struct boxstore *boxstore_new(int listener, const char *work_dir);
/* What to wait for, and doing it. NULL: nothing. */
void boxstore_poll(const struct boxstore *s, struct pollfd *fd);
void boxstore_work(struct boxstore *s, const struct pollfd *fd);
/* Another socket takes the place of the one there was: the box has got a gateway. */
void boxstore_move(struct boxstore *s, int listener);
/* Ends the server. Accepts NULL. */
void boxstore_free(struct boxstore *s);

#endif
