/* How a forked child says what went wrong: over a pipe whose write end closes when it is through (exec, or
 * its last step). */
#ifndef IGLOO_SYS_CHILDREPORT_H
#define IGLOO_SYS_CHILDREPORT_H

#include "base/err.h"

#include <sys/types.h>

/* Writes the error and ends the process. */
void childreport_fail(int fd, const struct err *e) ATTR_NORETURN;
/* Tells the pid of the process that goes on in the sender's place. */
void childreport_pid(int fd, pid_t pid);
/* Reads until the end: 0 when all went well; else the error that was sent. The last pid told goes to
 * *ret_pid (may be NULL), also when there is an error. */
int childreport_wait(int fd, pid_t *ret_pid, struct err **e);

#endif
