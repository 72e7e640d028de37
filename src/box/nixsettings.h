/* Which binary caches the Nix in a box uses: the host's store, and those of the user's own nix.conf.
 *
 * A cache that the box may not reach is left out: Nix would ask for it again and again for seconds. Where that leaves
 * none, all are named all the same, with one try each, which costs milliseconds: the end of the box then says what was
 * denied and what would allow it, and a grant while the box runs makes them work. */
#ifndef IGLOO_BOX_NIXSETTINGS_H
#define IGLOO_BOX_NIXSETTINGS_H

#include "box/spec.h"

/* Adds policy entries for the caches that the user's nix.conf names, for boxes that resolve. */
void nixsettings_grant(struct strv *allow);
/* Adds the file for the box's Nix to a spec whose network is BOX_NET_GATE and whose `allow` is whole. */
void nixsettings_configure(struct box_spec *spec);

#endif
