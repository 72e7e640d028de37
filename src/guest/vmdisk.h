/* Disks of a machine, by their serial numbers: their names depend on their order. */
#ifndef IGLOO_GUEST_VMDISK_H
#define IGLOO_GUEST_VMDISK_H

enum { VMDISK_PATH_BYTES = 300 };

/* Waits for the virtio disk of that number, whose driver may have been loaded just now. Its path in /dev goes to `ret`.
 * 0 or -ENODEV. */
int vmdisk_wait(const char *serial, char ret[static VMDISK_PATH_BYTES]);

#endif
