/* The forwarded ports of a box, as its state has them (box/boxports.h). */
#ifndef IGLOO_CMD_PORTSVIEW_H
#define IGLOO_CMD_PORTSVIEW_H

#include "box/box.h"
#include "fmt/json.h"

/* The array "ports" of the box's state, empty when there is none; the caller's. */
json_t *portsview_of(const struct box_info *box);
/* One of them for people: "8080->80" on the host's loopback, "0.0.0.0:8080->80" elsewhere. */
void portsview_add(const json_t *port, struct str *to);

#endif
