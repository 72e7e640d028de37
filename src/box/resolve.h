/* Resolving an environment: Nix, inside a box, with what the host's store has mounted. */
#ifndef IGLOO_BOX_RESOLVE_H
#define IGLOO_BOX_RESOLVE_H

#include "box/environment.h"

/* Resolves the environment and writes its record as env/<name> of the slot, with `key` and `nix_id` in it. The caller
 * holds the slot's resolve lock. */
int resolve_environment(struct slot *slot, const struct environment_query *q, const uint8_t key[RECORD_KEY_BYTES],
			const char *nix_id, const char *name, struct err **e);

/* When a kind said that the slot's set is damaged (-EBADMSG): what can be made anew goes. */
int resolve_reset(struct slot *slot, struct err **e);

/* After view_open() or kind->prepare said that host paths vanished: takes them, and everything that refers to them, out
 * of the slot's set and database, and forgets the slot's records. */
int resolve_forget(struct slot *slot, const struct environment_query *q, struct err **e);

#endif
