/* --display of a machine as the user writes it: `window`, `vnc` or `vnc:PORT`. */
#ifndef IGLOO_BOX_DISPLAY_H
#define IGLOO_BOX_DISPLAY_H

#include "base/err.h"

#include <stdint.h>

enum display_how { DISPLAY_NONE, DISPLAY_WINDOW, DISPLAY_VNC };

/* What VNC has without a PORT: its own, of display 0 (RFC 6143 names no other). */
enum { DISPLAY_VNC_PORT = 5900 };

struct display {
	enum display_how how;
	uint16_t port; /* of vnc, on this machine's loopback; 0: any free one */
};

/* NULL is none. -EINVAL for what is neither. */
int display_parse(const char *text, struct display *ret, struct err **e);

#endif
