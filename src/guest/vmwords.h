/* What a machine says: QEMU's own output and its serial console, where the kernel's worst words and the stages of /init
 * come. All of it is from the machine, and bounded. */
#ifndef IGLOO_GUEST_VMWORDS_H
#define IGLOO_GUEST_VMWORDS_H

#include "wire/frame.h"

#include <stdbool.h>

/* How far a machine is. */
enum vmstage {
	VMSTAGE_KERNEL,  /* QEMU was started */
	VMSTAGE_INIT,    /* /init runs */
	VMSTAGE_MODULES, /* the kernel's modules are loaded */
	VMSTAGE_PORT,    /* both ends of the port are there */
	VMSTAGE_ROOT,    /* the file systems are mounted */
	VMSTAGES,
	/* Of PID 1 of the box: */
	VMSTAGE_WARM = VMSTAGES, /* it goes on from what was kept */
	VMSTAGE_COLD,            /* that was no good (words: why), so it boots */
};
/* A line of the console that says which; /init writes it. */
#define VMSTAGE_LINE "igloo-stage "

enum { VMWORDS_LINE_MAX = 240 };

struct vmwords {
	char last[FRAME_WORDS_MAX - 256]; /* the last n bytes */
	size_t n;
	char line[VMWORDS_LINE_MAX]; /* the line that is coming in; what is longer is cut off */
	size_t line_n;
	char panic[VMWORDS_LINE_MAX]; /* the reason in the kernel's last line, NUL-terminated; "" when there is none */
	enum vmstage stage;
};

/* True when the stage is another one now. */
bool vmwords_add(struct vmwords *w, const char *bytes, size_t n);
/* The last whole or begun line that is not empty; *ret_n bytes. */
const char *vmwords_last_line(const struct vmwords *w, size_t *ret_n);

#endif
