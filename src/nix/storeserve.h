/* The store server of a box: gives the Nix in a box what the host's store has, as a binary cache (HTTP/1.1).
 *
 *     /<any>/nix-cache-info    /<any>/<hash>.narinfo    /<any>/nar/<hash>-<sha256>.nar
 *
 * Only what the host's database calls valid, what every user of the host may read, and no derivations; nothing can be
 * listed: who asks has the path's hash. All else is 404, also where the host cannot be asked, for Nix then goes on to
 * the next cache at once. Hash, size and references are the host's database's. A NAR is written from the store while it
 * is sent, after its length was found to be right; the last piece of one whose hash is wrong is not sent.
 *
 * One process for each box, which shuts itself in (sys/confine.h): its root is /nix/store, read-only. It ends when
 * nobody has been connected for some seconds, and with the process that started it. */
#ifndef IGLOO_NIX_STORESERVE_H
#define IGLOO_NIX_STORESERVE_H

#include "base/err.h"
#include "nix/hoststore.h"

#include <sys/types.h>

/* Serves `listener`, a listening TCP socket, non-blocking, which stays the caller's. *ret_alive: a socket that ends
 * when the server has; then the caller waits for *ret_pid, and listens itself again. */
int storeserve_start(const struct hoststore *hs, int listener, pid_t *ret_pid, int *ret_alive, struct err **e);

#endif
