/* QEMU's monitor (QMP: JSON, a line each; docs/interop/qmp-spec of QEMU). It is there to end QEMU, to have
 * a machine written, and to know that QEMU has stopped it, which nobody would start again.
 *
 * Of what comes only few things matter, and these are looked for in each line as QEMU writes them. Whatever else a
 * machine might bring into a string there has its quotes escaped, and so is neither. */
#ifndef IGLOO_GUEST_VMQMP_H
#define IGLOO_GUEST_VMQMP_H

#include <stdbool.h>
#include <stddef.h>

enum { VMQMP_LINE_MAX = 4096 };

struct vmqmp {
	int fd; /* -1: none (any more) */
	char line[VMQMP_LINE_MAX];
	size_t n;
	bool stopped;  /* the machine does not run */
	bool no_space; /* a disk of it could not be written: no space is left */
	bool keeps;    /* vmqmp_keep() was called: an error is its own */
	bool kept;     /* vmqmp_keep() has come to its end */
	bool not_kept; /* it has failed */
};

/* Takes over the socket and begins. */
void vmqmp_begin(struct vmqmp *q, int fd);
/* The socket is readable. */
void vmqmp_read(struct vmqmp *q);
/* Asks QEMU to end. */
void vmqmp_quit(struct vmqmp *q);
/* Has all of the machine written to the descriptor, which is QEMU's then. */
void vmqmp_keep(struct vmqmp *q, int fd);
/* What vmqmp_read() reads. */
void vmqmp_feed(struct vmqmp *q, const char *bytes, size_t n);

#endif
