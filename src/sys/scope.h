/* What namespaces leave open between a box and the processes around it. */
#ifndef IGLOO_SYS_SCOPE_H
#define IGLOO_SYS_SCOPE_H

#include <stdbool.h>

/* From here on this process and what descends from it can send signals to each other and to nobody else, and
 * connect to abstract unix sockets of each other only. Two doors that need it:
 *
 *   - kill(0) reaches every process of the caller's process group, past pid namespaces; a command in the foreground
 *     of the user's terminal is in igloo's group, with the rest of the pipeline and, without job control, the script.
 *   - abstract sockets belong to a network namespace; this is a second wall before the host's.
 *
 * By Landlock's scopes: landlock(7), ABI 6, Linux 6.12. Needs no_new_privs. Returns 1, 0 on a kernel without
 * them, or -errno. */
int scope_load(void);

/* Whether this kernel has them; no side effects. */
bool scope_available(void);

#endif
