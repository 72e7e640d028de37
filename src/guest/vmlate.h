/* Devices that a machine's kernel is to look at only when the machine is for a box.
 *
 * A driver asks its device once: how large is the disk, what does the network offer? A machine that goes on from memory
 * (vm.h) was asked when none of that was there. So the drivers of these are loaded early, which is what takes time, and
 * find their devices late: the bus leaves its devices alone meanwhile (/sys/bus/virtio/drivers_autoprobe, and then
 * drivers_probe: Documentation/ABI/testing/sysfs-bus-pci and drivers/base/bus.c of Linux). */
#ifndef IGLOO_GUEST_VMLATE_H
#define IGLOO_GUEST_VMLATE_H

#include <stdbool.h>

/* Before a module of the initrd, by its file's name, is loaded. */
void vmlate_before(const char *module);
/* Now. */
void vmlate_probe(void);

#endif
