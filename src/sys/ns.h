/* Namespaces and the processes that live in them. */
#ifndef IGLOO_SYS_NS_H
#define IGLOO_SYS_NS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* As fork(), with CLONE_* flags (also CLONE_NEWTIME, CLONE_PARENT) and, where the kernel has them, a pidfd in
 * *ret_pidfd (-1 otherwise; NULL when not wanted). clone3, else clone; CLONE_NEWTIME is left out where
 * only clone is there. Returns the pid, 0 in the child, -errno. The caller has no threads. */
pid_t ns_fork(uint64_t flags, int *ret_pidfd);

/* Writes the maps of `pid`'s new user namespace: inside_uid and inside_gid are the caller's effective
 * ids, nothing else is mapped, and setgroups is denied where the caller is not root. From the parent
 * namespace. */
int ns_write_maps(pid_t pid, uid_t inside_uid, gid_t inside_gid, struct err **e);

/* Joins the namespace behind fd (CLONE_NEWUSER, CLONE_NEWNS, …). */
int ns_join(int fd, int nstype);

/* No capability in any set, none to be had by exec or from the bounding set; and no_new_privs.
 * Returns 0 or -errno; works without a library so that the guest may use it. */
int ns_drop_privileges(void);

#endif
