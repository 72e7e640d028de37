/* What the user has granted for good: hosts that boxes may reach, and what a repository's flake may have of what it
 * asks for.
 *
 * Two lists: of one repository, and of all. They lie in the configuration folder, which no box sees, as
 *     grants/<digits of the repository's slots>.json   {"schema":"igloo.grants/1","repository":"/path","allow":["…"]}
 *     grants/always.json                               the same without a repository
 * and "requests" in the former: an object as box/requests.h has it. Entries are in the form of net/policy.h. A file
 * that cannot be read, is damaged or holds an entry that means nothing is an error, never an empty list. */
#ifndef IGLOO_BOX_GRANTS_H
#define IGLOO_BOX_GRANTS_H

#include "base/err.h"
#include "base/str.h"
#include "box/requests.h"
#include "box/slot.h"

enum grants_scope { GRANTS_REPOSITORY, GRANTS_ALWAYS };

/* Adds the entries of one list to `to`. */
int grants_list(enum grants_scope scope, const struct slot *slot, struct strv *to, struct err **e);
/* Of both. */
int grants_load(const struct slot *slot, struct strv *to, struct err **e);
/* Adds and removes entries, each in its normal form, under the list's lock. *ret_changed: how many were not there, or
 * were, before. */
int grants_change(enum grants_scope scope, const struct slot *slot, const struct strv *add, const struct strv *remove,
		  size_t *ret_changed, struct err **e);
/* What was granted of the flake's requests, so far: it only grows, but for grants_change(), which takes hosts away. */
int grants_requests(const struct slot *slot, struct requests *ret, struct err **e);
int grants_add_requests(const struct slot *slot, const struct requests *more, struct err **e);
/* Forgets them all. *ret_changed: how many there were. */
int grants_forget_requests(const struct slot *slot, size_t *ret_changed, struct err **e);
/* The path of a list's file, for messages; the caller frees it. */
int grants_path(enum grants_scope scope, const struct slot *slot, char **ret, struct err **e);

#endif
