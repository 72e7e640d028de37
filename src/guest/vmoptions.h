/* What vm.h's `igloo-guest FD --vm` is told in front of the program. */
#ifndef IGLOO_GUEST_VMOPTIONS_H
#define IGLOO_GUEST_VMOPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { VMOPTIONS_ENV_MAX = 16 };

struct vmoptions {
	int64_t hello_ms;                 /* 0: whenever */
	const char *conf;                 /* the machine's configuration, a file; NULL: it has one */
	const char *warm;                 /* what is kept of a machine, a file; NULL: nothing */
	const char *agent;                /* the unix socket of the box's SSH agent; NULL: none */
	const char *screen;               /* a unix socket's path; NULL: none */
	char *env[VMOPTIONS_ENV_MAX + 1]; /* the program's; ends with NULL */
	char **argv;                      /* the program and its arguments */
	bool tap;
	int disks; /* at most VMHOST_DISKS_MAX */
	bool keep; /* keep the machine, in VMHOST_STATE_FD */
};

/* `argv` ends with NULL and is kept. The program is the first that is no option with what it needs, so there is one. */
void vmoptions_take(char **argv, struct vmoptions *ret);

#endif
