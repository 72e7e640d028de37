/* --audio: a sound card for a machine, played and recorded by the user's PulseAudio, or by the PipeWire that stands in
 * for one (pipewire-pulse). Its socket, and nothing else of the user's, is put into QEMU's root. */
#ifndef IGLOO_KIND_VM_SOUND_H
#define IGLOO_KIND_VM_SOUND_H

#include "kind/vm/fittings.h"

/* -EOPNOTSUPP with what helps, where QEMU has no driver for it or there is no such socket. */
int sound_plan(const struct fittings_host *host, struct fittings *f, struct err **e);

#endif
