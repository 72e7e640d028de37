/* A program that is started beside the guest's own in a box that is a machine. */
#ifndef IGLOO_GUEST_VMCHILD_H
#define IGLOO_GUEST_VMCHILD_H

#include "base/mem.h"

#include <stdbool.h>

enum { VMCHILD_FDS_MAX = 8 };

/* In a fork: executes argv[0], with the variables of env. It has the n descriptors from number VMHOST_PORT_FD on, in
 * order (-1: none), and `output` as its output and errors; all others are to be CLOEXEC. What fails is said there. */
void vmchild_run(char **argv, char **env, const int *fds, int n, int output) ATTR_NORETURN;

#endif
